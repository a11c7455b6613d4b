package historian

import (
	"context"
	"errors"
	"iter"
	"math"

	"github.com/penstock/penstock"
)

// Latest returns the sample of the series with the latest source time, and false
// when it has none. It does not step back when older samples come later. Errors:
// [penstock.NotFound].
func (h *Historian) Latest(ctx context.Context, id SeriesID) (penstock.Sample, bool, error) {
	if err := ctx.Err(); err != nil {
		return penstock.Sample{}, false, err
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	_, s, err := h.catalogue.find(id)
	if err != nil {
		return penstock.Sample{}, false, err
	}
	latest := s.latest
	latest.Point, latest.Unit = s.point, s.unit
	return latest, s.has, nil
}

// Samples yields the samples of the series with from ≤ source time < to (in
// nanoseconds since 1970 UTC), in the order of time, those of one time in the
// order in which they were settled. They are those that were settled when the
// iteration began. An error ends it.
func (h *Historian) Samples(ctx context.Context, id SeriesID, from, to int64) iter.Seq2[penstock.Sample, error] {
	return func(yield func(penstock.Sample, error) bool) {
		s, err := h.describeSample(id)
		if err == nil {
			err = h.runs(ctx, id, from, to, func(r run) bool { return eachSample(r, &s, yield) })
		}
		if err != nil {
			yield(penstock.Sample{}, err)
		}
	}
}

// describeSample returns a sample with the point and unit of the series.
func (h *Historian) describeSample(id SeriesID) (penstock.Sample, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	_, s, err := h.catalogue.find(id)
	if err != nil {
		return penstock.Sample{}, err
	}
	return penstock.Sample{Point: s.point, Unit: s.unit}, nil
}

func eachSample(r run, s *penstock.Sample, yield func(penstock.Sample, error) bool) bool {
	for i := r.from; i < r.to; i++ {
		r.fill(i, s)
		if !yield(*s, nil) {
			return false
		}
	}
	return true
}

// fill sets what differs from sample to sample.
func (r run) fill(i int, s *penstock.Sample) {
	q := r.columns.QualityAt(i)
	s.SourceTime, s.Value = r.columns.Times[i], r.columns.Value(i)
	s.Status, s.Native, s.Flags = q.Status, q.Native, q.Flags
}

// runs yields the samples from ≤ time < to as runs.
func (h *Historian) runs(ctx context.Context, id SeriesID, from, to int64, yield func(run) bool) (err error) {
	if from >= to {
		return nil
	}
	v, err := h.view(id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	m := v.merge(from, to-1)
	if err := m.addHead(); err != nil {
		return err
	}
	for {
		r, ok, err := m.next(ctx)
		if err != nil || !ok {
			return err
		}
		if !yield(r) {
			return nil
		}
	}
}

// Bucket is the samples of one step of time. Min, Max, Sum, First and Last are of
// the Count samples that are numbers and not bad; they mean nothing when Count
// is 0.
type Bucket struct {
	Start       int64 // nanoseconds since 1970 UTC
	Count       uint64
	Unusable    uint64 // samples that are bad, missing, text or not a number
	Min, Max    float64
	Sum         float64
	First, Last penstock.Value
	Worst       penstock.Status // of the worst severity among all samples
}

func (b *Bucket) add(v penstock.Value, status penstock.Status) {
	if status.Worse(b.Worst) {
		b.Worst = status
	}
	x, ok := v.Number()
	if !ok || status.IsBad() || math.IsNaN(x) {
		b.Unusable++
		return
	}
	if b.Count == 0 {
		b.Min, b.Max, b.First = x, x, v
	}
	b.Min, b.Max = min(b.Min, x), max(b.Max, x)
	b.Sum += x
	b.Last = v
	b.Count++
}

// Aggregates yields a bucket for each step in which there are samples of
// [from, to), in nanoseconds. Steps begin at multiples of step since 1970 UTC.
// It reads as [Historian.Samples] does. A step below 1 is [penstock.Invalid].
func (h *Historian) Aggregates(ctx context.Context, id SeriesID, from, to, step int64) iter.Seq2[Bucket, error] {
	return func(yield func(Bucket, error) bool) {
		if step < 1 {
			yield(Bucket{}, penstock.Errorf(penstock.Invalid, "a step has at least 1 ns, not %d", step))
			return
		}
		var b Bucket
		begun, more := false, true
		err := h.runs(ctx, id, from, to, func(r run) bool {
			for i := r.from; i < r.to && more; i++ {
				start := floor(r.columns.Times[i], step)
				if begun && start != b.Start {
					more = yield(b, nil)
				}
				if !begun || start != b.Start {
					b, begun = Bucket{Start: start}, true
				}
				b.add(r.columns.Value(i), penstock.Status(r.columns.QualityAt(i).Status))
			}
			return more
		})
		if more && err == nil && begun {
			more = yield(b, nil)
		}
		if more && err != nil {
			yield(Bucket{}, err)
		}
	}
}

// floor returns the last multiple of step that is not after t.
func floor(t, step int64) int64 {
	rest := t % step
	if rest < 0 {
		rest += step
	}
	if t < math.MinInt64+rest {
		return math.MinInt64 // the first step of all is cut off by the range of time
	}
	return t - rest
}

// Plot yields about as many samples of [from, to) as there are points to draw,
// chosen so that a line through them looks like one through all: of each slice
// of time the first, the lowest, the highest, the last, and the first of the
// worst status. No spike is hidden. It reads as [Historian.Samples] does.
func (h *Historian) Plot(ctx context.Context, id SeriesID, from, to int64, points int) iter.Seq2[penstock.Sample, error] {
	return func(yield func(penstock.Sample, error) bool) {
		s, err := h.describeSample(id)
		if err != nil {
			yield(s, err)
			return
		}
		const perSlice = 5
		slices := uint64(max(1, points/perSlice))
		width := (uint64(to)-uint64(from))/slices + 1
		var p slice
		var end uint64
		more := true
		err = h.runs(ctx, id, from, to, func(r run) bool {
			for i := r.from; i < r.to && more; i++ {
				r.fill(i, &s)
				distance := uint64(s.SourceTime) - uint64(from)
				if distance >= end {
					more = p.emit(yield)
					p = slice{}
					end = (distance/width + 1) * width
				}
				p.add(&s)
			}
			return more
		})
		if more && err == nil {
			more = p.emit(yield)
		}
		if more && err != nil {
			yield(penstock.Sample{}, err)
		}
	}
}

// slice is what a plot keeps of a stretch of time.
type slice struct {
	count                          int
	first, last, low, high, worst  penstock.Sample
	lowAt, highAt, worstAt, lastAt int // counted from 1; 0 for none
}

func (p *slice) add(s *penstock.Sample) {
	p.count++
	if p.count == 1 {
		p.first = *s
	}
	p.last, p.lastAt = *s, p.count
	if p.worstAt == 0 && !s.Status.IsGood() || s.Status.Worse(p.worst.Status) {
		p.worst, p.worstAt = *s, p.count
	}
	x, ok := s.Value.Number()
	if !ok || s.Status.IsBad() || math.IsNaN(x) {
		return
	}
	if low, _ := p.low.Value.Number(); p.lowAt == 0 || x < low {
		p.low, p.lowAt = *s, p.count
	}
	if high, _ := p.high.Value.Number(); p.highAt == 0 || x > high {
		p.high, p.highAt = *s, p.count
	}
}

// emit yields what the slice keeps in the order of time, each sample once.
func (p *slice) emit(yield func(penstock.Sample, error) bool) bool {
	if p.count == 0 {
		return true
	}
	kept := [...]struct {
		at int
		s  *penstock.Sample
	}{{1, &p.first}, {p.lowAt, &p.low}, {p.highAt, &p.high}, {p.worstAt, &p.worst}, {p.lastAt, &p.last}}
	for done := 0; ; {
		next := -1
		for i, k := range kept {
			if k.at > done && (next < 0 || k.at < kept[next].at) {
				next = i
			}
		}
		if next < 0 {
			return true
		}
		if !yield(*kept[next].s, nil) {
			return false
		}
		done = kept[next].at
	}
}
