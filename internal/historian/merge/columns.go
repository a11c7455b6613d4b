package merge

import (
	"cmp"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/chunk"
	"github.com/penstock/penstock/internal/historian/layout"
)

// Fill sets what differs from sample to sample.
func (r Run) Fill(i int, s *penstock.Sample) {
	q := r.Columns.QualityAt(i)
	s.SourceTime, s.Value = r.Columns.Times[i], r.Columns.Value(i)
	s.Status, s.Native, s.Flags = q.Status, q.Native, q.Flags
}

// Columns sorts samples by time, keeping the order of equal times, and splits
// them where the kind or the day changes or a chunk is full.
func Columns(samples []penstock.Sample) []*chunk.Columns {
	byTime := func(a, b penstock.Sample) int { return cmp.Compare(a.SourceTime, b.SourceTime) }
	if !slices.IsSortedFunc(samples, byTime) {
		slices.SortStableFunc(samples, byTime)
	}
	var all []*chunk.Columns
	var now *chunk.Columns
	var day layout.Day
	for i := range samples {
		s := &samples[i]
		if now == nil || layout.DayOf(s.SourceTime) != day || !now.Append(s) {
			now, day = new(chunk.Columns), layout.DayOf(s.SourceTime)
			now.Append(s)
			all = append(all, now)
		}
	}
	return all
}
