// Package reduce makes less of many samples: sums over steps of time, and what a
// plot needs.
package reduce

import (
	"math"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/merge"
)

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

// Buckets gathers samples, which come in the order of time, step by step. Steps
// begin at multiples of Step since 1970 UTC.
type Buckets struct {
	Step int64 // nanoseconds, at least 1

	now   Bucket
	begun bool
}

// Add adds a run, and yields the buckets that end before its last sample. It
// tells whether yield wants more.
func (b *Buckets) Add(r merge.Run, yield func(Bucket) bool) bool {
	for r.From < r.To {
		at := r.Columns.Times[r.From]
		if start := floor(at, b.Step); !b.begun || start != b.now.Start {
			if !b.End(yield) {
				return false
			}
			b.now, b.begun = Bucket{Start: start}, true
		}
		part := r
		part.To = reach(r, ceiling(at, b.Step))
		b.now.add(part)
		r.From = part.To
	}
	return true
}

// End yields the last bucket, when there is one.
func (b *Buckets) End(yield func(Bucket) bool) bool {
	if !b.begun {
		return true
	}
	b.begun = false
	return yield(b.now)
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

// ceiling returns the last time of the step that t is in.
func ceiling(t, step int64) int64 {
	rest := t % step
	if rest < 0 {
		rest += step
	}
	if last := t + (step - 1 - rest); last >= t {
		return last
	}
	return math.MaxInt64
}

// reach returns the index of the first sample of the run that is later than last.
func reach(r merge.Run, last int64) int {
	i := r.From + 1
	for i < r.To && r.Columns.Times[i] <= last {
		i++
	}
	return i
}

// add adds the samples of r.
func (b *Bucket) add(r merge.Run) {
	c := r.Columns
	if c.Quality == nil && c.Kind == penstock.Float64 {
		b.addFloats(c.Bits[r.From:r.To])
		return
	}
	for i := r.From; i < r.To; i++ {
		q := c.QualityAt(i)
		if q.Status.Worse(b.Worst) {
			b.Worst = q.Status
		}
		v := c.Value(i)
		x, ok := v.Number()
		if !ok || q.Status.IsBad() || math.IsNaN(x) {
			b.Unusable++
			continue
		}
		if b.Count == 0 {
			b.Min, b.Max, b.First = x, x, v
		}
		b.Min, b.Max, b.Last = min(b.Min, x), max(b.Max, x), v
		b.Sum += x
		b.Count++
	}
}

// addFloats is add for what most series have: good floats.
func (b *Bucket) addFloats(bits []uint64) {
	for _, v := range bits {
		x := math.Float64frombits(v)
		if x != x {
			b.Unusable++
			continue
		}
		if b.Count == 0 {
			b.Min, b.Max, b.First = x, x, penstock.FloatValue(x)
		}
		b.Min, b.Max = min(b.Min, x), max(b.Max, x)
		b.Sum += x
		b.Count++
		b.Last = penstock.FloatValue(x)
	}
}
