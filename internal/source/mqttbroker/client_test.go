package mqttbroker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// peer is a client of MQTT that does nothing by itself: a test sends packets and
// looks at what comes.
type peer struct {
	t       testing.TB
	conn    net.Conn
	in      *wire.Reader
	version byte
	last    uint16
	backlog []wire.Frame // what came before its time
}

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

func dial(t testing.TB, address string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &peer{t: t, conn: conn, in: wire.NewReader(conn, 4096, 1<<22), version: wire.V5}
}

// connect makes a connection and a session.
func connect(t testing.TB, address string, c wire.Connect) *peer {
	t.Helper()
	p := dial(t, address)
	if ack := p.connect(c); ack.Code != wire.Success {
		t.Fatalf("not let in: %#02x %s", byte(ack.Code), ack.Properties.Text(wire.ReasonString))
	}
	return p
}

func (p *peer) connect(c wire.Connect) wire.Connack {
	p.t.Helper()
	if c.Version == 0 {
		c.Version = wire.V5
	}
	p.version = c.Version
	p.send(wire.AppendConnect(nil, &c))
	ack, err := wire.DecodeConnack(p.expect(wire.CONNACK).Body, p.version)
	if err != nil {
		p.t.Fatal(err)
	}
	return ack
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) next() (wire.Frame, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return wire.Frame{}, err
	}
	return p.in.Next()
}

// expect waits for a packet of a type. Messages and answers come in an order of
// their own each.
func (p *peer) expect(t wire.Type) wire.Frame {
	p.t.Helper()
	if i := slices.IndexFunc(p.backlog, func(f wire.Frame) bool { return f.Type == t }); i >= 0 {
		f := p.backlog[i]
		p.backlog = slices.Delete(p.backlog, i, i+1)
		return f
	}
	for {
		f, err := p.next()
		if err != nil {
			p.t.Fatalf("waiting for %s: %v", t, err)
		}
		if f.Type == t {
			return f
		}
		p.backlog = append(p.backlog, f)
	}
}

func (p *peer) ack(t wire.Type) wire.Ack {
	p.t.Helper()
	a, err := wire.DecodeAck(t, p.expect(t).Body, p.version)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

// closed waits until the server has closed the connection, and returns the code
// of its DISCONNECT, 0 when there was none.
func (p *peer) closed() (code wire.Code) {
	p.t.Helper()
	for {
		f, err := p.next()
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
				p.t.Fatal("the server has not closed the connection")
			}
			return code
		}
		if f.Type == wire.DISCONNECT {
			d, err := wire.DecodeDisconnect(f.Body, p.version)
			if err != nil {
				p.t.Fatal(err)
			}
			code = d.Code
		}
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// publish sends a message without waiting for anything.
func (p *peer) publish(topic string, qos byte, payload string, properties ...wire.Field) uint16 {
	p.t.Helper()
	return p.publishMessage(wire.Message{Topic: topic, QoS: qos, Payload: []byte(payload), Properties: properties})
}

func (p *peer) publishMessage(m wire.Message) uint16 {
	p.t.Helper()
	packet := wire.Publish{Message: m}
	if m.QoS > 0 {
		p.last++
		packet.ID = p.last
	}
	p.send(wire.AppendPublish(nil, p.version, &packet))
	return packet.ID
}

func (p *peer) subscribe(subs ...wire.Subscription) []wire.Code {
	p.t.Helper()
	p.last++
	p.send(wire.AppendSubscribe(nil, p.version, &wire.Subscribe{ID: p.last, Subscriptions: subs}))
	_, codes, err := wire.DecodeSuback(wire.SUBACK, p.expect(wire.SUBACK).Body, p.version)
	if err != nil {
		p.t.Fatal(err)
	}
	return codes
}

// arrive waits for a message and acknowledges one of QoS 1.
func (p *peer) arrive() wire.Publish {
	p.t.Helper()
	f := p.expect(wire.PUBLISH)
	var m wire.Publish
	if err := wire.DecodePublish(f.Flags, f.Body, p.version, &m); err != nil {
		p.t.Fatal(err)
	}
	if m.QoS == 1 {
		p.send(wire.AppendAck(nil, p.version, wire.Ack{Type: wire.PUBACK, ID: m.ID}))
	}
	return m
}

// quiet fails when anything but the answers to pings comes.
func (p *peer) quiet() {
	p.t.Helper()
	for range 3 {
		p.send(wire.AppendEmpty(nil, wire.PINGREQ))
		p.expect(wire.PINGRESP)
	}
	for _, f := range p.backlog {
		p.t.Errorf("%s came: %q", f.Type, f.Body)
	}
}

func (p *peer) close() { p.conn.Close() }

func (p *peer) disconnect() {
	p.send(wire.AppendEmpty(nil, wire.DISCONNECT))
	p.conn.Close()
}

// addresses are where the brokers of a test stand, by test: a broker that starts
// again gets the port that it had.
type addresses struct {
	mu sync.Mutex
	at string
}

func (a *addresses) bound(_, address string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = address
}

func (a *addresses) get() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at == "" {
		return "127.0.0.1:0"
	}
	return a.at
}

// reportText returns a report in JSON.
func reportText(controller string, seq int) string {
	return fmt.Sprintf(`{"controller":%q,"epoch":1,"seq":%d,"samples":[{"point":"flow","time":%d,"value":%d.5}]}`,
		controller, seq, 1_700_000_000_000_000_000+int64(seq)*1_000_000_000, seq)
}
