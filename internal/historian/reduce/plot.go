package reduce

import (
	"math"

	"github.com/penstock/penstock"
)

// perSlice is how many samples a plot keeps of a slice of time at most.
const perSlice = 5

// Plot chooses samples, which come in the order of time, so that a line through
// those chosen looks like one through all: of each slice of time the first, the
// lowest, the highest, the last, and the first of the worst status.
type Plot struct {
	from, width uint64
	end         uint64 // of the slice under way, as distance from from
	now         slice
}

// NewPlot returns a plot of the times from ≤ t < to with about so many points.
func NewPlot(from, to int64, points int) *Plot {
	slices := uint64(max(1, points/perSlice))
	return &Plot{from: uint64(from), width: (uint64(to)-uint64(from))/slices + 1}
}

// Add adds a sample, and yields those chosen of a slice that has ended. It tells
// whether yield wants more.
func (p *Plot) Add(s *penstock.Sample, yield func(penstock.Sample) bool) bool {
	distance := uint64(s.SourceTime) - p.from
	if distance >= p.end {
		if !p.End(yield) {
			return false
		}
		p.end = (distance/p.width + 1) * p.width
	}
	p.now.add(s)
	return true
}

// End yields the samples chosen of the last slice.
func (p *Plot) End(yield func(penstock.Sample) bool) bool {
	more := p.now.emit(yield)
	p.now = slice{}
	return more
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
func (p *slice) emit(yield func(penstock.Sample) bool) bool {
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
		if !yield(*kept[next].s) {
			return false
		}
		done = kept[next].at
	}
}
