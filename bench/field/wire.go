package field

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// A wire is the connection of one controller. One goroutine may send while another
// receives.
type wire interface {
	// send puts a report on the wire.
	send(r *penstock.Report) error
	// receive returns how far the gateway has acknowledged the controller's reports,
	// or that it wants one again later. An error ends the connection.
	receive() (reply, error)
	Close() error
}

// reply is what the gateway said.
type reply struct {
	acked uint64        // every report up to it
	later time.Duration // where not 0: the report was refused for now
}

// access is how a controller reaches the gateway.
type access struct {
	address string // of the listener
	from    net.IP // the controller's own
	token   string
	epoch   uint64
	roots   *x509.CertPool
}

// patience is how long a controller waits for a connection, or an answer.
const patience = 2 * time.Minute

// greeting begins the session of a controller on its connection. After an error that is
// the caller's to close.
type greeting func(conn net.Conn, a *access, controller string) (wire, error)

// open makes a TLS connection from the controller's own address, and begins its session.
func (a *access) open(ctx context.Context, greet greeting, controller string) (wire, error) {
	d := tls.Dialer{
		NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: a.from}},
		Config:    &tls.Config{RootCAs: a.roots, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}},
	}
	conn, err := d.DialContext(ctx, "tcp", a.address)
	if err != nil {
		return nil, err
	}
	var w wire
	if err = conn.SetDeadline(time.Now().Add(patience)); err == nil {
		w, err = greet(conn, a, controller)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{}) // sessions last
	}
	if err != nil {
		_ = conn.Close() // nothing waits to be sent
		return nil, err
	}
	return w, nil
}

// linkWire speaks the link protocol.
type linkWire struct {
	net.Conn
	scanner *link.Scanner
	out     []byte
}

// greetLink says hello, and returns when it is welcome.
func greetLink(conn net.Conn, a *access, controller string) (wire, error) {
	w := &linkWire{Conn: conn, scanner: link.NewScanner(conn, link.MaxPayload)}
	hello := link.Hello{Oldest: 1, Newest: 1, Controller: controller, Epoch: a.epoch, Token: a.token, Client: "field"}
	if _, err := conn.Write(hello.Append(nil, link.Header{})); err != nil {
		return nil, err
	}
	f, err := w.scanner.Next()
	if err == nil && f.Kind != link.KindWelcome {
		err = fmt.Errorf("the gateway answered a hello with %v", f.Kind)
	}
	return w, err
}

func (w *linkWire) send(r *penstock.Report) error {
	start := link.BeginData(w.out[:0], link.Header{})
	w.out = link.EndFrame(link.AppendReport(start, r), 0)
	_, err := w.Write(w.out)
	return err
}

func (w *linkWire) receive() (reply, error) {
	f, err := w.scanner.Next()
	if err != nil {
		return reply{}, err
	}
	switch f.Kind {
	case link.KindAck:
		var a link.Ack
		err := a.Decode(f.Payload)
		return reply{acked: a.Base()}, err
	case link.KindRefusal:
		var r link.Refusal
		if err := r.Decode(f.Payload); err != nil {
			return reply{}, err
		}
		if !r.Session && r.Verdict == link.Later {
			return reply{later: max(r.Retry, 100*time.Millisecond)}, nil
		}
		return reply{}, fmt.Errorf("the gateway refused: %s: %s", r.Reason, r.Text)
	}
	return reply{}, fmt.Errorf("the gateway sent %v", f.Kind)
}
