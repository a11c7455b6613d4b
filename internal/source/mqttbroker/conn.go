package mqttbroker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/door"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/mqttbroker/fanout"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// The limits of a connection before it has shown who it is.
const (
	readBuffer = 4 << 10
	maxConnect = 16 << 10
)

// ending is why the server ends a connection.
type ending struct {
	code  wire.Code
	text  string
	event evidence.Event
}

// Error returns the text.
func (e *ending) Error() string { return e.text }

var (
	endCrowd   = &ending{wire.ServerBusy, door.ErrTooMany.Error(), evidence.Refused}
	endStopped = &ending{wire.ShuttingDown, "the gateway stops", evidence.Lost}
	endTaken   = &ending{wire.TakenOver, "the client has connected again", evidence.Lost}
	endRevoked = &ending{wire.NotAuthorized, "the credential was revoked, or has ended", evidence.Refused}
	endBusy    = &ending{wire.ServerBusy, "what the client published could not be made durable in time: it may send again later", evidence.Refused}
	endFault   = &ending{wire.Unspecified, "a fault of the gateway; its log says more", evidence.Lost}
)

// conn is one connection. Its reader is the goroutine of serve; the settler
// completes what was submitted, and the deliverer sends what was subscribed to.
type conn struct {
	*broker
	raw     net.Conn // never changes
	net     net.Conn // raw, or TLS over it; set before anything else runs
	in      *wire.Reader
	version byte // 0 until the client has said it
	client  *fanout.Client
	session *session
	page    *evidence.Page // of the one controller that the client speaks for, nil for none
	connect wire.Connect
	inbound inbound
	out     outgoing
	work    sync.WaitGroup

	guest  *door.Guest   // nil until it is let in
	done   chan struct{} // closed when the connection has begun to end
	gone   chan struct{} // closed when nothing of it is left
	closer sync.Once
	why    *ending // set before done is closed
}

func newConn(b *broker, nc net.Conn) *conn {
	c := &conn{broker: b, raw: nc, net: nc, done: make(chan struct{}), gone: make(chan struct{})}
	c.inbound.init(c)
	return c
}

// outgoing is the way to the client.
type outgoing struct {
	ending atomic.Bool

	mu       sync.Mutex // held while writing; guards everything below
	open     net.Conn   // nil until CONNACK was sent
	deadline time.Time  // that was set last
}

// serve is the connection's life.
func (c *conn) serve(ctx context.Context) {
	defer close(c.gone)
	defer func() { c.guest.Depart() }()
	defer context.AfterFunc(ctx, func() { c.end(endStopped) })()
	defer c.contain()
	if err := c.begin(ctx); err != nil {
		c.endWith(err)
		c.turnedAway()
		return
	}
	c.endWith(c.contained(func() error { return c.read(ctx) }))
	c.inbound.finish()
	c.work.Wait()
	c.depart(ctx)
}

// contain keeps a panic to the connection that it came up in.
func (c *conn) contain() {
	if fault := recover(); fault != nil {
		c.log.Error("a connection panicked; it was closed", "peer", c.raw.RemoteAddr().String(), "panic", fault, "stack", string(debug.Stack()))
		c.end(endFault)
	}
}

// contained runs a part of the connection's work, and ends the connection when
// it panics.
func (c *conn) contained(do func() error) (err error) {
	err = endFault
	defer c.contain()
	return do()
}

// start runs one of the connection's goroutines.
func (c *conn) start(do func() error) {
	c.work.Go(func() {
		if err := c.contained(do); err != nil {
			c.endWith(err)
		}
	})
}

// end ends the connection for a reason of the server's. Only the first reason
// counts.
func (c *conn) end(why *ending) {
	c.closer.Do(func() {
		c.why = why
		c.out.ending.Store(true)
		_ = c.raw.SetWriteDeadline(time.Now().Add(lastWord)) // it fails only when the connection is broken already
		c.out.mu.Lock()
		if to := c.out.open; to != nil && c.version == wire.V5 && why.code != wire.Success {
			_, _ = to.Write(wire.AppendDisconnect(nil, c.version, wire.Disconnect{Code: why.code, Reason: why.text})) // it is over with or without
		}
		c.out.mu.Unlock()
		close(c.done)
		_ = c.raw.Close() // nothing else waits to be sent
		c.inbound.wake()
	})
}

// endWith ends the connection for an error of the network or of the client, and
// notes it.
func (c *conn) endWith(err error) {
	var broken *wire.Error
	var why *ending
	switch {
	case errors.As(err, &why):
	case errors.As(err, &broken):
		why = &ending{broken.Code, broken.Text, evidence.Malformed}
	case errors.Is(err, os.ErrDeadlineExceeded):
		why = &ending{wire.KeepAliveTimeout, "nothing came from the client in time", evidence.Timeout}
	case errors.Is(err, io.EOF):
		why = &ending{wire.Success, "the client closed the connection without a word", evidence.Lost}
	default:
		why = &ending{wire.Success, fmt.Sprintf("the connection broke: %v", err), evidence.Lost}
	}
	c.end(why)
}

// write sends packets.
func (c *conn) write(b []byte) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.send(c, b)
}

// send sends packets to a client. o.mu is held.
func (o *outgoing) send(c *conn, b []byte) error {
	if o.ending.Load() {
		return net.ErrClosed
	}
	if now := time.Now(); o.deadline.Sub(now) < writePatience/2 {
		o.deadline = now.Add(writePatience)
		if err := c.raw.SetWriteDeadline(o.deadline); err != nil {
			return err
		}
	}
	_, err := c.net.Write(b)
	return err
}

// let sends the packet that lets the client in. From then on it is told why its
// connection ends.
func (o *outgoing) let(c *conn, connack []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.send(c, connack)
	if err == nil {
		o.open = c.net
	}
	return err
}

// shake makes the connection ready to be read when it is let in: the handshake of
// TLS, where the broker speaks it.
func (c *conn) shake(ctx context.Context) error {
	guest, err := c.door.Receive(ctx, c.raw, connectPatience)
	if errors.Is(err, door.ErrTooMany) {
		return endCrowd
	}
	if err != nil {
		return err
	}
	c.guest, c.net = guest, guest
	defer guest.Leave()
	if err := c.raw.SetDeadline(time.Now().Add(connectPatience)); err != nil {
		return err
	}
	if c.tls != nil {
		t := tls.Server(guest, c.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			var plain tls.RecordHeaderError
			if errors.As(err, &plain) {
				why := &ending{wire.Success, "the client does not speak TLS: " + plain.Msg, evidence.Malformed}
				c.note(why.event, plain.RecordHeader[:], why.text)
				return why
			}
			return &ending{wire.Success, fmt.Sprintf("the TLS handshake failed: %v", err), evidence.Refused}
		}
		c.net = t
	}
	c.in = wire.NewReader(c.net, readBuffer, maxConnect)
	return nil
}

// certificates returns the verified chain of the client, nil for none.
func certificates(nc net.Conn) []*x509.Certificate {
	t, ok := nc.(*tls.Conn)
	if !ok {
		return nil
	}
	if chains := t.ConnectionState().VerifiedChains; len(chains) > 0 {
		return chains[0]
	}
	return nil
}

// turnedAway notes why a client was not let in.
func (c *conn) turnedAway() {
	if c.why.event == evidence.Malformed {
		return // noted with its bytes
	}
	c.note(c.why.event, []byte(c.connect.ClientID), c.why.text)
	c.log.Debug("a client was not let in", "peer", c.raw.RemoteAddr().String(), "client", c.connect.ClientID, "why", c.why.text)
}

// bad notes a packet that could not be used.
func (c *conn) bad(f *wire.Frame, why string) {
	c.note(evidence.Malformed, f.Bytes(), why)
}

// note keeps what was wrong, and who sent it, on the port and on the page of the
// client's controller.
func (c *conn) note(e evidence.Event, b []byte, why string) {
	why = sender(c.raw.RemoteAddr(), &c.connect) + ": " + why
	c.port.Bad(e, b, why)
	if c.page != nil {
		c.page.Bad(e, b, why)
	}
}

// sender names a client by what is known of it so far.
func sender(at net.Addr, p *wire.Connect) string {
	who := at.String()
	if p.ClientID != "" {
		who += fmt.Sprintf(" client %.64q", p.ClientID)
	}
	if p.User != "" {
		who += fmt.Sprintf(" user %.64q", p.User)
	}
	return who
}

// count counts an event on the port and on the client's controller.
func (c *conn) count(e evidence.Event) {
	c.port.Count(e)
	if c.page != nil {
		c.page.Count(e)
	}
}

// deliver sends what waits for the client until the connection ends.
func (c *conn) deliver() error {
	var packets []byte
	for {
		packets = c.session.subscriber.Fill(packets[:0])
		if len(packets) > 0 {
			if err := c.write(packets); err != nil {
				return err
			}
			continue
		}
		packets = nil // most clients subscribe to nothing, or seldom get anything
		select {
		case <-c.session.wake:
		case <-c.done:
			return nil
		}
	}
}
