package source

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock"
)

// Spec is one configured source.
type Spec struct {
	Name string // unique in the node
	// Config is what the source was made from. A reload leaves a source alone
	// whose Config and Lease are deeply equal to those before.
	Config any
	// New makes the source. It is called anew after every failure.
	New func(Env) (penstock.Source, error)
	// Lease says that one node at a time reads the origin, where nodes share a record;
	// nil for an origin that is this node's own, or that all may read at once.
	Lease *Lease
}

// Options are what a Set works with; all are required but Leases and LeaseFor.
type Options struct {
	Env     Env              // what every source gets, its Name, Status, Log and Memory filled in by the Set
	Handler penstock.Handler // where the envelopes go
	// Status returns what is told of a source of that name; gone is called when
	// the source was taken out of the configuration.
	Status func(name string) (s Status, gone func())
	// Leases are in the record that nodes share; nil where this node shares none.
	Leases Leases
	// LeaseFor is how long a lease lasts that nobody renews; 10 s when 0.
	LeaseFor time.Duration
}

// Set runs the configured sources. It is safe for concurrent use.
type Set struct {
	Options
	wake chan struct{}

	mu     sync.Mutex
	wanted []Spec
}

// NewSet returns a set that wants no source.
func NewSet(o Options) *Set { return &Set{Options: o, wake: make(chan struct{}, 1)} }

// Apply says which sources are to run from now on. Those that stay the same go
// on undisturbed; the others end, and those that are new or changed begin.
// Apply does not wait for that.
func (s *Set) Apply(specs []Spec) {
	s.mu.Lock()
	s.wanted = slices.Clone(specs)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // it was told already
	}
}

// running is a source at work.
type running struct {
	spec Spec
	stop context.CancelFunc
	gone func()
	work sync.WaitGroup
}

// Run runs what Apply asks for until ctx ends, and returns nil when every source
// has ended.
func (s *Set) Run(ctx context.Context) error {
	active := map[string]*running{}
	for {
		select {
		case <-s.wake:
			s.reconcile(ctx, active)
		case <-ctx.Done():
			for _, r := range active {
				r.work.Wait() // their contexts end with ctx
			}
			return nil
		}
	}
}

// reconcile ends what is not wanted any more, all at once, and then starts what
// is new: a changed source may need the port of the one before.
func (s *Set) reconcile(ctx context.Context, active map[string]*running) {
	s.mu.Lock()
	wanted := s.wanted
	s.mu.Unlock()
	var ending []*running
	for name, r := range active {
		same := func(w Spec) bool {
			return w.Name == name && reflect.DeepEqual(w.Config, r.spec.Config) && reflect.DeepEqual(w.Lease, r.spec.Lease)
		}
		if !slices.ContainsFunc(wanted, same) {
			r.stop()
			ending = append(ending, r)
			delete(active, name)
		}
	}
	for _, r := range ending {
		r.work.Wait()
		r.gone()
		named(s.Env.Log, r.spec.Name).Info("a source has ended")
	}
	for _, w := range wanted {
		if active[w.Name] == nil {
			active[w.Name] = s.start(ctx, w)
		}
	}
}

func (s *Set) start(ctx context.Context, w Spec) *running {
	ctx, stop := context.WithCancel(ctx)
	r := &running{spec: w, stop: stop}
	env := s.Env
	env.Name, env.Log, env.Memory = w.Name, named(s.Env.Log, w.Name), new(any)
	env.Status, r.gone = s.Status(w.Name)
	r.work.Go(func() {
		defer stop()
		if w.Lease == nil || s.Leases == nil {
			Keep(ctx, w, env, s.Handler)
			return
		}
		s.tenant(w, env).run(ctx, func(ctx context.Context) { Keep(ctx, w, env, s.Handler) })
	})
	return r
}
