package script

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// Options are what an engine works with. All are required but Source.
type Options struct {
	Config Config
	Source string  // of the script; read from Config.File when empty
	States *States // what scripts keep of the controllers
	Log    *slog.Logger
	Now    func() time.Time
}

// Outcome is what becomes of a report. The zero Outcome lets it go on unchanged.
type Outcome struct {
	Changed    bool
	Samples    []penstock.Sample // when Changed: those that go on, in memory of their own
	Dropped    bool              // by the script, on purpose
	Fault      *Fault            // what the script did wrong; the report goes on as it was
	Quarantine bool              // by the fault: it is to be kept for a person
	Rejected   bool              // by the fault: it is to be refused
	Lines      []Line            // of the console
	Took       time.Duration
}

// Line is what a script said on its console.
type Line struct {
	Level slog.Level
	Text  string
}

// Engine runs a script. It is safe for concurrent use.
type Engine struct {
	config  Config
	source  string
	line    int // of onReport
	states  *States
	now     func() time.Time
	console *console
	debts   debts
	renewal time.Duration // what it takes to make a machine

	idle   chan *worker // those that wait for work
	stuck  atomic.Int32 // workers that nobody waits for any more
	ended  chan struct{}
	closed chan struct{}
	once   sync.Once
	work   sync.WaitGroup
}

// New loads the script, and returns an error of code [penstock.Invalid] when it
// cannot be read or does not load; that wraps a [*Fault].
func New(o Options) (*Engine, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	source := o.Source
	if source == "" {
		var err error
		if source, err = readSource(o.Config.File); err != nil {
			return nil, err
		}
	}
	e := &Engine{
		config: o.Config, source: source, states: o.States, now: o.Now,
		console: newConsole(o.Log, o.Config.name(), o.Now),
		debts:   debts{allowed: 2 * patience(&o.Config), of: map[string]debt{}},
		idle:    make(chan *worker, o.Config.Workers),
		ended:   make(chan struct{}, o.Config.Workers),
		closed:  make(chan struct{}),
	}
	began := e.now()
	m, fault := newMachine(&e.config, source)
	if fault != nil {
		return nil, penstock.Errorf(penstock.Invalid, "script: %w", fault)
	}
	e.line, e.renewal = m.line, e.now().Sub(began)
	for range o.Config.Workers {
		w := &worker{engine: e, machine: m, jobs: make(chan *job)}
		m = nil // the others make theirs
		e.work.Go(w.serve)
	}
	return e, nil
}

// Check loads the script and runs nothing of it but what stands outside its
// functions. The error is as that of [New].
func Check(c *Config) error {
	source, err := readSource(c.File)
	if err != nil {
		return err
	}
	m, fault := newMachine(c, source)
	if fault != nil {
		return penstock.Errorf(penstock.Invalid, "script: %w", fault)
	}
	m.close()
	return nil
}

func readSource(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", penstock.Errorf(penstock.Invalid, "script: %w", err)
	}
	if info.Size() > maxSource {
		return "", penstock.Errorf(penstock.TooLarge, "script: %s has %d bytes, and a script at most %d", file, info.Size(), maxSource)
	}
	source, err := os.ReadFile(file)
	if err != nil {
		return "", penstock.Errorf(penstock.Invalid, "script: %w", err)
	}
	if !utf8.Valid(source) || strings.ContainsRune(string(source), 0) {
		return "", penstock.Errorf(penstock.Invalid, "script: %s is no text in UTF-8", file)
	}
	return string(source), nil
}

// The bounds of waiting for a worker, and for the same controller's report before.
const maxWait = time.Second

// Run has the script look at the report, which it does not change or keep. The
// error is one of a temporary code: all workers were busy for too long. What the
// script did wrong stands in the outcome, and in the log.
func (e *Engine) Run(ctx context.Context, r *penstock.Report) (Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	held, err := e.states.hold(ctx, r.Controller)
	if err != nil {
		return Outcome{}, err
	}
	defer held.release()
	if fault := e.resting(r.Controller); fault != nil {
		return e.failed(fault), nil
	}
	started := e.now()
	j := &job{controller: r.Controller, request: string(appendRequest(nil, r)), state: held.text(), reply: make(chan reply, 1)}
	got, err := e.do(ctx, j)
	if err != nil {
		return Outcome{}, err
	}
	out, fault := e.conclude(r, held, &got)
	if fault != nil {
		lines := out.Lines
		out = e.failed(fault)
		out.Lines = lines
	}
	out.Took = e.now().Sub(started)
	var rest time.Duration
	if got.took > 0 && got.fault != nil && got.fault.fresh() {
		rest = e.debts.add(r.Controller, min(got.took+e.renewal, patience(&e.config)), e.now())
	}
	e.console.write(ctx, r, &out, rest)
	return out, nil
}

// failed is what becomes of a report by a fault.
func (e *Engine) failed(fault *Fault) Outcome {
	return Outcome{Fault: fault, Quarantine: e.config.OnError == ToQuarantine, Rejected: e.config.OnError == Reject}
}

// conclude makes an outcome of what a worker replied, and keeps the new state.
func (e *Engine) conclude(r *penstock.Report, held *hold, got *reply) (out Outcome, _ *Fault) {
	threw := func(err error) *Fault {
		return e.fault(Threw, clip(err.Error()))
	}
	a, err := parseAnswer(got.text)
	if err != nil {
		return out, threw(penstock.Errorf(penstock.Invalid, "what it answers cannot be read: %w", err))
	}
	out.Lines = a.lines()
	if got.fault != nil {
		return out, got.fault
	}
	if a.Samples != nil || a.Changes != nil {
		if out.Samples, err = a.apply(r); err != nil {
			return out, threw(err)
		}
		out.Changed = true
	}
	if a.State != nil {
		if err := held.keep(*a.State, int(e.config.State)); err != nil {
			return out, threw(err)
		}
	}
	if out.Dropped = a.Dropped || out.Changed && len(out.Samples) == 0; out.Dropped {
		out.Changed, out.Samples = false, nil
	}
	return out, nil
}

// do gives the job to a worker and waits for its reply. A worker that cannot be
// stopped is left to itself, so that only it is stuck.
func (e *Engine) do(ctx context.Context, j *job) (reply, error) {
	if int(e.stuck.Load()) == e.config.Workers {
		return reply{fault: e.fault(Stuck, "was not run: every worker is in an operation that cannot be stopped")}, nil
	}
	select {
	case w := <-e.idle:
		select {
		case w.jobs <- j:
		case <-e.closed:
			return reply{}, errClosed()
		}
	case <-e.closed:
		return reply{}, errClosed()
	case <-ctx.Done():
		return reply{}, penstock.RetryLater(penstock.Unavailable, maxWait, "script: every worker is busy")
	}
	timer := time.NewTimer(patience(&e.config))
	defer timer.Stop()
	select {
	case got := <-j.reply:
		return got, nil
	case <-timer.C:
	}
	if j.settled.CompareAndSwap(false, true) {
		e.stuck.Add(1)
		e.debts.hold(j.controller, e.now())
		return reply{fault: e.fault(Stuck, "took longer than "+e.config.Timeout.String()+" in operations that cannot be stopped; its worker is out of use until they end")}, nil
	}
	return <-j.reply, nil
}

// grace is given to a machine that is being stopped, and to a busy processor.
const grace = 250 * time.Millisecond

// patience is how long a worker is waited for.
func patience(c *Config) time.Duration { return 2*c.Timeout.Std() + grace }

func (e *Engine) fault(kind Kind, text string) *Fault {
	return &Fault{Kind: kind, File: e.config.name(), Line: e.line, Text: text}
}

func errClosed() error {
	return penstock.RetryLater(penstock.Closed, 0, "script: it was replaced by another one")
}

// Stuck returns how many workers are in an operation that cannot be stopped.
func (e *Engine) Stuck() int { return int(e.stuck.Load()) }

// Close ends the engine when the reports under way are done. Its error says that a
// worker could not be ended. It is legal twice.
func (e *Engine) Close() error {
	e.once.Do(func() { close(e.closed) })
	timer := time.NewTimer(patience(&e.config))
	defer timer.Stop()
	for n := range e.config.Workers {
		select {
		case <-e.ended:
		case <-timer.C:
			return penstock.Errorf(penstock.Unavailable, "script: %d of %d workers are in an operation that cannot be stopped", e.config.Workers-n, e.config.Workers)
		}
	}
	e.work.Wait()
	for range e.config.Workers {
		e.ended <- struct{}{} // for the next Close
	}
	return nil
}

// worker owns a machine.
type worker struct {
	engine  *Engine
	machine *machine // nil at the start, and after a fault
	jobs    chan *job
}

// job is one report on its way through a worker.
type job struct {
	controller     string
	request, state string
	settled        atomic.Bool // by the worker's reply, or by who waits no longer
	reply          chan reply  // takes one without anybody waiting
}

// reply is what a machine answered.
type reply struct {
	text  string // see answer; with a fault only what the console said
	fault *Fault
	took  time.Duration // by the script, 0 when it was not run
}

// serve works until the engine is closed.
func (w *worker) serve() {
	e := w.engine
	defer func() {
		w.discard()
		e.ended <- struct{}{}
	}()
	for {
		w.prepare() // before anybody waits for it
		e.idle <- w
		select {
		case j := <-w.jobs:
			got := w.call(j)
			if !j.settled.CompareAndSwap(false, true) {
				e.debts.free(j.controller, got.took, e.now())
				e.stuck.Add(-1)
			}
			j.reply <- got
		case <-e.closed:
			return
		}
	}
}

// call runs the script in the worker's machine.
func (w *worker) call(j *job) (got reply) {
	if fault := w.prepare(); fault != nil {
		return reply{fault: fault}
	}
	began := w.engine.now()
	got.text, got.fault = w.machine.call(j.request, j.state)
	got.took = w.engine.now().Sub(began)
	if got.fault != nil && got.fault.fresh() {
		w.discard()
	}
	return got
}

// prepare makes the worker's machine when it has none.
func (w *worker) prepare() (fault *Fault) {
	if w.machine == nil {
		w.machine, fault = newMachine(&w.engine.config, w.engine.source)
	}
	return fault
}

func (w *worker) discard() {
	if w.machine != nil {
		w.machine.close()
		w.machine = nil
	}
}
