package amqp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/internal/testkit/rabbitmq"
)

// peer publishes reports and sees in the tap what became of them.
type peer struct {
	channel *amqp091.Channel
	queue   string
	tap     *tap
}

func (p peer) Send(ctx context.Context, r *penstock.Report) error {
	body, err := reportjson.AppendReport(nil, r)
	if err != nil {
		return err
	}
	before := p.tap.count(string(body))
	if err := rabbitmq.Publish(ctx, p.channel, "", p.queue, amqp091.Publishing{Body: body}); err != nil {
		return err
	}
	return p.tap.wait(ctx, string(body), before+1)
}

func (p peer) Close() error { return nil }

// tap stands between the source and the broker, and sees which messages the
// source acknowledges.
type tap struct {
	listener net.Listener
	to       string
	work     sync.WaitGroup

	mu    sync.Mutex
	acks  map[string]int // by body
	conns map[net.Conn]bool
	news  chan struct{} // closed and replaced at every acknowledgement
	mute  bool          // acknowledgements go no further
}

func newTap(t testing.TB, to string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{listener: l, to: to, acks: map[string]int{}, conns: map[net.Conn]bool{}, news: make(chan struct{})}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.work.Wait()
	})
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
		s := &session{tap: p, open: map[uint64]string{}}
		p.work.Go(func() { s.copy(up, c, 8, s.fromSource) }) // the protocol's header comes first
		p.work.Go(func() { s.copy(c, up, 0, s.fromBroker) })
	}
}

// swallow makes acknowledgements disappear, and the connection with them.
func (p *tap) swallow(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = on
}

func (p *tap) count(body string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acks[body]
}

func (p *tap) total() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, count := range p.acks {
		n += count
	}
	return n
}

func (p *tap) wait(ctx context.Context, body string, count int) error {
	for {
		p.mu.Lock()
		enough, news := p.acks[body] >= count, p.news
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
	tag  uint64 // of the message that is being delivered
	body []byte
	size uint64
	open map[uint64]string // bodies by delivery tag; the tap's lock guards it
}

var errSwallowed = errors.New("the acknowledgement was swallowed")

// copy hands on frame by frame what look does not object to.
func (s *session) copy(to, from net.Conn, header int64, look func(kind byte, payload []byte) error) {
	defer to.Close()
	defer from.Close()
	if _, err := io.CopyN(to, from, header); err != nil {
		return
	}
	for {
		frame := make([]byte, 7)
		if _, err := io.ReadFull(from, frame); err != nil {
			return
		}
		frame = append(frame, make([]byte, binary.BigEndian.Uint32(frame[3:])+1)...)
		if _, err := io.ReadFull(from, frame[7:]); err != nil {
			return
		}
		if look(frame[0], frame[7:len(frame)-1]) != nil {
			return
		}
		if _, err := to.Write(frame); err != nil {
			return
		}
	}
}

const (
	frameMethod, frameHeader, frameBody = 1, 2, 3

	basicDeliver = 60<<16 | 60
	basicAck     = 60<<16 | 80
)

func (s *session) fromBroker(kind byte, payload []byte) error {
	switch {
	case kind == frameMethod && binary.BigEndian.Uint32(payload) == basicDeliver:
		s.tag = binary.BigEndian.Uint64(payload[5+payload[4]:])
		s.body = nil
	case kind == frameHeader:
		s.size = binary.BigEndian.Uint64(payload[4:])
	case kind == frameBody:
		s.body = append(s.body, payload...)
		if uint64(len(s.body)) == s.size {
			s.tap.mu.Lock()
			s.open[s.tag] = string(s.body)
			s.tap.mu.Unlock()
		}
	}
	return nil
}

func (s *session) fromSource(kind byte, payload []byte) error {
	if kind != frameMethod || binary.BigEndian.Uint32(payload) != basicAck {
		return nil
	}
	p := s.tap
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mute {
		return errSwallowed
	}
	through, multiple := binary.BigEndian.Uint64(payload[4:]), payload[12] == 1
	for tag, body := range s.open {
		if tag == through || multiple && tag < through {
			p.acks[body]++
			delete(s.open, tag)
		}
	}
	close(p.news)
	p.news = make(chan struct{})
	return nil
}
