// Package simlink carries what the simulated fleet sends in the link protocol.
package simlink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/client/carrier"
	"github.com/penstock/penstock/internal/sim"
	"github.com/penstock/penstock/link"
)

// handshakes bounds how many connections are made at once: more side by side only
// make each other late.
const handshakes = 64

// Options say how reports travel over the link protocol.
type Options struct {
	Address string             // of listen.link, or of listen.link_udp
	Name    func(n int) string // of a controller
	Epoch   uint64             // of all reports; 1 when 0
	Token   string             // over TLS
	Roots   *x509.CertPool     // over TLS: what the gateway's certificate is verified against
	Key     *carrier.Key       // over UDP: of all controllers
	// Controllers of the fleet.
	Controllers int
	// Dial makes the carrier of a controller that has another than TLS or UDP, and
	// says under which address it speaks there; nil for none.
	Dial func(controller int) (c carrier.Carrier, address uint16, err error)
	// Beat says what the modem of a controller tells, every Every; false when nothing
	// comes through. Nil for no heartbeats.
	Beat  func(controller int) ([]link.Signal, bool)
	Every time.Duration // 5 s when 0
}

// Link sends every report as one data frame: over a TLS connection of each
// controller's own, or, with a key, in a datagram.
type Link struct {
	o     Options
	slots chan struct{} // handshakes side by side
	boot  uint64
	lines []line
	done  chan struct{} // closed when no more heartbeats are wanted
	once  sync.Once
}

var _ sim.Transport = (*Link)(nil)

// New returns a transport with no connection open yet.
func New(o Options) (*Link, error) {
	if o.Controllers < 1 || o.Name == nil {
		return nil, penstock.Errorf(penstock.Invalid, "the fleet needs controllers and their names")
	}
	if o.Key != nil && o.Controllers > 1 {
		return nil, penstock.Errorf(penstock.Invalid, "a key is one controller's: %d controllers cannot share it", o.Controllers)
	}
	if o.Epoch == 0 {
		o.Epoch = 1
	}
	if o.Every == 0 {
		o.Every = 5 * time.Second
	}
	return &Link{o: o, slots: make(chan struct{}, handshakes), boot: uint64(time.Now().UnixMicro()), lines: make([]line, o.Controllers), done: make(chan struct{})}, nil
}

// line is the connection of one controller.
type line struct {
	mu        sync.Mutex // guards everything below
	carrier   carrier.Carrier
	header    link.Header
	newest    uint64
	waiting   map[uint64][]chan result
	committed uint64
	reading   sync.WaitGroup
}

type result struct {
	sim.Answer
	err error
}

// Send implements [sim.Transport].
func (t *Link) Send(ctx context.Context, m sim.Message) (sim.Answer, error) {
	l := &t.lines[m.Controller]
	answered := make(chan result, 1)
	seq := m.Report.Identity.Seq
	if err := t.hand(ctx, l, m, answered); err != nil {
		return sim.Answer{}, err
	}
	select {
	case a := <-answered:
		return a.Answer, a.err
	case <-ctx.Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.waiting, seq)
		return sim.Answer{}, fmt.Errorf("%w: %w", sim.ErrUnknown, ctx.Err())
	}
}

// hand puts the message on the wire, after a connection was made where there is
// none.
func (t *Link) hand(ctx context.Context, l *line, m sim.Message, answered chan result) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.carrier == nil {
		if err := t.connect(ctx, l, m.Controller); err != nil {
			return err
		}
	}
	frame := link.AppendData(nil, l.header, link.AppendReport(nil, m.Report))
	if m.Damage != 0 {
		sim.Damage(frame, m.Damage)
	}
	seq := m.Report.Identity.Seq
	l.newest = max(l.newest, seq)
	l.waiting[seq] = append(l.waiting[seq], answered)
	if err := l.carrier.Send(frame); err != nil {
		l.carrier.Close() // its reader answers all that wait
	}
	return nil
}

// connect makes the connection and begins the session. l.mu is held.
func (t *Link) connect(ctx context.Context, l *line, controller int) (err error) {
	var c carrier.Carrier
	l.header = link.Header{}
	switch {
	case t.o.Dial != nil:
		c, l.header.Address, err = t.o.Dial(controller)
	case t.o.Key == nil:
		select {
		case t.slots <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", sim.ErrUnknown, ctx.Err())
		}
		c, err = carrier.DialTLS(ctx, t.o.Address, &tls.Config{RootCAs: t.o.Roots})
		<-t.slots
	default:
		t.boot++
		c, err = carrier.DialUDP(ctx, t.o.Address, *t.o.Key, t.boot, 0)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", sim.ErrUnknown, err)
	}
	hello := link.Hello{Oldest: 1, Newest: 1, Controller: t.o.Name(controller), Epoch: t.o.Epoch, Token: t.o.Token, Client: "sim"}
	if t.o.Beat != nil {
		hello.Signals, _ = t.o.Beat(controller)
	}
	if err := c.Send(hello.Append(nil, l.header)); err != nil {
		c.Close()
		return fmt.Errorf("%w: %w", sim.ErrUnknown, err)
	}
	l.carrier, l.waiting = c, map[uint64][]chan result{}
	l.reading.Go(func() { l.read(c) })
	if t.o.Beat != nil {
		l.reading.Go(func() { t.beat(l, c, controller) })
	}
	return nil
}

// beat sends heartbeats with the signal until the connection ends.
func (t *Link) beat(l *line, c carrier.Carrier, controller int) {
	tick := time.NewTicker(t.o.Every)
	defer tick.Stop()
	for {
		select {
		case <-t.done:
			return
		case <-tick.C:
		}
		signals, through := t.o.Beat(controller)
		l.mu.Lock()
		if l.carrier != c {
			l.mu.Unlock()
			return
		}
		if through {
			beat := link.Heartbeat{Newest: l.newest, Waiting: uint64(len(l.waiting)), Signals: signals}
			if err := c.Send(beat.Append(nil, l.header)); err != nil {
				c.Close() // its reader answers all that wait
			}
		}
		l.mu.Unlock()
	}
}

// read takes the gateway's answers until the connection ends.
func (l *line) read(c carrier.Carrier) {
	for {
		f, err := c.Receive()
		if err == nil {
			err = l.take(f)
		} else {
			err = fmt.Errorf("%w: %w", sim.ErrUnknown, err)
		}
		if err != nil {
			c.Close()
			l.fail(c, err)
			return
		}
	}
}

// fail answers all that wait on a connection that ended.
func (l *line) fail(c carrier.Carrier, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.carrier != c {
		return
	}
	l.carrier = nil
	for seq := range l.waiting {
		l.resolve(seq, result{err: err})
	}
}

// take reads one frame. An error ends the connection.
func (l *line) take(f link.Frame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch f.Kind {
	case link.KindAck:
		return l.acked(f.Payload)
	case link.KindRefusal:
		return l.refused(f.Payload)
	case link.KindGatewayBye:
		return fmt.Errorf("%w: the gateway ended the session", sim.ErrUnknown)
	}
	return nil
}

func (l *line) acked(payload []byte) error {
	var a link.Ack
	if err := a.Decode(payload); err != nil {
		return err
	}
	l.committed = max(l.committed, a.Committed)
	for seq := range l.waiting {
		settled := seq <= a.Base()
		for _, r := range a.Ranges[:a.Count] {
			settled = settled || seq >= r.First && seq <= r.Last
		}
		if settled {
			l.resolve(seq, result{Answer: sim.Answer{Result: penstock.Accepted, Committed: penstock.Mark{Epoch: a.Epoch, Seq: l.committed}}})
		}
	}
	return nil
}

func (l *line) refused(payload []byte) error {
	var r link.Refusal
	if err := r.Decode(payload); err != nil {
		return err
	}
	err := penstock.RetryLater(codeOf(r.Reason), r.Retry, r.Reason+": "+r.Text)
	switch {
	case r.Session && (r.Reason == "hello" || r.Reason == "closed"):
		return fmt.Errorf("%w: %w", sim.ErrUnknown, err)
	case r.Session:
		return err
	case r.Verdict == link.Settled:
		l.resolve(r.Seq, result{Answer: sim.Answer{
			Result: penstock.Rejected, Reason: penstock.Reason(r.Reason), Detail: r.Text, Committed: penstock.Mark{Epoch: r.Epoch, Seq: l.committed},
		}})
	default:
		l.resolve(r.Seq, result{err: err})
	}
	return nil
}

// codeOf returns the code of a reason's word.
func codeOf(reason string) penstock.Code {
	for c := penstock.Internal; c <= penstock.Closed; c++ {
		if c.String() == reason {
			return c
		}
	}
	if reason == string(penstock.ReasonMalformed) {
		return penstock.Corrupt
	}
	return penstock.Invalid
}

// resolve answers who waits for a report. l.mu is held.
func (l *line) resolve(seq uint64, a result) {
	for _, w := range l.waiting[seq] {
		w <- a // has room for one, and is asked once
	}
	delete(l.waiting, seq)
}

// Close implements [sim.Transport].
func (t *Link) Close() error {
	var errs []error
	t.once.Do(func() { close(t.done) })
	for i := range t.lines {
		l := &t.lines[i]
		l.mu.Lock()
		if l.carrier != nil {
			errs = append(errs, l.carrier.Close())
		}
		l.mu.Unlock()
		l.reading.Wait()
	}
	return errors.Join(errs...)
}
