package historian

import (
	"errors"
	"math"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/head"
	"github.com/penstock/penstock/internal/historian/merge"
	"github.com/penstock/penstock/internal/store"
)

// view is one series at a moment: the head's blocks and the store's chunks.
type view struct {
	h       *Historian
	id      SeriesID
	points  int             // of the controller
	blocks  [2][]head.Block // of the flush under way, and since
	flushed uint64          // chunks of later flushes are those of the first blocks
	horizon int64
	cursor  *store.Cursor
}

// newView takes all under one lock, so that each sample is in it once.
func newView(h *Historian, id SeriesID) (*view, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	c, _, err := h.catalogue.find(id)
	if err != nil {
		return nil, err
	}
	cursor, err := h.o.Store.NewCursor()
	if err != nil {
		return nil, err
	}
	return &view{
		h: h, id: id, points: c.points.Len(), flushed: h.head.flushed, horizon: h.horizon.Start(), cursor: cursor,
		blocks: [2][]head.Block{h.head.frozen[c.number].Blocks, slices.Clone(c.log.Blocks)},
	}, nil
}

// read begins to read the samples of a series from first to last, both included, until
// end.
func (h *Historian) read(id SeriesID, first, last int64) (m *merge.Merger, end func() error, err error) {
	v, err := newView(h, id)
	if err != nil {
		return nil, nil, err
	}
	if m, err = v.merge(first, last); err != nil {
		return nil, nil, errors.Join(err, v.cursor.Close())
	}
	return m, func() error {
		m.Close()
		return v.cursor.Close()
	}, nil
}

// merge starts to read the samples from first to last, both included.
func (v *view) merge(first, last int64) (*merge.Merger, error) {
	first = max(first, v.horizon)
	m := merge.New(merge.Source{Cursor: v.cursor, Decoder: v.h.decoder, Pool: &v.h.parts, Series: v.id, Flushed: v.flushed}, first, last)
	_, wanted := v.id.Split()
	for i, blocks := range v.blocks {
		var samples []penstock.Sample
		err := head.Each(blocks, v.points, first, last, func(point uint32, s *penstock.Sample) {
			if point == wanted && s.SourceTime >= first && s.SourceTime <= last {
				samples = append(samples, *s)
			}
		})
		if err != nil {
			return nil, err
		}
		for k, c := range merge.Columns(samples) {
			m.Add(c, merge.Rank{Flush: v.flushed + 1 + uint64(i), Ordinal: uint32(k)})
		}
	}
	return m, nil
}

// The ends of source time.
const (
	firstTime = math.MinInt64
	lastTime  = math.MaxInt64
)
