package mqttclient_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/internal/testkit/mosquitto"
)

// broker is a Mosquitto of a test, with a tap before it through which the source
// connects.
type broker struct {
	*mosquitto.Broker
	tap     *tap
	version string // that Mosquitto's client speaks
}

// startBroker starts Mosquitto with further lines of its configuration.
func startBroker(t testing.TB, extra string) *broker {
	t.Helper()
	b := mosquitto.Start(t, extra)
	return &broker{Broker: b, tap: newTap(t, b.Address), version: "mqttv5"}
}

// client runs Mosquitto's own client.
func (b *broker) client(ctx context.Context, args ...string) error { return b.pipe(ctx, nil, args...) }

func (b *broker) pipe(ctx context.Context, in []byte, args ...string) error {
	host, port, _ := net.SplitHostPort(b.Address)
	cmd := exec.CommandContext(ctx, "mosquitto_pub", append([]string{"-h", host, "-p", port, "-V", b.version}, args...)...)
	cmd.Stdin = bytes.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mosquitto_pub: %w: %s", err, out)
	}
	return nil
}

// publish publishes a message with QoS 1, and user properties in pairs.
func (b *broker) publish(ctx context.Context, name string, payload []byte, properties ...string) error {
	args := []string{"-q", "1", "-t", name, "-s"}
	for i := 0; i < len(properties); i += 2 {
		args = append(args, "-D", "publish", "user-property", properties[i], properties[i+1])
	}
	return b.pipe(ctx, payload, args...)
}

// publishLines publishes a message a line, all with QoS 1.
func (b *broker) publishLines(ctx context.Context, name string, lines []string) error {
	return b.pipe(ctx, []byte(strings.Join(lines, "\n")+"\n"), "-q", "1", "-t", name, "-l")
}

// peer publishes reports, and sees in the tap whether they were acknowledged.
type peer struct{ broker *broker }

func (p peer) Send(ctx context.Context, r *penstock.Report) error {
	body, err := reportjson.AppendReport(nil, r)
	if err != nil {
		return err
	}
	before := p.broker.tap.acknowledged(body)
	if err := p.broker.publish(ctx, "plant/report", body); err != nil {
		return err
	}
	return p.broker.tap.wait(ctx, body, before+1)
}

func (p peer) Close() error { return nil }

// tap stands between the source and the broker, and sees which messages the
// source acknowledges.
type tap struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	acks  map[string]int // by payload
	conns map[net.Conn]bool
	news  chan struct{} // closed and replaced at every acknowledgement
	mute  bool          // acknowledgements go no further
	hole  bool          // nothing goes further, and nobody is told
	old   bool          // the source speaks 3.1.1: publishes have no properties
	work  sync.WaitGroup
}

func newTap(t testing.TB, to string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{listener: l, to: to, acks: map[string]int{}, conns: map[net.Conn]bool{}, news: make(chan struct{})}
	p.work.Go(p.accept)
	t.Cleanup(func() { l.Close(); p.cut(); p.work.Wait() })
	return p
}

func (p *tap) address() string { return p.listener.Addr().String() }

func (p *tap) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", p.to)
		if err != nil {
			c.Close()
			continue
		}
		p.mu.Lock()
		p.conns[c], p.conns[up] = true, true
		p.mu.Unlock()
		session := &session{tap: p, open: map[uint16]string{}}
		p.work.Go(func() { session.copy(up, c, session.fromSource) })
		p.work.Go(func() { session.copy(c, up, session.fromBroker) })
	}
}

// cut breaks all connections.
func (p *tap) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}

// swallow makes acknowledgements disappear, and the connection with them.
func (p *tap) swallow(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = on
}

// swallowAll makes everything disappear, as a dead radio does.
func (p *tap) swallowAll(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hole = on
}

func (p *tap) dead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hole
}

func (p *tap) acknowledged(payload []byte) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acks[string(payload)]
}

func (p *tap) total() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, count := range p.acks {
		n += count
	}
	return n
}

func (p *tap) wait(ctx context.Context, payload []byte, count int) error {
	for {
		p.mu.Lock()
		enough, news := p.acks[string(payload)] >= count, p.news
		p.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// session is one connection through the tap.
type session struct {
	tap  *tap
	open map[uint16]string // payloads by packet identifier; the tap's lock guards it
}

var errSwallowed = errors.New("the acknowledgement was swallowed")

// copy hands on packet by packet what look does not object to.
func (s *session) copy(to, from net.Conn, look func(kind, flags byte, body []byte) error) {
	defer to.Close()
	defer from.Close()
	for {
		packet, start, err := readPacket(from)
		if err != nil {
			return
		}
		if s.tap.dead() {
			continue
		}
		if look(packet[0]>>4, packet[0]&15, packet[start:]) != nil {
			return
		}
		if _, err := to.Write(packet); err != nil {
			return
		}
	}
}

func readPacket(r io.Reader) (packet []byte, start int, err error) {
	one := make([]byte, 1)
	read := func() byte {
		if err == nil {
			_, err = io.ReadFull(r, one)
			packet = append(packet, one[0])
		}
		return one[0]
	}
	read()
	size, shift := 0, 0
	for more := true; more && err == nil; shift += 7 {
		b := read()
		size |= int(b&0x7f) << shift
		more = b >= 0x80
	}
	start = len(packet)
	if err != nil {
		return nil, 0, err
	}
	packet = append(packet, make([]byte, size)...)
	_, err = io.ReadFull(r, packet[start:])
	return packet, start, err
}

const kindConnect, kindPublish, kindPuback = 1, 3, 4

func (s *session) fromBroker(kind, flags byte, body []byte) error {
	if kind != kindPublish || flags>>1&3 != 1 {
		return nil
	}
	body = body[2+binary.BigEndian.Uint16(body):]
	id := binary.BigEndian.Uint16(body)
	s.tap.mu.Lock()
	defer s.tap.mu.Unlock()
	payload := body[2:]
	if !s.tap.old {
		properties, n := binary.Uvarint(payload)
		payload = payload[n+int(properties):]
	}
	s.open[id] = string(payload)
	return nil
}

func (s *session) fromSource(kind, _ byte, body []byte) error {
	if kind == kindConnect {
		s.tap.mu.Lock()
		s.tap.old = body[6] == 4
		s.tap.mu.Unlock()
	}
	if kind != kindPuback {
		return nil
	}
	p := s.tap
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mute {
		return errSwallowed
	}
	id := binary.BigEndian.Uint16(body)
	p.acks[s.open[id]]++
	delete(s.open, id)
	close(p.news)
	p.news = make(chan struct{})
	return nil
}
