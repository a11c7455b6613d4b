package sinktest

import (
	"context"
	"slices"
	"sync"

	"github.com/penstock/penstock"
)

// Destination is a destination in memory that takes each report once, by its
// identity: the reference for [penstock.Sink].
type Destination struct {
	mu       sync.Mutex // guards what follows
	received []*penstock.Report
	known    map[string]bool
	repeats  int
	down     error
	refused  func(*penstock.Report) error
	lose     bool          // the next confirmation
	slow     chan struct{} // not nil: writes wait until it is closed
	stalled  int           // writes that wait so
}

// NewDestination returns an empty destination.
func NewDestination() *Destination { return &Destination{known: map[string]bool{}} }

// Open returns a sink that writes to the destination.
func (d *Destination) Open() penstock.Sink { return &memory{to: d} }

// Received returns what arrived, each report once, in the order of coming.
func (d *Destination) Received() []*penstock.Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.received)
}

// Repeats returns how many reports came that were there already.
func (d *Destination) Repeats() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.repeats
}

// Break has writes fail until mend is called.
func (d *Destination) Break() (mend func()) {
	d.set(func() { d.down = penstock.Errorf(penstock.Unavailable, "the destination is down") })
	return func() { d.set(func() { d.down = nil }) }
}

// Refuse has each report fail with the error that why gives for it; nil ends that.
func (d *Destination) Refuse(why func(*penstock.Report) error) { d.set(func() { d.refused = why }) }

// LoseConfirmation has the next write arrive and fail all the same.
func (d *Destination) LoseConfirmation() { d.set(func() { d.lose = true }) }

// Stall has writes wait until release is called.
func (d *Destination) Stall() (release func()) {
	gate := make(chan struct{})
	d.set(func() { d.slow = gate })
	return sync.OnceFunc(func() {
		d.set(func() { d.slow = nil })
		close(gate)
	})
}

// Stalled returns how many writes wait for that.
func (d *Destination) Stalled() (n int) {
	d.set(func() { n = d.stalled })
	return n
}

func (d *Destination) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// identityOf returns what a destination tells reports apart by.
func identityOf(r *penstock.Report) string {
	if r.Identity.Form != penstock.Natural {
		return r.Controller + "\x00" + r.Identity.String()
	}
	text := r.Controller
	for _, s := range r.Samples {
		text += "\x00" + sampleText(Sample{r.Controller, s})
	}
	return text
}

// memory is a sink of a destination.
type memory struct {
	to     *Destination
	closed bool
}

// Write implements [penstock.Sink].
func (m *memory) Write(ctx context.Context, rs []*penstock.Report) error {
	if m.closed {
		return penstock.Errorf(penstock.Closed, "the sink is closed")
	}
	d := m.to
	d.mu.Lock()
	gate := d.slow
	if gate != nil {
		d.stalled++
	}
	d.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
		}
		d.set(func() { d.stalled-- })
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down != nil {
		return d.down
	}
	failed := map[int]error{}
	for i, r := range rs {
		if d.refused != nil {
			if err := d.refused(r); err != nil {
				failed[i] = err
				continue
			}
		}
		d.take(r)
	}
	if d.lose {
		d.lose = false
		return penstock.Errorf(penstock.Unavailable, "the confirmation was lost")
	}
	if len(failed) > 0 {
		return &penstock.WriteError{Failed: failed}
	}
	return nil
}

func (d *Destination) take(r *penstock.Report) {
	id := identityOf(r)
	if d.known[id] {
		d.repeats++
		return
	}
	d.known[id] = true
	kept := *r
	kept.Samples = slices.Clone(r.Samples)
	d.received = append(d.received, &kept)
}

// Close implements [penstock.Sink].
func (m *memory) Close() error {
	m.closed = true
	return nil
}
