package fleet

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"unique"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/fleet/name"
	"github.com/penstock/penstock/internal/fleet/point"
)

// Point is what the fleet tells of a point.
type Point struct {
	Name        string
	Kind        penstock.Kind     // None until a first value came
	Provisional bool              // a whole number so far, becomes float64 with the first that is not
	Unit        string            // UCUM, empty until a report states it
	Min, Max    *float64          // what is taken, nil for no limit
	Signal      evidence.Quantity // what it tells of the controller's link; empty for nothing
}

// Findings are what [Fleet.Check] finds in a report that it does not refuse.
type Findings struct {
	Fresh   bool // it names something that is to be learned
	Signals bool // it has values of points that tell of the controller's link
}

// Check fits the values of the report to the types of its points, in place, and
// tells what is to be done about the report, or why it is refused. It changes
// nothing in the fleet. A report in which Check found nothing fresh is judged with
// it; another one is judged again by [Fleet.Learn].
func (f *Fleet) Check(r *penstock.Report) (found Findings, refusal *Refusal) {
	c := f.find(r.Controller)
	if c == nil {
		return found, refuseUnknown("controller %q is not registered", r.Controller)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	for i := range r.Samples {
		s := &r.Samples[i]
		p, known := c.points[s.Point]
		if !known || p.Learns(s) {
			found.Fresh = true
			continue
		}
		if p.Rules != nil && p.Rules.Signal != "" {
			found.Signals = true
		}
		if p.Plain(s) {
			continue
		}
		if refusal := p.Fit(r.Controller, s); refusal != nil {
			if !p.Provisional || refusal.Reason != penstock.ReasonType {
				return found, refusal
			}
			found.Fresh = true // a later sample may widen the point
		}
	}
	return found, nil
}

// Learn takes the points of a report that passed the whole pipeline into the
// catalogue, all or, with a refusal, none of them. It judges the report anew
// under the controller's lock: of two first sights that contradict each other
// the one that comes first makes the point, and the other is refused. Literal
// says that whole numbers came without a type, as in JSON; a point that is
// learned from one becomes float64 when the first number with a fraction comes.
func (f *Fleet) Learn(r *penstock.Report, literal bool) *Refusal {
	c := f.find(r.Controller)
	if c == nil {
		return refuseUnknown("controller %q is not registered", r.Controller)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := map[string]point.State{}
	added := 0
	for i := range r.Samples {
		s := &r.Samples[i]
		p, known := changed[s.Point]
		if !known {
			p, known = c.points[s.Point]
		}
		if !known {
			if err := name.CheckPoint(s.Point); err != nil {
				return &Refusal{Reason: penstock.ReasonName, Detail: err.Error()}
			}
			p = point.State{Rules: point.Combine(f.declared.Of(r.Controller, s.Point), c.imported[s.Point])}
			added++
		}
		if known && !p.Learns(s) {
			continue
		}
		if err := penstock.CheckUnit(s.Unit); err != nil {
			return &Refusal{Reason: penstock.ReasonUnit, Detail: fmt.Sprintf("point %q: %v", s.Point, err)}
		}
		changed[s.Point] = p.Taught(s, literal)
	}
	// Only now is it certain what each point is: a later sample may have widened it.
	for i := range r.Samples {
		s := &r.Samples[i]
		p, ok := changed[s.Point]
		if !ok {
			p = c.points[s.Point]
		}
		if refusal := p.Fit(r.Controller, s); refusal != nil {
			return refusal
		}
	}
	if refusal := f.reserve(c, added); refusal != nil {
		return refusal
	}
	c.apply(changed)
	return nil
}

// apply puts the points into the catalogue, without the report's memory.
func (c *controller) apply(changed map[string]point.State) {
	for name, p := range changed {
		if _, known := c.points[name]; !known {
			name = strings.Clone(name)
		}
		p.Unit = unique.Make(p.Unit).Value() // a fleet has few units and many points
		c.points[name] = p
	}
}

// reserve counts points that are about to be added, if the limits allow them.
func (f *Fleet) reserve(c *controller, added int) *Refusal {
	if added == 0 {
		return nil
	}
	if len(c.points)+added > f.limits.PointsPerController {
		return &Refusal{Reason: penstock.ReasonUnknown, Detail: fmt.Sprintf("controller %q has %d points, and %d more would pass the limit of %d", c.name, len(c.points), added, f.limits.PointsPerController)}
	}
	if total := f.points.Add(int64(added)); total > int64(f.limits.Points) {
		f.points.Add(-int64(added))
		return &Refusal{Reason: penstock.ReasonUnknown, Detail: fmt.Sprintf("%d new points of controller %q would pass the gateway's limit of %d points", added, c.name, f.limits.Points)}
	}
	return nil
}

// LearnPoint teaches what the historian keeps of a point, at the start, whatever
// the limits are. An error of code [penstock.Conflict] says that the
// configuration declares another type than the one that is stored. Against an
// import what is stored holds.
func (f *Fleet) LearnPoint(controller, name string, kind penstock.Kind, unit string, provisional bool) error {
	c, err := f.ensure(controller, int(^uint(0)>>1))
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := point.State{Kind: kind, Unit: unit}
	p.Provisional = provisional && (kind == penstock.Int64 || kind == penstock.Uint64)
	configured := f.declared.Of(controller, name)
	if configured != nil {
		want := configured.Kind
		switch {
		case kind == penstock.None || want == penstock.None:
		case point.Numeric(want) && point.Numeric(kind):
			p.Kind, p.Provisional = want, false
		case want != kind:
			return penstock.Errorf(penstock.Conflict, "point %q of controller %q is declared %s, but %s is stored: declare it %s, or give the point another name", name, controller, want, kind, kind)
		}
		if configured.Unit != "" {
			p.Unit = configured.Unit
		}
	}
	p = p.Ruled(point.Combine(configured, c.imported[name]))
	if _, known := c.points[name]; !known {
		f.points.Add(1)
	}
	c.apply(map[string]point.State{name: p})
	return nil
}

// Points returns the points of a controller sorted by name, nil when it is not
// registered.
func (f *Fleet) Points(controller string) []Point {
	c := f.find(controller)
	if c == nil {
		return nil
	}
	c.mu.RLock()
	all := make([]Point, 0, len(c.points))
	for name, p := range c.points {
		all = append(all, public(name, p))
	}
	c.mu.RUnlock()
	slices.SortFunc(all, func(a, b Point) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func public(name string, p point.State) Point {
	shown := Point{Name: name, Kind: p.Kind, Provisional: p.Provisional, Unit: p.Unit}
	if p.Rules == nil {
		return shown
	}
	if p.Kind == penstock.None {
		shown.Kind = p.Rules.Kind
	}
	if p.Unit == "" {
		shown.Unit = p.Rules.Unit
	}
	if shown.Kind != penstock.None && !point.Numeric(shown.Kind) {
		return shown // it has neither limits nor a signal, whatever is declared
	}
	declared := p.Rules.Declaration()
	shown.Min, shown.Max = declared.Min, declared.Max
	if signal := p.Rules.Signal; shown.Unit == "" || shown.Unit == signal.Unit() {
		shown.Signal = signal
	}
	return shown
}

// Signals yields what the samples of the report tell of the controller's link:
// the values that are good to use, of points that are declared to do so, unless a
// report stated another unit than the quantity's. To be called when the report
// was learned.
func (f *Fleet) Signals(r *penstock.Report) iter.Seq2[evidence.Quantity, float64] {
	return func(yield func(evidence.Quantity, float64) bool) {
		c := f.find(r.Controller)
		if c == nil {
			return
		}
		c.mu.RLock()
		defer c.mu.RUnlock()
		for i := range r.Samples {
			s := &r.Samples[i]
			p := c.points[s.Point]
			if p.Rules == nil || p.Rules.Signal == "" || s.Status.IsBad() || p.Unit != "" && p.Unit != p.Rules.Signal.Unit() {
				continue
			}
			if v, ok := s.Value.Number(); ok && !yield(p.Rules.Signal, v) {
				return
			}
		}
	}
}
