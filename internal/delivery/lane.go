package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/delivery/reading"
	"github.com/penstock/penstock/internal/delivery/trouble"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/pause"
	"github.com/penstock/penstock/internal/shelf"
	"github.com/penstock/penstock/internal/sink"
)

// lane is one sink at work, with a goroutine and a reader of its own, so that its
// trouble stays its own.
type lane struct {
	set    *Set
	spec   sink.Spec
	env    sink.Env
	main   bool // it is the system of record
	shelf  *shelf.Shelf
	logger *slog.Logger
	health Health
	gone   func()
	stop   context.CancelFunc // nil before the start
	work   sync.WaitGroup

	engine // the lane's goroutine alone uses it

	mu        sync.Mutex         // guards what follows
	done      interval.Set       // positions that the sink needs no more
	flight    interval.Set       // positions that are being written
	errands   []*errand          // of people, for the lane's goroutine
	interrupt context.CancelFunc // ends the wait under way; nil outside of one
	held      bool               // paused by a person
	running   bool
	forget    penstock.Position // through where nobody asks the record any more
	status    Status
}

// engine is what the reports go to, and what its goroutine knows of it.
type engine struct {
	target    target // nil until it could be made
	breaker   trouble.Breaker
	suspicion trouble.Suspicion
	forgotten penstock.Position // through where the record was told to forget
}

// target is what a lane feeds: a record, or a plain sink with its place here.
type target interface {
	// resume returns the positions that need not come any more.
	resume(ctx context.Context) (interval.Set, error)
	// write delivers the load, and returns the deliveries that failed each for itself.
	write(ctx context.Context, b *reading.Load) ([]failure, error)
	close() error
}

// failure is a delivery that failed while others of its load did not.
type failure struct {
	penstock.Delivery
	err error
}

func newLane(s *Set, w sink.Spec, kept *shelf.Shelf) (*lane, error) {
	w.Settings = w.Settings.WithDefaults()
	l := &lane{set: s, spec: w, shelf: kept, main: w.Name == s.Main, env: s.Env, logger: s.Env.Log.With("sink", w.Name)}
	l.env.Name, l.env.Log = w.Name, l.logger
	l.health, l.gone = s.Health(w.Name)
	place := kept.Place()
	if durable := s.Log.Durable(); w.NewSink != nil && (!place.Used || penstock.Position(place.Settled.Highest()) > durable) {
		// A new sink begins with what comes from now on.
		err := kept.Save(shelf.Change{Edit: func(p *shelf.Place) {
			p.Used, p.Settled = true, interval.Set{}
			p.Settled.Add(1, uint64(durable))
		}})
		if err != nil {
			return nil, err
		}
		place = kept.Place()
	}
	l.done = place.Settled
	l.status = Status{State: Starting, Since: l.env.Now()}
	l.held = place.Paused
	return l, nil
}

// changed returns a lane with other settings in the place of one that has ended.
func (l *lane) changed(w sink.Spec) *lane {
	w.Settings = w.Settings.WithDefaults()
	next := &lane{
		set: l.set, spec: w, env: l.env, main: l.main, shelf: l.shelf, logger: l.logger, health: l.health, gone: l.gone,
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	next.done, next.held, next.status = l.done, l.held, l.status
	return next
}

// start starts the lane unless it runs.
func (l *lane) start(ctx context.Context) {
	if l.stop != nil {
		return
	}
	ctx, stop := context.WithCancel(ctx)
	l.stop = stop
	l.mu.Lock()
	l.running = true
	l.mu.Unlock()
	l.work.Go(func() {
		defer stop()
		l.run(ctx)
	})
}

// end ends the lane and waits for it.
func (l *lane) end() {
	if l.stop != nil {
		l.stop()
	}
	l.work.Wait()
	l.stop = nil
	l.mu.Lock()
	l.running = false
	l.mu.Unlock()
	l.refuse(penstock.Errorf(penstock.Unavailable, "the sink has ended"))
}

// run delivers until ctx ends. A sink that fails is tried again for ever: the spool
// keeps what waits.
func (l *lane) run(ctx context.Context) {
	defer l.drop()
	for {
		err := l.deliver(ctx)
		if ctx.Err() != nil || l.set.Log.Closed() {
			return
		}
		wait := trouble.FirstBackoff
		if !l.suspicion.Narrowed(err, l.spec.NewRecord != nil) {
			wait = l.breaker.Failed(err)
		}
		l.failing(err, wait)
		l.refuse(penstock.Errorf(penstock.Unavailable, "the sink is in trouble: %w", err))
		if pause.For(ctx, wait) != nil {
			return
		}
	}
}

// drop closes what reports go to.
func (l *lane) drop() {
	if l.target == nil {
		return
	}
	l.lend(nil)
	if err := l.target.close(); err != nil {
		l.logger.Warn("a sink could not be closed well", "error", err)
	}
	l.target = nil
}

// deliver makes the target when there is none and feeds it until something fails. A
// panic is an error: nothing but this sink stops.
func (l *lane) deliver(ctx context.Context) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			l.logger.Error("a sink panicked", "panic", fault, "stack", string(debug.Stack()))
			l.drop()
			err = penstock.Errorf(penstock.Corrupt, "a fault of the gateway: %s", fmt.Sprint(fault))
		}
		l.mu.Lock()
		l.flight = interval.Set{}
		l.mu.Unlock()
	}()
	if l.target == nil {
		if l.target, err = l.open(); err != nil {
			l.target = nil
			return err
		}
	}
	d := &drive{lane: l}
	defer d.close()
	return d.run(ctx)
}

// open makes the target.
func (l *lane) open() (target, error) {
	l.env.TLS = l.set.Env.TLS
	if l.spec.NewSink != nil {
		s, err := l.spec.NewSink(l.env)
		if err != nil {
			return nil, err
		}
		return &plainTarget{lane: l, sink: s}, nil
	}
	r, err := l.spec.NewRecord(l.env)
	if err != nil {
		return nil, err
	}
	l.lend(r)
	return &recordTarget{lane: l, record: r}, nil
}

// lend lends the system of record to others; nil takes it back.
func (l *lane) lend(r penstock.Record) {
	if l.main {
		l.set.Shared.Lend(r)
	}
}

// failing tells of a failure.
func (l *lane) failing(err error, pause time.Duration) {
	l.health.Failing(err.Error())
	l.logger.Warn("delivery to a sink failed; what waits is in the spool", "error", err, "retry_in", pause.Round(time.Millisecond).String())
	l.mu.Lock()
	defer l.mu.Unlock()
	state := Retrying
	if l.breaker.Open() {
		state = Down
	}
	l.status.become(state, err.Error(), l.env.Now())
	l.status.Failures, l.status.Next = l.breaker.Failures(), l.env.Now().Add(pause)
}

// working tells that the sink does its work.
func (l *lane) working() {
	l.breaker.Worked()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.become(Delivering, "", l.env.Now())
	l.status.Failures, l.status.Next = 0, time.Time{}
	if l.status.Alarm == "" && !l.held {
		l.health.OK()
	}
}

// paused tells whether a person paused the sink.
func (l *lane) paused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held
}

// behind returns the first position that the sink still needs.
func (l *lane) behind() penstock.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return penstock.Position(l.done.Through(1)) + 1
}

// needs returns the first stretch from a position on that the sink still needs and is
// not in skip, as far as last; false when there is none. l.mu is held.
func (l *lane) needs(from, last penstock.Position, skip *interval.Set) (interval.Span, bool) {
	missing := interval.Set{}
	missing.Add(uint64(from), uint64(last))
	for span := range l.done.All {
		missing.Remove(span.First, span.Last)
	}
	for span := range skip.All {
		missing.Remove(span.First, span.Last)
	}
	for span := range missing.All {
		return span, true
	}
	return interval.Span{}, false
}
