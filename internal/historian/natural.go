package historian

import (
	"math"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/head"
	"github.com/penstock/penstock/internal/historian/layout"
)

// sift leaves of a natural report the samples that are new, by the first write at
// (series, time).
func (s *settler) sift(r *penstock.Report, v *verdict) error {
	c, known := v.controller, &s.t.past
	points := s.t.series[v.series[0]:v.series[1]]
	fresh, noted := 0, 0
	s.keepNewest(c)
	for i, point := range points {
		sample := &r.Samples[i]
		if sample.SourceTime > c.newest[point] {
			c.newest[point] = sample.SourceTime
			fresh++
			continue
		}
		s.catchUp()
		for ; noted < i; noted++ {
			if points[noted] != head.UnknownSeries {
				known.Add(layout.NewSeriesID(c.number, points[noted]), &r.Samples[noted])
			}
		}
		same, other, err := known.Compare(layout.NewSeriesID(c.number, point), sample)
		if penstock.CodeOf(err) == penstock.Corrupt {
			*v = v.refuse("the samples of its time cannot be read")
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case same:
			points[i] = head.UnknownSeries
		case other:
			points[i] = head.UnknownSeries
			v.conflicts++
		default:
			fresh++
		}
	}
	if fresh == 0 && len(points) > 0 {
		v.settlement = penstock.StoredTwice
	}
	return nil
}

// keepNewest makes the newest times of the controller's points as long as its
// points: from the latest samples and from what this transaction has stored.
func (s *settler) keepNewest(c *controller) {
	if len(c.newest) == c.points.Len() {
		return // it was kept up since
	}
	for point := len(c.newest); point < c.points.Len(); point++ {
		latest, has := c.points.LatestTime(uint32(point))
		if !has {
			latest = math.MinInt64
		}
		c.newest = append(c.newest, latest)
	}
	for i := range s.t.marks {
		if m := &s.t.marks[i]; m.controller == c {
			for k, point := range s.t.series[m.series[0]:m.series[1]] {
				if point != head.UnknownSeries {
					c.newest[point] = max(c.newest[point], m.report.Samples[k].SourceTime)
				}
			}
		}
	}
}

// catchUp notes what the reports before this one have stored.
func (s *settler) catchUp() {
	t := &s.t
	for ; t.noted < len(t.marks); t.noted++ {
		m := &t.marks[t.noted]
		for k, point := range t.series[m.series[0]:m.series[1]] {
			if point != head.UnknownSeries {
				t.past.Add(layout.NewSeriesID(m.controller.number, point), &m.report.Samples[k])
			}
		}
	}
}
