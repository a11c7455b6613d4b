package field

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/pause"
	"github.com/penstock/penstock/internal/sim"
)

// A member is one controller of the fleet: it makes reports as their time comes,
// sends the oldest that is not acknowledged until it is, and comes back when its
// connection breaks.
type member struct {
	plan
	fleet   *Fleet
	access  access
	greet   greeting
	latency *sim.Latency

	acked     atomic.Uint64 // every report up to it
	welcome   atomic.Int64  // when the last session began, in nanoseconds since 1970
	attempts  atomic.Int64  // to begin a session
	refusals  atomic.Int64  // for now
	resent    atomic.Int64
	connected atomic.Bool
	trouble   atomic.Pointer[error]
}

// The back-off of the link protocol's specification, which suits any other.
const (
	firstBackoff = time.Second
	lastBackoff  = time.Minute
)

// run lives until every report of the fleet's time is acknowledged, or ctx ends.
func (m *member) run(ctx context.Context) {
	backoff := firstBackoff
	for ctx.Err() == nil && !m.done() {
		before := m.acked.Load()
		err := m.session(ctx)
		if err == nil {
			return
		}
		m.trouble.Store(&err)
		if m.acked.Load() > before {
			backoff = firstBackoff
		}
		wait := backoff - time.Duration(mix(m.number, uint64(m.attempts.Load()), 7)%uint64(backoff/2))
		backoff = min(2*backoff, lastBackoff)
		if pause.For(ctx, wait) != nil {
			return
		}
	}
}

// done tells whether nothing is left to do.
func (m *member) done() bool {
	end := m.fleet.end.Load()
	return end > 0 && m.acked.Load() >= m.made(time.Duration(end))
}

// session is one connection, from its making to its end. It returns nil when
// nothing is left to do.
func (m *member) session(ctx context.Context) error {
	m.attempts.Add(1)
	dialing, cancel := context.WithTimeout(ctx, patience)
	w, err := m.access.open(dialing, m.greet, m.name)
	cancel()
	if err != nil {
		return err
	}
	m.welcome.Store(time.Now().UnixNano())
	m.connected.Store(true)
	defer m.connected.Store(false)
	replies := make(chan reply)
	broken := make(chan error, 1)
	ended := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			r, err := w.receive()
			if err != nil {
				broken <- err
				return
			}
			select {
			case replies <- r:
			case <-ended:
				return
			}
		}
	})
	defer reading.Wait()
	defer w.Close()
	defer close(ended)
	return m.talk(ctx, w, replies, broken)
}

// talk sends report after report.
func (m *member) talk(ctx context.Context, w wire, replies <-chan reply, broken <-chan error) error {
	select {
	case <-m.fleet.started:
	case err := <-broken:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
	t := talk{member: m, wire: w, timer: time.NewTimer(m.wait()), report: penstock.Report{Identity: penstock.SequenceIdentity(m.access.epoch, 0)}}
	defer t.timer.Stop()
	ending := m.fleet.ending
	for !m.done() {
		var err error
		select {
		case <-t.timer.C:
			err = t.next()
		case reply := <-replies:
			t.heard(reply)
		case err = <-broken:
			if t.under > 0 {
				m.resent.Add(1)
			}
		case <-ending:
			ending = nil
			if t.under == 0 {
				t.timer.Reset(m.wait())
			}
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wait returns how long it is until the next report is made.
func (m *member) wait() time.Duration {
	return max(0, time.Until(m.fleet.start.Add(m.due(m.acked.Load()+1))))
}

// talk is what a member sends on one connection.
type talk struct {
	*member
	wire
	timer  *time.Timer // for the next report, or its answer
	report penstock.Report
	under  uint64 // the report that is under way, 0 for none
	sent   time.Time
}

// next sends the report whose time has come.
func (t *talk) next() error {
	if t.under > 0 {
		return fmt.Errorf("no answer to report %d of %s for %v", t.under, t.name, patience)
	}
	t.under = t.acked.Load() + 1
	t.make(&t.report, t.fleet.start, t.under)
	t.sent = time.Now()
	t.timer.Reset(patience)
	return t.send(&t.report)
}

// heard takes what the gateway said.
func (t *talk) heard(r reply) {
	switch {
	case t.under == 0: // the record has what was acknowledged before
	case r.later > 0:
		t.refusals.Add(1)
		t.under = 0
		t.timer.Reset(r.later)
	case r.acked >= t.under:
		t.latency.Add(time.Since(t.sent))
		t.acked.Store(t.under)
		t.under = 0
		t.timer.Reset(t.wait())
	}
}
