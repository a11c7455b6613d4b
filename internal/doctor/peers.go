package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// peerPatience bounds how long a peer may take to answer, and peersAtOnce how
// many are asked at once.
const (
	peerPatience = 5 * time.Second
	peersAtOnce  = 16
)

// checkPeers connects to every peer, many at once.
func checkPeers(ctx context.Context, x *examination) []finding {
	if len(x.Peers) == 0 {
		return fine("none is configured").one()
	}
	found := make([]finding, len(x.Peers))
	turns := make(chan struct{}, peersAtOnce)
	var asking sync.WaitGroup
	for i, p := range x.Peers {
		asking.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			found[i] = x.peer(ctx, p)
			found[i].name = p.Key
		})
	}
	asking.Wait()
	return found
}

func (x *examination) peer(ctx context.Context, p Peer) finding {
	ctx, cancel := context.WithTimeout(ctx, peerPatience)
	defer cancel()
	began := x.Now()
	conn, err := p.Dial(ctx)
	if err != nil {
		return finding{trouble: broken, found: p.Address + ": " + err.Error(), fix: unreachable(p.Address, err)}
	}
	defer conn.Close()
	f := fine("%s answers within %v", p.Address, x.Now().Sub(began).Round(time.Microsecond))
	secured, ok := conn.(*tls.Conn)
	if !ok {
		f.found += ", without TLS"
		return f
	}
	state := secured.ConnectionState()
	f.found += ", " + tls.VersionName(state.Version)
	if len(state.PeerCertificates) > 0 {
		end := state.PeerCertificates[0].NotAfter
		f.found += ", its certificate is valid until " + end.UTC().Format(time.DateOnly)
		if end.Sub(x.Now()) < renewBefore {
			f.trouble, f.fix = short, "have its certificate renewed before the connection is refused"
		}
	}
	return f
}

// unreachable says what to do about a peer that cannot be reached.
func unreachable(address string, err error) string {
	var name *net.DNSError
	var stranger x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &name):
		return "the name is not known: correct it, or look at /etc/resolv.conf; 'getent hosts " + name.Name + "'"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the machine answers and nothing listens there: start the server, or correct the port; 'ss -ltn' there shows what listens"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "nothing answers: a firewall on the way drops the packets, or the machine is off; try 'ping' and 'traceroute -T -p PORT'"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way there: look at 'ip route get ADDRESS' and the cable"
	case errors.As(err, &stranger):
		return "its certificate is signed by an authority that is not trusted: set tls.ca to the file of that authority"
	case errors.As(err, &host):
		return "its certificate is for another name: use that name, or have the certificate made for this one"
	case errors.As(err, &invalid):
		return "its certificate does not hold: have it renewed, and look at both clocks"
	case errors.As(err, &alert):
		return "it ends the handshake: it may want a client certificate (tls.cert, tls.key), or speak no TLS 1.2 or 1.3"
	case errors.As(err, &record):
		return "it does not speak TLS at this port: use its port for TLS, or the scheme without TLS"
	}
	return fmt.Sprintf("see what answers at %s: openssl s_client -connect %s", address, address)
}
