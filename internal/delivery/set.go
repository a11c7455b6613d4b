package delivery

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/delivery/lending"
	"github.com/penstock/penstock/internal/flow"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/shelf"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/store"
)

// Intake is what the sinks need of the intake.
type Intake interface {
	// Past returns the positions whose settlements the intake was told.
	Past() interval.Set
	Settled(b penstock.Batch, r penstock.Receipt)
	Damage(ctx context.Context, first penstock.Position, digests [][]byte) error
	Decide(ctx context.Context, sink string, d penstock.Decision) error
}

// Feed is told of every batch that the record has settled.
type Feed interface {
	Publish(rs []*penstock.Report)
}

// Health is told whether delivery goes on.
type Health interface {
	OK()
	Failing(reason string)
}

// Options are what a Set works with; all are required but Flow and LiveAfter.
type Options struct {
	// Env is what every sink gets, its Name, Log and Node filled in by the Set. TLS may
	// be set until the Set runs.
	Env    sink.Env
	Self   *sink.Self
	Log    *spool.Spool
	Store  *store.Store
	Intake Intake
	Feed   Feed
	Flow   *flow.Book // is told how long reading and writing take; nil for none
	// Main is the name of the system of record, for as long as the Set lives.
	Main string
	// Health returns what is told of a sink of that name; gone is called when the sink
	// was taken out of the configuration.
	Health func(name string) (h Health, gone func())
	// LiveAfter is how late reports are that give way to newer ones; 30 s when 0.
	LiveAfter time.Duration
}

// defaultLiveAfter is how late reports are that give way to newer ones.
const defaultLiveAfter = 30 * time.Second

// Set runs the configured sinks. It is safe for concurrent use.
type Set struct {
	Options
	Shared *lending.Desk // lends the system of record
	wake   chan struct{}

	mu     sync.Mutex // guards what follows
	wanted []sink.Spec
	active map[string]*lane
}

// NewSet returns a set that wants no sink.
func NewSet(o Options) *Set {
	if o.LiveAfter == 0 {
		o.LiveAfter = defaultLiveAfter
	}
	o.Env.Node = o.Self.Node
	return &Set{Options: o, Shared: lending.New(o.Env.Log), wake: make(chan struct{}, 1), active: map[string]*lane{}}
}

// Apply says which sinks are to run from now on; that of the system of record must be
// one of them. Those that stay the same go on undisturbed; the others end, and those
// that are new or changed begin. Apply does not wait for that, but the spool keeps
// what a new sink needs from now on.
func (s *Set) Apply(specs []sink.Spec) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range specs {
		if s.active[w.Name] != nil {
			continue
		}
		l, err := s.open(w)
		if err != nil {
			return err
		}
		s.active[w.Name] = l
	}
	s.wanted = slices.Clone(specs)
	select {
	case s.wake <- struct{}{}:
	default: // it was told already
	}
	return nil
}

// open makes the lane of a sink, which has not begun.
func (s *Set) open(w sink.Spec) (*lane, error) {
	kept, err := shelf.Open(s.Store, w.Name)
	if err != nil {
		return nil, err
	}
	return newLane(s, w, kept)
}

// Run runs what Apply asks for until ctx ends, and returns nil when every sink has
// ended.
func (s *Set) Run(ctx context.Context) error {
	s.reconcile(ctx)
	for {
		select {
		case <-s.wake:
			s.reconcile(ctx)
		case <-ctx.Done():
			for _, l := range s.lanes() {
				l.end() // their contexts end with ctx
			}
			return nil
		}
	}
}

// reconcile ends what is not wanted any more, all at once, and then starts what is
// new.
func (s *Set) reconcile(ctx context.Context) {
	s.mu.Lock()
	wanted := s.wanted
	s.mu.Unlock()
	same := func(l *lane) func(sink.Spec) bool {
		return func(w sink.Spec) bool {
			return w.Name == l.spec.Name && w.Settings.WithDefaults() == l.spec.Settings && reflect.DeepEqual(w.Config, l.spec.Config)
		}
	}
	for _, l := range s.lanes() {
		if slices.ContainsFunc(wanted, same(l)) {
			continue
		}
		l.end()
		var next *lane
		if i := slices.IndexFunc(wanted, func(w sink.Spec) bool { return w.Name == l.spec.Name }); i >= 0 {
			next = l.changed(wanted[i])
		} else {
			l.gone()
			l.logger.Info("a sink has ended")
		}
		s.mu.Lock()
		if delete(s.active, l.spec.Name); next != nil {
			s.active[l.spec.Name] = next
		}
		s.mu.Unlock()
	}
	for _, l := range s.lanes() {
		l.start(ctx)
	}
}

// lanes returns the lanes of all sinks, sorted by name, that of the system of record
// first.
func (s *Set) lanes() []*lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	lanes := make([]*lane, 0, len(s.active))
	for _, l := range s.active {
		lanes = append(lanes, l)
	}
	slices.SortFunc(lanes, func(a, b *lane) int {
		switch {
		case a.main:
			return -1
		case b.main || a.spec.Name > b.spec.Name:
			return 1
		}
		return -1
	})
	return lanes
}

// lane returns the lane of a sink, or an error of code [penstock.NotFound].
func (s *Set) lane(name string) (*lane, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.active[name]; l != nil {
		return l, nil
	}
	return nil, penstock.Errorf(penstock.NotFound, "there is no sink %.64q", name)
}
