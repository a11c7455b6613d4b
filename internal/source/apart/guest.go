package apart

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/apart/wire"
)

// guest is the end of the process that the source runs in: it is the pipeline to the
// source, and all else that the node lends.
type guest struct {
	conn  *wire.Conn
	level slog.LevelVar
	slots chan struct{} // one for each submission that is undecided
	asked atomic.Uint64 // questions

	order  sync.Mutex // of submissions; guards outbox and last
	outbox wire.Outbox
	last   uint64 // ticket

	mu      sync.Mutex // guards everything below
	tickets map[uint64]*ticket
	answers map[uint64]chan reply
	gone    bool // the gateway is
}

// reply is an answer of the node.
type reply struct {
	in   *wire.In
	file *os.File
	err  error
}

func newGuest(conn *wire.Conn, task wire.Task) *guest {
	g := &guest{conn: conn, slots: make(chan struct{}, window), tickets: map[uint64]*ticket{}, answers: map[uint64]chan reply{}}
	g.level.Set(task.Level)
	return g
}

var errGone = penstock.Errorf(penstock.Closed, "the gateway does not listen to the process of the source any more")

// hear takes what the gateway says until it is gone.
func (g *guest) hear(stop func()) {
	for {
		f, err := g.conn.Receive()
		if err == nil {
			err = g.take(f, stop)
		}
		if err != nil {
			break
		}
	}
	stop()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone = true
	for _, t := range g.tickets {
		t.err = errGone
		close(t.done)
	}
	clear(g.tickets)
	for _, waiting := range g.answers {
		waiting <- reply{err: errGone}
	}
	clear(g.answers)
	g.conn.Abandon()
}

func (g *guest) take(f wire.Frame, stop func()) error {
	in := wire.Read(f.Body)
	switch f.Kind {
	case wire.Outcomes:
		return g.resolve(in)
	case wire.Answer:
		id := in.Uint()
		g.mu.Lock()
		waiting := g.answers[id]
		delete(g.answers, id)
		g.mu.Unlock()
		if waiting == nil {
			return penstock.Errorf(penstock.Invalid, "the gateway answers what was not asked")
		}
		waiting <- reply{in, f.File, in.Error()}
		return nil
	case wire.Level:
		g.level.Set(slog.Level(in.Int()))
	case wire.Stop:
		stop()
	default:
		return penstock.Errorf(penstock.Invalid, "the gateway sent a frame of the kind %d", f.Kind)
	}
	return in.Err()
}

// ticket waits for what the gateway says.
type ticket struct {
	done     chan struct{}
	outcomes []penstock.Outcome // of use when done is closed, and so is err
	err      error
}

// Wait implements [penstock.Ticket].
func (t *ticket) Wait(ctx context.Context) ([]penstock.Outcome, error) {
	select {
	case <-t.done:
		return t.outcomes, t.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// failed is the ticket of what was not submitted.
func failed(err error) *ticket {
	t := &ticket{done: make(chan struct{}), err: err}
	close(t.done)
	return t
}

// Submit implements [penstock.Handler]. It waits while too much is undecided.
func (g *guest) Submit(ctx context.Context, es []penstock.Envelope) penstock.Ticket {
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return failed(ctx.Err())
	}
	g.order.Lock()
	defer g.order.Unlock()
	g.last++
	var o wire.Out
	o.Uint(g.last)
	box := g.outbox
	box.Envelopes(&o, es)
	if len(o) > wire.MaxFrame {
		<-g.slots
		return tooLarge(len(o), len(es))
	}
	g.outbox = box
	t := &ticket{done: make(chan struct{})}
	g.mu.Lock()
	gone := g.gone
	if !gone {
		g.tickets[g.last] = t
	}
	g.mu.Unlock()
	if gone || g.conn.Send(wire.Submit, o) != nil {
		return failed(errGone)
	}
	return t
}

func tooLarge(size, envelopes int) *ticket {
	t := failed(nil)
	t.outcomes = make([]penstock.Outcome, envelopes)
	for i := range t.outcomes {
		t.outcomes[i].Err = penstock.Errorf(penstock.TooLarge, "%d bytes were submitted at once, more than the %d that a source apart may", size, wire.MaxFrame)
	}
	return t
}

// resolve resolves the ticket that the gateway names.
func (g *guest) resolve(in *wire.In) error {
	id, outcomes := in.Uint(), in.Outcomes()
	if err := in.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	t := g.tickets[id]
	delete(g.tickets, id)
	g.mu.Unlock()
	if t == nil {
		return penstock.Errorf(penstock.Invalid, "the gateway decides about what was not submitted")
	}
	<-g.slots
	t.outcomes = outcomes
	close(t.done)
	return nil
}

// say sends what needs no answer. When the gateway is gone the source ends anyway.
func (g *guest) say(kind wire.Kind, o wire.Out) { _ = g.conn.Send(kind, o) }

func (g *guest) note(n evidence.Note) {
	var o wire.Out
	o.Note(n)
	g.say(wire.Note, o)
}

// OK implements [source.Status].
func (g *guest) OK() { g.state(true, "") }

// Failing implements [source.Status].
func (g *guest) Failing(why string) { g.state(false, why) }

func (g *guest) state(ok bool, why string) {
	var o wire.Out
	o.Bool(ok)
	o.Text(why)
	g.say(wire.State, o)
}

// retain implements what Env says of Retain.
func (g *guest) retain(state []byte) {
	var o wire.Out
	o.Bytes(state)
	g.say(wire.Retain, o)
	g.conn.Flush() // what the source does next may be its end
}

func (g *guest) bound(key, address string) {
	var o wire.Out
	o.Text(key)
	o.Text(address)
	g.say(wire.Bound, o)
}
