package linkgate

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/door"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
)

// Times of a connection.
const (
	handshakeTime = 10 * time.Second // for TLS, and again for the hello
	writeTime     = 30 * time.Second // for a peer that does not read
	commitTime    = 500 * time.Millisecond
	tcpUserTime   = 30 * time.Second // after which the kernel gives up what is not acknowledged
	tcpUserOption = 18               // TCP_USER_TIMEOUT of tcp(7), which package syscall does not name
)

// TCP is the listener for controllers over TLS.
type TCP struct {
	desk
	address config.Address
	open    sync.WaitGroup
	door    *door.Doorman

	mu    sync.Mutex // guards count
	count int        // connections
}

var _ penstock.Source = (*TCP)(nil)

// NewTCP returns the source behind listen.link.
func NewTCP(address config.Address, c Config, env source.Env) (*TCP, error) {
	if env.TLS == nil {
		return nil, penstock.Errorf(penstock.Invalid, "the link protocol over TCP needs TLS")
	}
	return &TCP{
		desk: desk{env: env, config: c, port: env.Evidence.Port(env.Name)}, address: address, door: door.New(c.Admit, c.Connections),
	}, nil
}

// Run listens until ctx ends.
func (t *TCP) Run(ctx context.Context, next penstock.Handler) error {
	l, err := t.env.Listen("link", string(t.address))
	if err != nil {
		return err
	}
	defer t.open.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	t.env.Bound("listen.link", l.Addr().String())
	t.env.Status.OK()
	t.open.Go(func() { t.door.Run(ctx) })
	for {
		c, err := source.Accept(ctx, l, t.env.Log)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return penstock.Errorf(penstock.Unavailable, "listen.link: %w", err)
		}
		t.open.Go(func() { t.serve(ctx, c, next) })
	}
}

// serve carries one connection from its handshake to its end.
func (t *TCP) serve(ctx context.Context, c net.Conn, next penstock.Handler) {
	defer c.Close()
	if !t.enter() {
		t.port.Count(evidence.Refused)
		return
	}
	defer t.leave()
	if tcp, ok := c.(syscall.Conn); ok {
		setUserTimeout(tcp)
	}
	peer := c.RemoteAddr().String()
	secure, err := t.handshake(ctx, c)
	if errors.Is(err, door.ErrTooMany) {
		t.port.Bad(evidence.Refused, []byte(peer), err.Error())
		return
	}
	if err != nil {
		var notTLS tls.RecordHeaderError
		errors.As(err, &notTLS)
		t.port.Bad(evidence.Malformed, notTLS.RecordHeader[:], peer+" did not complete the TLS handshake: "+err.Error())
		return
	}
	from := caller{peer: peer}
	if chains := secure.ConnectionState().VerifiedChains; len(chains) > 0 {
		from.credential.Certificates = chains[0]
	}
	newConn(&t.desk, secure, from).run(ctx, next)
}

// handshake makes the connection secure, when it is let in.
func (t *TCP) handshake(ctx context.Context, c net.Conn) (*tls.Conn, error) {
	guest, err := t.door.Receive(ctx, c, handshakeTime)
	if err != nil {
		return nil, err
	}
	defer guest.Depart()
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	secure := tls.Server(guest, t.env.TLS)
	return secure, secure.HandshakeContext(ctx)
}

// enter counts a connection, unless there are too many.
func (t *TCP) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count >= t.config.Connections {
		return false
	}
	t.count++
	return true
}

func (t *TCP) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count--
}

// setUserTimeout lets the kernel find a dead peer in seconds instead of a quarter
// of an hour. Where that is not possible the idle limit does it.
func setUserTimeout(c syscall.Conn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserOption, int(tcpUserTime.Milliseconds()))
	})
}
