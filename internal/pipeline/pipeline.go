package pipeline

import (
	"context"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/flow"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/pipeline/budget"
	"github.com/penstock/penstock/internal/plant"
	"github.com/penstock/penstock/internal/tracing"
)

// Intake admits what the pipeline judged.
type Intake interface {
	// Admit keeps neither js nor anything that it leads to but strings: all of it is
	// used again when Admit has returned.
	Admit(js []intake.Judged) penstock.Ticket
}

// Observer is told what the steps take.
type Observer interface {
	// Step returns what is called after each run of the named step: how long it took,
	// and for how many envelopes or reports. That is called from many goroutines and
	// must not block.
	Step(name string) func(d time.Duration, n int)
}

// Deps are what the pipeline works with.
type Deps struct {
	Fleet   *fleet.Fleet
	Intake  Intake
	Formats map[string]Format // by media type in lower case
	// Mapping returns the format of a declared mapping by its name, which is none
	// of a media type; nil where there are none. It is asked for every envelope, so
	// that a mapping can be changed.
	Mapping  func(name string) (Format, bool)
	Script   Script          // of the step of that name; nil when it is not listed
	Evidence *evidence.Book  // where signals are noted; nil for none
	Observer Observer        // nil for none
	Flow     *flow.Book      // where each call is, and since when; nil for none
	Traces   *tracing.Tracer // follows some envelopes; nil for none
	Log      *slog.Logger    // nil for none
	Now      func() time.Time
}

// Pipeline judges envelopes and hands them to the intake. It is safe for
// concurrent use.
type Pipeline struct {
	deps   Deps
	stages []stage
	faults *throttle // of the log of panics
	intake *flow.Stage
	desks  sync.Pool // of *desk
}

// faultsLogged is how many panics a second are logged with their stacks.
const faultsLogged = 5

var _ penstock.Handler = (*Pipeline)(nil)

// desk is what one call of Submit works with. It serves another call when the
// intake has what it wants of it.
type desk struct {
	judged   []intake.Judged
	passages []*passage
	slot     *flow.Slot // says where the call is
	broken   bool       // a step panicked: who knows what still points here
}

// keptPassages is how many passages a desk keeps between calls at most.
const keptPassages = 16

// passage returns the passage for the i-th envelope of the call.
func (d *desk) passage(i int, e *penstock.Envelope, traces *tracing.Tracer) *passage {
	if i == len(d.passages) {
		d.passages = append(d.passages, new(passage))
	}
	w := d.passages[i]
	w.envelope, w.slot, w.trail = e, d.slot, traces.Follow(e)
	return w
}

// clear empties the desk for another call.
func (d *desk) clear() {
	for i := range d.judged {
		w := d.passages[i]
		w.batch.reset()
		*w = passage{batch: w.batch}
	}
	clear(d.judged)
	d.judged = d.judged[:0]
	if len(d.passages) > keptPassages {
		clear(d.passages[keptPassages:])
		d.passages = d.passages[:keptPassages]
	}
}

// passage is one envelope on its way through the steps.
type passage struct {
	envelope *penstock.Envelope
	batch    Batch          // what decoding works with; items are in it
	refused  *refused       // why the envelope goes no further
	items    []intake.Item  // its reports, once decoded
	literal  bool           // whole numbers came without a type
	fresh    bool           // a report names something that the fleet has to learn
	signals  bool           // a report has values of points that tell of a link
	readings []reading      // what the reports tell of links
	budget   *budget.Budget // of the credential, to be charged for the reports
	step     string         // that is at work
	now      time.Time      // when it began
	slot     *flow.Slot     // of the call
	trail    *tracing.Trail // nil unless somebody follows the envelope
	broken   bool           // a step panicked
}

// refused says why an envelope is refused as a whole.
type refused struct {
	reason penstock.Reason
	err    error
}

// An envelopeStep judges an envelope: nil lets it pass.
type envelopeStep interface {
	onEnvelope(ctx context.Context, w *passage) *refused
}

// A reportStep judges, and may change, one report that was not refused yet: nil
// lets it pass.
type reportStep interface {
	onReport(ctx context.Context, w *passage, item *intake.Item) *fleet.Refusal
}

// A closingStep looks at the passage once its outcome is known. Any step may be
// one as well.
type closingStep interface {
	atEnd(ctx context.Context, w *passage)
}

// stage is a step in its place. At most one of envelope and report is set.
type stage struct {
	name     string
	took     func(time.Duration, int) // nil when nobody wants to know
	flow     *flow.Stage
	envelope envelopeStep
	report   reportStep
	closing  closingStep
}

// New returns the pipeline of a configuration, the default one when it is empty.
// An error of code [penstock.Invalid] names all that is wrong with it.
func New(cfg Config, deps Deps) (*Pipeline, error) {
	if len(cfg) == 0 {
		cfg = Default()
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if deps.Script == nil && slices.ContainsFunc(cfg, func(s Step) bool { return s.Script != nil }) {
		return nil, penstock.Errorf(penstock.Invalid, "script: there is nothing here that runs one")
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	p := &Pipeline{deps: deps, stages: build(cfg, deps), faults: newThrottle(faultsLogged)}
	p.intake = deps.Flow.Stage("intake", flow.Acknowledgement, "intake.(*Intake).Admit")
	p.desks.New = func() any {
		d := new(desk)
		d.slot = flow.SlotOf(deps.Flow, d)
		return d
	}
	return p, nil
}

// Submit judges the envelopes in their order and gives them to the intake in one
// call. See [penstock.Handler].
func (p *Pipeline) Submit(ctx context.Context, es []penstock.Envelope) penstock.Ticket {
	d := p.desks.Get().(*desk)
	for i := range es {
		w := d.passage(i, &es[i], p.deps.Traces)
		p.contain(ctx, w, p.pass)
		p.contain(ctx, w, p.close)
		d.judged = append(d.judged, w.judged())
		d.broken = d.broken || w.broken
	}
	readings, trails := d.readings(), d.trails()
	ticket := p.admit(d)
	if trails != nil {
		ticket = tracing.Ticket(ticket, trails)
	}
	if len(readings) > 0 {
		ticket = &noting{Ticket: ticket, book: p.deps.Evidence, readings: readings}
	}
	if !d.broken {
		d.clear()
		p.desks.Put(d)
	}
	return ticket
}

// admit hands over to the intake.
func (p *Pipeline) admit(d *desk) penstock.Ticket {
	if p.intake == nil {
		return p.deps.Intake.Admit(d.judged)
	}
	began := p.deps.Now()
	d.slot.Enter(p.intake, began)
	ticket := p.deps.Intake.Admit(d.judged)
	d.slot.Leave()
	p.intake.Took(p.deps.Now().Sub(began), len(d.judged))
	return ticket
}

// pass takes the passage through the steps. It is the only place that times them.
func (p *Pipeline) pass(ctx context.Context, w *passage) {
	w.now = p.deps.Now()
	for i := range p.stages {
		s := &p.stages[i]
		w.step = s.name
		w.slot.Enter(s.flow, w.now)
		n := s.run(ctx, w)
		now := p.deps.Now()
		if s.took != nil && n > 0 {
			s.took(now.Sub(w.now), n)
		}
		w.trail.Step(s.name, w.now, now)
		w.now = now
		if w.refused != nil {
			return
		}
	}
}

// run takes the passage through one step and returns for how many envelopes or
// reports the step worked.
func (s *stage) run(ctx context.Context, w *passage) int {
	plant.Stall(s.name)
	if s.envelope != nil {
		w.refused = s.envelope.onEnvelope(ctx, w)
		return 1
	}
	if s.report == nil {
		return 0
	}
	n := 0
	for i := range w.items {
		item := &w.items[i]
		if item.Decided() {
			continue
		}
		n++
		if refusal := s.report.onReport(ctx, w, item); refusal != nil {
			item.Reason, item.Detail = refusal.Reason, s.name+": "+refusal.Detail
		}
		if w.refused != nil {
			return n
		}
	}
	return n
}

// close lets the closing steps see the outcome.
func (p *Pipeline) close(ctx context.Context, w *passage) {
	for i := range p.stages {
		if s := &p.stages[i]; s.closing != nil {
			w.step = s.name
			s.closing.atEnd(ctx, w)
		}
	}
}

// contain keeps a panic of a step from reaching anything but its envelope. The
// books have no reason for a fault of the gateway: such input is booked as
// malformed, the answer says internal, and the log has the stack.
func (p *Pipeline) contain(ctx context.Context, w *passage, do func(context.Context, *passage)) {
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		if suppressed, ok := p.faults.allow(p.deps.Now()); ok {
			p.deps.Log.ErrorContext(ctx, "a step of the pipeline panicked; its envelope was refused",
				"stage", w.step, "source", w.envelope.Source, "peer", w.envelope.Peer, "bytes", len(w.envelope.Body),
				"panic", fault, "stack", string(debug.Stack()), "suppressed", suppressed)
		}
		w.broken = true
		w.refused = &refused{penstock.ReasonMalformed,
			penstock.Errorf(penstock.Internal, "%s: a fault of the gateway; its log says more", w.step)}
	}()
	do(ctx, w)
}

func (w *passage) judged() intake.Judged {
	if w.refused != nil {
		return intake.Judged{Err: w.refused.err, Reason: w.refused.reason}
	}
	return intake.Judged{Reports: w.items}
}
