package historian

import (
	"context"
	"errors"
	"iter"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/merge"
	"github.com/penstock/penstock/internal/historian/reduce"
)

// Bucket is the samples of one step of time.
type Bucket = reduce.Bucket

// Latest returns the sample of the series with the latest source time, and false
// when it has none. It does not step back when older samples come later. Errors:
// [penstock.NotFound].
func (h *Historian) Latest(ctx context.Context, id SeriesID) (penstock.Sample, bool, error) {
	if err := ctx.Err(); err != nil {
		return penstock.Sample{}, false, err
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	c, point, err := h.catalogue.find(id)
	if err != nil {
		return penstock.Sample{}, false, err
	}
	s, has := c.points.Latest(point)
	return s, has, nil
}

// Samples yields the samples of the series with from ≤ source time < to (in
// nanoseconds since 1970 UTC), in the order of time, those of one time in the
// order in which they were settled. They are those that were settled when the
// iteration began. An error ends it.
func (h *Historian) Samples(ctx context.Context, id SeriesID, from, to int64) iter.Seq2[penstock.Sample, error] {
	return func(yield func(penstock.Sample, error) bool) {
		s, err := h.describeSample(id)
		if err == nil {
			err = h.runs(ctx, id, from, to, func(r merge.Run) bool { return eachSample(r, &s, yield) })
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
	c, point, err := h.catalogue.find(id)
	if err != nil {
		return penstock.Sample{}, err
	}
	return penstock.Sample{Point: c.points.Name(point), Unit: c.points.Unit(point)}, nil
}

func eachSample(r merge.Run, s *penstock.Sample, yield func(penstock.Sample, error) bool) bool {
	c := r.Columns
	if c.Quality != nil || c.Kind == penstock.Text || c.Kind == penstock.None {
		for i := r.From; i < r.To; i++ {
			r.Fill(i, s)
			if !yield(*s, nil) {
				return false
			}
		}
		return true
	}
	plain := penstock.Sample{Point: s.Point, Unit: s.Unit}
	times, bits := c.Times[r.From:r.To], c.Bits[r.From:r.To]
	for i, t := range times {
		plain.SourceTime, plain.Value = t, penstock.BitsValue(c.Kind, bits[i])
		if !yield(plain, nil) {
			return false
		}
	}
	return true
}

// runs yields the samples from ≤ time < to as runs.
func (h *Historian) runs(ctx context.Context, id SeriesID, from, to int64, yield func(merge.Run) bool) (err error) {
	if from >= to {
		return nil
	}
	m, end, err := h.read(id, from, to-1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	for {
		r, ok, err := m.Next(ctx)
		if err != nil || !ok {
			return err
		}
		if !yield(r) {
			return nil
		}
	}
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
		buckets := reduce.Buckets{Step: step}
		give := func(b Bucket) bool { return yield(b, nil) }
		more := true
		err := h.runs(ctx, id, from, to, func(r merge.Run) bool {
			more = buckets.Add(r, give)
			return more
		})
		switch {
		case more && err != nil:
			yield(Bucket{}, err)
		case more:
			buckets.End(give)
		}
	}
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
		plot := reduce.NewPlot(from, to, points)
		give := func(s penstock.Sample) bool { return yield(s, nil) }
		more := true
		err = h.runs(ctx, id, from, to, func(r merge.Run) bool {
			for i := r.From; i < r.To && more; i++ {
				r.Fill(i, &s)
				more = plot.Add(&s, give)
			}
			return more
		})
		switch {
		case more && err != nil:
			yield(penstock.Sample{}, err)
		case more:
			plot.End(give)
		}
	}
}
