// Package verdicts feeds the diagnosis from the parts of a gateway, and tells of
// what changed.
package verdicts

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/diagnose"
	"github.com/penstock/penstock/internal/diagnose/commission"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/logging"
)

// Options are the parts that are asked.
type Options struct {
	Config   diagnose.Config
	Table    commission.Table // of the records of commissionings
	Fleet    *fleet.Fleet
	Evidence *evidence.Book
	Intake   *intake.Intake
	Next     Admitter // where reports go on to
	Node     func() diagnose.Node
	Failing  func() map[string]string // sources that fail, and why
	IsLine   func(source string) bool // tells whether the source is a line that its controllers share
	Log      *slog.Logger
	Now      func() time.Time
	Changed  func(to diagnose.Cause, controllers int) // counts changes; nil for nobody
}

// Admitter admits reports.
type Admitter interface {
	Admit(js []intake.Judged) penstock.Ticket
}

// Desk has the verdicts on the fleet. It is safe for concurrent use.
type Desk struct {
	Options
	watch *diagnose.Watch
	bench *commission.Bench
}

// Open returns a desk that has seen nothing yet.
func Open(o Options) (*Desk, error) {
	bench, err := commission.Open(o.Table)
	if err != nil {
		return nil, err
	}
	return &Desk{Options: o, watch: diagnose.New(o.Config, o.Now()), bench: bench}, nil
}

// Admit lets the diagnosis see what comes to the intake.
func (d *Desk) Admit(js []intake.Judged) penstock.Ticket {
	now := d.Now().UnixNano()
	for i := range js {
		for k := range js[i].Reports {
			item := &js[i].Reports[k]
			if item.Reason != "" && !item.Trusted {
				continue // who knows whose it is
			}
			admitted := now
			if item.Forwarded {
				admitted = item.Report.ReceivedTime // how long it was on its way says nothing of this gateway
			}
			d.watch.Arrived(diagnose.ArrivalOf(item.Report, admitted, item.Reason))
			d.bench.Report(item.Report, item.Reason)
		}
	}
	return d.Next.Admit(js)
}

// Settled lets the diagnosis see what the record has.
func (d *Desk) Settled(rs []*penstock.Report) {
	now := d.Now().UnixNano()
	for _, r := range rs {
		d.watch.Settled(r.Controller, diagnose.HopsOf(r, now))
	}
}

// beatEvery is how finely it is seen that the gateway stands still.
const beatEvery = 200 * time.Millisecond

// Run judges again and again until ctx ends.
func (d *Desk) Run(ctx context.Context) error {
	judge, commissions, beat := time.NewTicker(d.Config.Step()), time.NewTicker(time.Second), time.NewTicker(beatEvery)
	for _, t := range []*time.Ticker{judge, commissions, beat} {
		defer t.Stop()
	}
	// By the clock that nobody sets: how late the beats are tells whether the gateway
	// stood still, and for how long.
	last, stood := time.Now(), time.Duration(0)
	feel := func() {
		stood = max(stood, time.Since(last)-beatEvery)
		last = time.Now()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			feel()
		case <-commissions.C:
			d.finish()
		case <-judge.C:
			feel()
			d.judge(stood)
			last, stood = time.Now(), 0 // what judging took is nobody's standstill
		}
	}
}

func (d *Desk) finish() {
	done, err := d.bench.Step(d.Now())
	if err != nil {
		d.Log.Error("the record of a commissioning could not be written; it is lost at the next start", logging.Err, err)
	}
	for _, r := range done {
		d.Log.Info("a commissioning is done", logging.Controller, r.Controller, "passed", r.Passed, "by", r.By)
	}
}

func (d *Desk) judge(stood time.Duration) {
	facts := diagnose.Facts{Now: d.Now(), Stood: stood, Node: d.Node(), Book: d.Evidence, Failing: d.Failing()}
	for _, c := range d.Fleet.Controllers() {
		facts.Controllers = append(facts.Controllers, d.known(&c))
	}
	d.tell(d.watch.Step(facts))
}

func (d *Desk) known(c *fleet.Controller) diagnose.Known {
	k := diagnose.Known{
		Name: c.Name, Site: c.Site, Line: c.Line, Source: c.Source, Held: c.State == fleet.Held, LastSeen: c.LastSeen,
	}
	if d.IsLine(c.Source) {
		k.Port = c.Source
		k.Line = cmp.Or(k.Line, c.Source)
	}
	_, k.Missing, _ = d.Intake.Arrivals(c.Name)
	return k
}

// tell logs the changes, one line for all that changed alike: a store that stands
// has thousands of controllers in trouble, and one cause.
func (d *Desk) tell(changes []diagnose.Change) {
	type alike struct {
		from, to diagnose.Cause
		scope    diagnose.Scope
	}
	groups := map[alike][]*diagnose.Change{}
	for i := range changes {
		c := &changes[i]
		scope := c.To.Scope
		if c.To.Cause == diagnose.Healthy {
			scope = c.From.Scope
		}
		at := alike{c.From.Cause, c.To.Cause, scope}
		groups[at] = append(groups[at], c)
		if d.Changed != nil {
			d.Changed(c.To.Cause, 1)
		}
	}
	keys := slices.SortedFunc(maps.Keys(groups), func(a, b alike) int {
		return cmp.Or(cmp.Compare(a.scope.Of, b.scope.Of), cmp.Compare(a.scope.Name, b.scope.Name), cmp.Compare(a.to, b.to), cmp.Compare(a.from, b.from))
	})
	for _, at := range keys {
		d.logChange(groups[at], at.scope)
	}
}

func (d *Desk) logChange(changes []*diagnose.Change, scope diagnose.Scope) {
	best := changes[0]
	for _, c := range changes {
		if c.To.Confidence > best.To.Confidence {
			best = c
		}
	}
	level := slog.LevelWarn
	attrs := []any{
		logging.Controller, best.Controller, "controllers", len(changes), "from", string(best.From.Cause), "verdict", string(best.To.Cause),
		"of", string(scope.Of), "name", scope.Name,
	}
	if best.To.Cause == diagnose.Healthy {
		level = slog.LevelInfo
	} else {
		attrs = append(attrs, "rule", best.To.Rule, "confidence", best.To.Confidence, "evidence", best.To.For, "send", best.To.Send)
	}
	if best.To.Cause == diagnose.Unclear {
		attrs = append(attrs, "between", []string{string(best.To.Between[0]), string(best.To.Between[1])})
	}
	d.Log.Log(context.Background(), level, "the verdict changed", attrs...)
}

// Overview returns the causes that stand.
func (d *Desk) Overview(f diagnose.Filter) diagnose.Overview { return d.watch.Overview(d.Now(), f) }

// Detail returns what is known of a controller.
func (d *Desk) Detail(controller string) (diagnose.Detail, bool) {
	return d.watch.Detail(controller, d.Now())
}

// Records returns the commissionings of a controller, the newest first.
func (d *Desk) Records(controller string) []commission.Record { return d.bench.Records(controller) }

// Commission begins one. The error's code is NotFound for a controller that is not
// registered.
func (d *Desk) Commission(controller, by string, length, every time.Duration) (commission.Record, error) {
	c, ok := d.Fleet.Controller(controller)
	if !ok || c.State == fleet.Held {
		return commission.Record{}, penstock.Errorf(penstock.NotFound,
			"%q is no registered controller: import it, admit it, or let it report once", controller)
	}
	o := commission.Order{Controller: d.known(&c), By: by, For: length, Every: every, Book: d.Evidence}
	for _, p := range d.Fleet.Points(controller) {
		o.Points = append(o.Points, p.Name)
	}
	o.Margins, o.LinkType = d.Config.Margins(controller)
	return d.bench.Begin(o, d.Now())
}

// Counts returns how many controllers each verdict stands on.
func (d *Desk) Counts() map[diagnose.Cause]int { return d.watch.Counts() }

// Standings returns how each controller stands, in the order of their names.
func (d *Desk) Standings() []diagnose.Standing { return d.watch.Standings(d.Now()) }
