package field

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/pause"
	"github.com/penstock/penstock/internal/sim"
)

// Options say how large a fleet is, and where its gateway is.
type Options struct {
	Link, MQTT               int    // controllers of each protocol
	LinkAddress, MQTTAddress string // of the gateway's listeners, with TLS
	sim.Endpoint
}

// A Fleet is controllers with a connection each. Its methods are for one goroutine.
type Fleet struct {
	members []member
	parts   []Part
	start   time.Time
	started chan struct{} // closed at the start
	ending  chan struct{} // closed when no more reports are made
	end     atomic.Int64  // what is made up to then is sent, in nanoseconds after the start; 0: no end yet
	work    sync.WaitGroup
}

// A Part is the controllers of one protocol.
type Part struct {
	Name    string
	Latency *sim.Latency // from sending a report to its acknowledgement
	members []member
}

// maxMembers of a protocol have an address each.
const maxMembers = 1 << 16

// New returns a fleet that does nothing yet. The error has code [penstock.Invalid].
func New(o Options) (*Fleet, error) {
	if min(o.Link, o.MQTT) < 0 || o.Link+o.MQTT == 0 || max(o.Link, o.MQTT) > maxMembers {
		return nil, penstock.Errorf(penstock.Invalid, "a fleet of %d and %d controllers: up to %d of each, and one at all", o.Link, o.MQTT, maxMembers)
	}
	f := &Fleet{members: make([]member, o.Link+o.MQTT), started: make(chan struct{}), ending: make(chan struct{})}
	epoch := uint64(time.Now().UnixMicro())
	f.parts = []Part{
		{Name: "link", Latency: &sim.Latency{}, members: f.members[:o.Link]},
		{Name: "MQTT", Latency: &sim.Latency{}, members: f.members[o.Link:]},
	}
	for k, greet := range []greeting{greetLink, greetMQTT} {
		part := &f.parts[k]
		address := []string{o.LinkAddress, o.MQTTAddress}[k]
		for i := range part.members {
			number := uint64(k)<<32 | uint64(i)
			part.members[i] = member{
				plan: newPlan(part.Name, i, number), fleet: f, greet: greet, latency: part.Latency,
				access: access{address: address, from: net.IPv4(127, byte(1+k), byte(i>>8), byte(i)), token: o.Token, epoch: epoch, roots: o.Roots},
			}
		}
	}
	return f, nil
}

// Parts returns the controllers by protocol.
func (f *Fleet) Parts() []Part { return f.parts }

// Connect has all controllers connect, and returns how long that took.
func (f *Fleet) Connect(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	for i := range f.members {
		f.work.Go(func() { f.members[i].run(ctx) })
	}
	err := f.all(ctx, "has no connection", func(m *member) bool { return m.welcome.Load() > 0 })
	return time.Since(began), err
}

// Start has the controllers report.
func (f *Fleet) Start() {
	f.start = time.Now().Truncate(time.Millisecond)
	close(f.started)
}

// A Return is how the controllers of a protocol came back after all connections
// broke at once.
type Return struct {
	Half, Most, Last time.Duration // until half, 99 % and all had a session again
	Attempts         int64         // of the one who needed most
	Caught           time.Duration // until all had delivered what was made meanwhile
}

// Back waits until all are back after a break, and have delivered what they had to
// send by then.
func (f *Fleet) Back(ctx context.Context, broken time.Time) ([]Return, error) {
	attempts := make([]int64, len(f.members))
	for i := range f.members {
		attempts[i] = f.members[i].attempts.Load()
	}
	err := f.all(ctx, "is not back", func(m *member) bool { return m.welcome.Load() > broken.UnixNano() })
	if err != nil {
		return nil, err
	}
	since := time.Since(f.start)
	err = f.all(ctx, "has not delivered what waited", func(m *member) bool { return m.acked.Load() >= m.made(since) })
	if err != nil {
		return nil, err
	}
	caught := time.Since(broken)
	var returns []Return
	at := 0
	for k := range f.parts {
		r := Return{Caught: caught}
		var waited []time.Duration
		for i := range f.parts[k].members {
			m := &f.parts[k].members[i]
			waited = append(waited, time.Duration(m.welcome.Load()-broken.UnixNano()))
			r.Attempts = max(r.Attempts, m.attempts.Load()-attempts[at])
			at++
		}
		if n := len(waited); n > 0 {
			slices.Sort(waited)
			r.Half, r.Most, r.Last = waited[n/2], waited[n*99/100], waited[n-1]
		}
		returns = append(returns, r)
	}
	return returns, nil
}

// all waits until something holds for every member.
func (f *Fleet) all(ctx context.Context, what string, holds func(*member) bool) error {
	const longest = 10 * time.Minute
	end := time.Now().Add(longest)
	for i := range f.members {
		m := &f.members[i]
		for !holds(m) {
			if time.Now().After(end) {
				return penstock.Errorf(penstock.Unavailable, "%s %s after %v: %w", m.name, what, longest, m.problem())
			}
			if err := pause.For(ctx, 10*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// problem returns why the member's last connection ended.
func (m *member) problem() error {
	if err := m.trouble.Load(); err != nil {
		return *err
	}
	return fmt.Errorf("no connection of it broke")
}

// Finish ends the making of reports, and returns when all that were made are
// acknowledged.
func (f *Fleet) Finish() {
	f.end.Store(int64(time.Since(f.start)))
	close(f.ending)
	f.work.Wait()
}

// Wait returns when no controller runs any more.
func (f *Fleet) Wait() { f.work.Wait() }
