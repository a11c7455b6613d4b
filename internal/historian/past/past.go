// Package past tells which samples a series has at a time already: those that are
// settled, and those of a transaction that is under way.
package past

import (
	"context"
	"math"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/historian/merge"
)

// Samples of one series are read ahead for look-ups by a window of this length,
// or of this many samples: resends and backfills come in the order of time.
const (
	windowLength  = 3600 * 1_000_000_000
	windowSamples = 16 << 10
	maxWindows    = 256
)

// Open begins to read the settled samples of a series from first to last, both
// included. The reader is done with them when it calls end.
type Open func(id layout.SeriesID, first, last int64) (m *merge.Merger, end func() error, err error)

// Samples is what there is already. Most transactions need none of it: what is newer
// than all of its series is new.
type Samples struct {
	open    Open
	pending map[place][]content // stored by the transaction
	windows map[layout.SeriesID]*window
}

// New returns what there is before a transaction.
func New(open Open) Samples { return Samples{open: open} }

// content is what makes two samples at one time the same.
type content struct {
	value  penstock.Value
	status penstock.Status
	native uint32
}

func contentOf(s *penstock.Sample) content { return content{s.Value, s.Status, s.Native} }

type place struct {
	id   layout.SeriesID
	time int64
}

// window is the settled samples of a series in a stretch of time.
type window struct {
	first, last int64
	samples     map[int64][]content
}

// Add notes a sample that the transaction stores.
func (p *Samples) Add(id layout.SeriesID, s *penstock.Sample) {
	if p.pending == nil {
		p.pending = map[place][]content{}
	}
	at := place{id, s.SourceTime}
	p.pending[at] = append(p.pending[at], contentOf(s))
}

// Compare tells whether the series has the same sample, or another, at its time.
func (p *Samples) Compare(id layout.SeriesID, s *penstock.Sample) (same, other bool, err error) {
	w, err := p.window(id, s.SourceTime)
	if err != nil {
		return false, false, err
	}
	want := contentOf(s)
	for _, there := range [2][]content{p.pending[place{id, s.SourceTime}], w.samples[s.SourceTime]} {
		for _, have := range there {
			same = same || have == want
			other = other || have != want
		}
	}
	return same, other, nil
}

// window returns the settled samples around a time.
func (p *Samples) window(id layout.SeriesID, at int64) (*window, error) {
	if w := p.windows[id]; w != nil && at >= w.first && at <= w.last {
		return w, nil
	}
	w := &window{first: at, last: at, samples: map[int64][]content{}}
	if at < math.MaxInt64-windowLength {
		w.last = at + windowLength
	}
	if err := w.fill(id, p.open); err != nil {
		return nil, err
	}
	if p.windows == nil || len(p.windows) >= maxWindows {
		p.windows = map[layout.SeriesID]*window{}
	}
	p.windows[id] = w
	return w, nil
}

// fill reads the samples of the window, which ends early when there are too many.
func (w *window) fill(id layout.SeriesID, open Open) error {
	m, end, err := open(id, w.first, w.last)
	if err != nil {
		return err
	}
	defer end()
	count := 0
	for {
		run, ok, err := m.Next(context.Background())
		if err != nil || !ok {
			return err
		}
		for i := run.From; i < run.To; i++ {
			t := run.Columns.Times[i]
			if count >= windowSamples && t > w.first {
				w.last = t - 1
				return nil
			}
			q := run.Columns.QualityAt(i)
			w.samples[t] = append(w.samples[t], content{run.Columns.Value(i), q.Status, q.Native})
			count++
		}
	}
}
