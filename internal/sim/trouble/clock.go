package trouble

import (
	"context"
	"math"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sim"
)

// mark is added to the times of a wrong clock. The simulated controllers have whole
// milliseconds, so that the checker can tell such a time, and set it right again.
const mark = 137 * time.Microsecond

// step returns how far a clock steps: seconds to an hour, forward or back.
func (b *Break) step() time.Duration {
	by := time.Duration(math.Exp(math.Log(3)+b.Severity*math.Log(1200))*1000) * time.Millisecond
	if b.Way == 0 {
		by = -by
	}
	return by + mark
}

// clocked returns the report with the times that the controller's clock shows: those
// of reports made since it stepped are wrong, also in what is sent again.
func (p *Plant) clocked(controller int, r *penstock.Report) *penstock.Report {
	for i := range p.Breaks {
		b := &p.Breaks[i]
		if b.Kind != Clock || !b.Takes(&p.Places[controller]) || len(r.Samples) == 0 {
			continue
		}
		made := time.Unix(0, r.Samples[0].SourceTime).Sub(p.begun)
		if made < b.Start || b.For != 0 && made >= b.Start+b.For {
			continue
		}
		wrong := *r
		wrong.Samples = append([]penstock.Sample(nil), r.Samples...)
		for k := range wrong.Samples {
			wrong.Samples[k].SourceTime += int64(b.step())
		}
		return &wrong
	}
	return r
}

// Store reads a store as if no clock had been wrong.
func (p *Plant) Store(inner sim.Store) sim.Store { return &store{inner, p} }

type store struct {
	sim.Store
	plant *Plant
}

// Samples implements [sim.Store].
func (s *store) Samples(ctx context.Context, controller string, from int64, yield func(sim.Stored) error) error {
	var by []time.Duration
	for i := range s.plant.Breaks {
		if b := &s.plant.Breaks[i]; b.Kind == Clock && b.Target == controller {
			by = append(by, b.step())
			from = min(from, from+int64(b.step()))
		}
	}
	return s.Store.Samples(ctx, controller, from, func(v sim.Stored) error {
		if len(by) > 0 && time.Duration(v.Time)%time.Millisecond == mark {
			v.Time -= int64(by[0])
		}
		return yield(v)
	})
}
