package sim

import (
	"context"
	"sync"
	"time"

	"github.com/penstock/penstock"
)

// Options say how a fleet sends.
type Options struct {
	Model     *Model
	Transport Transport
	Impair    Impairments
	Seed      uint64        // of the impairments
	InFlight  int           // reports a controller has under way at most; 8 when 0
	Timeout   time.Duration // for one answer; 5 s when 0
	Backoff   time.Duration // before the first resend, doubled each time up to 16 ×; 100 ms when 0
}

// A Fleet is controllers that send their reports and resend them until they are
// acknowledged. Its exported methods are safe for concurrent use.
type Fleet struct {
	o       Options
	ledgers []Ledger
	stats   counters
	latency Latency
	stop    chan struct{}
	once    sync.Once
	note    keptError // the first
	trouble keptError // the latest
}

// New returns a fleet that has sent nothing. The error's code is Invalid when an
// option is out of its range.
func New(o Options) (*Fleet, error) {
	if o.Model == nil || o.Transport == nil {
		return nil, penstock.Errorf(penstock.Invalid, "a fleet needs a model and a transport")
	}
	if err := o.Impair.Check(); err != nil {
		return nil, err
	}
	if o.InFlight == 0 {
		o.InFlight = 8
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Backoff == 0 {
		o.Backoff = 100 * time.Millisecond
	}
	if o.InFlight < 0 || o.Timeout < 0 || o.Backoff < 0 {
		return nil, penstock.Errorf(penstock.Invalid, "in-flight, timeout and back-off cannot be negative")
	}
	return &Fleet{o: o, ledgers: make([]Ledger, o.Model.Controllers()), stop: make(chan struct{})}, nil
}

// Run sends the reports as their time comes, until Stop is called; then it
// resends what is not settled until everything is, and returns. When ctx ends
// first, Run gives up what is under way: its outcome stays unknown. It is called
// once.
func (f *Fleet) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for i := range f.ledgers {
		c := controller{fleet: f, number: i, ledger: &f.ledgers[i]}
		all.Go(func() { c.run(ctx) })
	}
}

// Stop ends the making of new reports. It is legal before Run and twice.
func (f *Fleet) Stop() { f.once.Do(func() { close(f.stop) }) }

// Model returns the model that the fleet sends.
func (f *Fleet) Model() *Model { return f.o.Model }

// Ledger returns the ledger of a controller.
func (f *Fleet) Ledger(controller int) *Ledger { return &f.ledgers[controller] }

// Stats returns what the fleet did so far.
func (f *Fleet) Stats() Stats { return f.stats.snapshot() }

// Latency returns the times from sending a message to its acknowledgement.
func (f *Fleet) Latency() *Latency { return &f.latency }

// Err returns the first refusal that a healthy gateway would not have given, nil
// when there was none. The fleet goes on in spite of it.
func (f *Fleet) Err() error { return f.note.get() }

// Trouble returns the latest cause of a message that got no answer, nil when
// there was none. Resending is the answer to it.
func (f *Fleet) Trouble() error { return f.trouble.get() }

// keptError keeps the first or the latest error that it is given.
type keptError struct {
	mu  sync.Mutex
	err error
}

func (e *keptError) first(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = err
	}
}

func (e *keptError) latest(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

func (e *keptError) get() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}
