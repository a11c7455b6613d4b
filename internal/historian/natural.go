package historian

import (
	"context"
	"math"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/head"
	"github.com/penstock/penstock/internal/historian/layout"
)

// Samples of one series are read ahead for look-ups by a window of this length,
// or of this many samples: resends and backfills come in the order of time.
const (
	windowLength  = 3600 * 1_000_000_000
	windowSamples = 16 << 10
	maxWindows    = 256
)

// content is what makes two samples at one time the same.
type content struct {
	value  penstock.Value
	status penstock.Status
	native uint32
}

func contentOf(s *penstock.Sample) content { return content{s.Value, s.Status, s.Native} }

type sampleAt struct {
	id   SeriesID
	time int64
}

// window is the settled samples of a series in a stretch of time.
type window struct {
	first, last int64
	samples     map[int64][]content
}

// natural is what a transaction knows for judging natural reports. Most need
// none of it: what is newer than all of its series is new.
type natural struct {
	pending map[sampleAt][]content // stored by this transaction
	marks   int                    // how many marks are in pending
	windows map[SeriesID]*window
}

func (n *natural) add(c *controller, point uint32, s *penstock.Sample) {
	if n.pending == nil {
		n.pending = map[sampleAt][]content{}
	}
	at := sampleAt{layout.NewSeriesID(c.number, point), s.SourceTime}
	n.pending[at] = append(n.pending[at], contentOf(s))
}

// sift leaves of a natural report the samples that are new, by the first write at
// (series, time).
func (s *settler) sift(r *penstock.Report, v *verdict) error {
	c, n := v.controller, &s.t.natural
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
				n.add(c, points[noted], &r.Samples[noted])
			}
		}
		same, other, err := s.compare(layout.NewSeriesID(c.number, point), sample)
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
	for ; t.natural.marks < len(t.marks); t.natural.marks++ {
		m := &t.marks[t.natural.marks]
		for k, point := range t.series[m.series[0]:m.series[1]] {
			if point != head.UnknownSeries {
				t.natural.add(m.controller, point, &m.report.Samples[k])
			}
		}
	}
}

// compare tells whether the series has the same sample, or another, at its time.
func (s *settler) compare(id SeriesID, sample *penstock.Sample) (same, other bool, err error) {
	w, err := s.window(id, sample.SourceTime)
	if err != nil {
		return false, false, err
	}
	want := contentOf(sample)
	for _, there := range [2][]content{s.t.natural.pending[sampleAt{id, sample.SourceTime}], w.samples[sample.SourceTime]} {
		for _, have := range there {
			same = same || have == want
			other = other || have != want
		}
	}
	return same, other, nil
}

// window returns the settled samples around a time.
func (s *settler) window(id SeriesID, at int64) (*window, error) {
	n := &s.t.natural
	if w := n.windows[id]; w != nil && at >= w.first && at <= w.last {
		return w, nil
	}
	if n.windows == nil || len(n.windows) >= maxWindows {
		n.windows = map[SeriesID]*window{}
	}
	w := &window{first: at, last: at, samples: map[int64][]content{}}
	if at < math.MaxInt64-windowLength {
		w.last = at + windowLength
	}
	v, err := s.h.view(id)
	if err != nil {
		return nil, err
	}
	defer v.close()
	m, err := v.merge(w.first, w.last)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	count := 0
	for {
		run, ok, err := m.Next(context.Background())
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		for i := run.From; i < run.To; i++ {
			t := run.Columns.Times[i]
			if count >= windowSamples && t > at {
				w.last = t - 1
				n.windows[id] = w
				return w, nil
			}
			q := run.Columns.QualityAt(i)
			w.samples[t] = append(w.samples[t], content{run.Columns.Value(i), q.Status, q.Native})
			count++
		}
	}
	n.windows[id] = w
	return w, nil
}
