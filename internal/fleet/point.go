package fleet

import (
	"fmt"
	"slices"
	"strings"
	"unique"

	"github.com/penstock/penstock"
)

// Point is what the fleet tells of a point.
type Point struct {
	Name        string
	Kind        penstock.Kind // None until a first value came
	Provisional bool          // a whole number so far, becomes float64 with the first that is not
	Unit        string        // UCUM, empty until a report states it
	Min, Max    float64       // what is taken, meaningful when Limited
	Limited     bool
}

// point is a point of a registered controller. It is small and copied.
type point struct {
	kind        penstock.Kind
	provisional bool // kind was guessed from a whole number without a type
	declared    bool // kind stands in the configuration
	unit        string
	limits      *limits
}

// limits are the smallest and the largest value of a point.
type limits struct{ min, max float64 }

// Check fits the values of the report to the types of its points, in place, and
// tells whether it names something that is to be learned, or why it is refused.
// It changes nothing in the fleet. A report whose Check found nothing new is
// judged with it; another one is judged again by [Fleet.Learn].
func (f *Fleet) Check(r *penstock.Report) (fresh bool, refusal *Refusal) {
	c := f.find(r.Controller)
	if c == nil {
		return false, refuseUnknown("controller %q is not registered", r.Controller)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	for i := range r.Samples {
		s := &r.Samples[i]
		p, known := c.points[s.Point]
		if !known || p.learns(s) {
			fresh = true
			continue
		}
		if p.plain(s) {
			continue
		}
		if refusal := p.fit(r.Controller, s); refusal != nil {
			if !p.provisional || refusal.Reason != penstock.ReasonType {
				return fresh, refusal
			}
			fresh = true // a later sample may widen the point
		}
	}
	return fresh, nil
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
	changed := map[string]point{}
	added := 0
	for i := range r.Samples {
		s := &r.Samples[i]
		p, known := changed[s.Point]
		if !known {
			p, known = c.points[s.Point]
		}
		if !known {
			if err := checkPointName(s.Point); err != nil {
				return &Refusal{penstock.ReasonName, err.Error()}
			}
			p = f.declared.of(r.Controller, s.Point)
			added++
		}
		if known && !p.learns(s) {
			continue
		}
		if err := penstock.CheckUnit(s.Unit); err != nil {
			return &Refusal{penstock.ReasonUnit, fmt.Sprintf("point %q: %v", s.Point, err)}
		}
		changed[s.Point] = p.taught(s, literal)
	}
	// Only now is it certain what each point is: a later sample may have widened it.
	for i := range r.Samples {
		s := &r.Samples[i]
		p, ok := changed[s.Point]
		if !ok {
			p = c.points[s.Point]
		}
		if refusal := p.fit(r.Controller, s); refusal != nil {
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
func (c *controller) apply(changed map[string]point) {
	for name, p := range changed {
		if _, known := c.points[name]; !known {
			name = strings.Clone(name)
		}
		p.unit = unique.Make(p.unit).Value() // a fleet has few units and many points
		c.points[name] = p
	}
}

// reserve counts points that are about to be added, if the limits allow them.
func (f *Fleet) reserve(c *controller, added int) *Refusal {
	if added == 0 {
		return nil
	}
	if len(c.points)+added > f.limits.PointsPerController {
		return &Refusal{penstock.ReasonUnknown, fmt.Sprintf("controller %q has %d points, and %d more would pass the limit of %d", c.name, len(c.points), added, f.limits.PointsPerController)}
	}
	if total := f.points.Add(int64(added)); total > int64(f.limits.Points) {
		f.points.Add(-int64(added))
		return &Refusal{penstock.ReasonUnknown, fmt.Sprintf("%d new points of controller %q would pass the gateway's limit of %d points", added, c.name, f.limits.Points)}
	}
	return nil
}

// LearnPoint teaches what the historian keeps of a point, at the start, whatever
// the limits are. An error of code [penstock.Conflict] says that the
// configuration declares another type than the one that is stored.
func (f *Fleet) LearnPoint(controller, name string, kind penstock.Kind, unit string, provisional bool) error {
	c, err := f.ensure(controller, int(^uint(0)>>1))
	if err != nil {
		return err
	}
	p := f.declared.of(controller, name)
	switch {
	case !p.declared:
		p.kind = kind
		p.provisional = provisional && (kind == penstock.Int64 || kind == penstock.Uint64)
	case p.kind != kind && kind != penstock.None && !(numeric(p.kind) && numeric(kind)):
		return penstock.Errorf(penstock.Conflict, "point %q of controller %q is declared %s, but %s is stored: declare it %s, or give the point another name", name, controller, p.kind, kind, kind)
	}
	if p.unit == "" {
		p.unit = unit
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.points[name]; !known {
		f.points.Add(1)
	}
	c.apply(map[string]point{name: p})
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
		public := Point{Name: name, Kind: p.kind, Provisional: p.provisional, Unit: p.unit}
		if p.limits != nil {
			public.Min, public.Max, public.Limited = p.limits.min, p.limits.max, true
		}
		all = append(all, public)
	}
	c.mu.RUnlock()
	slices.SortFunc(all, func(a, b Point) int { return strings.Compare(a.Name, b.Name) })
	return all
}
