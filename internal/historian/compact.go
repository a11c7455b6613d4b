package historian

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/chunk"
	"github.com/penstock/penstock/internal/store"
)

// Compaction joins the chunks that several flushes left of a series and day. A
// day that goes on is looked at when so many flushes went into it; a day that is
// over after each.
const flushesPerDay = 16

const (
	compactBatch = 4 << 20 // bytes of chunks that make a step
	compactKeys  = 4096    // keys read at once
	maxJoined    = 512     // chunks of a series and day that are joined; with more they are large already
)

// pass is a compaction of a day under way.
type pass struct {
	active  bool
	day     Day
	next    []byte // the key to go on from
	flushes uint64 // those that the pass may not have seen do not count
}

// compactSome does a step of compaction, and tells whether there is more.
func (h *Historian) compactSome() (more bool, err error) {
	h.maintenance.Lock()
	defer h.maintenance.Unlock()
	p := &h.pass
	if p.active && p.day < h.horizon {
		p.active = false
	}
	if !p.active && !h.choose() {
		return false, nil
	}
	b := h.o.Store.NewBatch()
	defer b.Close()
	if err := h.step(b); err != nil {
		return false, err
	}
	done := p.next == nil
	if done {
		left := h.dirty[p.day] - p.flushes
		if left > 0 {
			b.Set(dayRow(rowDay, p.day), binary.AppendUvarint(nil, left))
		} else {
			b.Delete(dayRow(rowDay, p.day))
		}
	}
	if err := h.o.Store.Commit(b); err != nil {
		return false, err
	}
	if done {
		p.active = false
		if h.dirty[p.day] -= p.flushes; h.dirty[p.day] == 0 {
			delete(h.dirty, p.day)
		}
	}
	return true, nil
}

// choose begins a pass over a day that needs one.
func (h *Historian) choose() bool {
	today := DayOf(h.o.Now().UnixNano())
	for day, flushes := range h.dirty {
		if day < today || flushes >= flushesPerDay {
			h.pass = pass{active: true, day: day, next: dayRow(rowChunk, day), flushes: flushes}
			return true
		}
	}
	return false
}

// step joins the chunks of some series.
func (h *Historian) step(b *store.Batch) (err error) {
	c, err := h.o.Store.NewCursor()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	p := &h.pass
	end := store.After(dayRow(rowChunk, p.day))
	for p.next != nil && b.Size() < compactBatch {
		keys, next, err := c.Keys(p.next, end, compactKeys)
		if err != nil {
			return err
		}
		for len(keys) > 0 && b.Size() < compactBatch {
			n := sameSeries(keys)
			id := SeriesID(binary.BigEndian.Uint64(keys[0][chunkSeriesAt:]))
			p.next = store.After(chunkPrefix(p.day, id))
			if n == len(keys) && next != nil && n < compactKeys {
				p.next = keys[0] // the rest of the series is in the next page
				break
			}
			if err := h.join(b, c, id, keys[:n]); err != nil {
				return err
			}
			keys = keys[n:]
		}
		if len(keys) == 0 && next == nil {
			p.next = nil
		}
	}
	return nil
}

// sameSeries returns how many of the keys belong to the series of the first.
func sameSeries(keys [][]byte) int {
	n := 1
	for n < len(keys) && string(keys[n][:chunkStartAt]) == string(keys[0][:chunkStartAt]) {
		n++
	}
	return n
}

// join puts the chunks of one series and day together again, when they are of
// more than one flush. Their successors count as of the latest of these flushes.
// What cannot be read stays as it is.
func (h *Historian) join(b *store.Batch, c *store.Cursor, id SeriesID, keys [][]byte) error {
	latest := uint64(0)
	mixed := false
	for i, key := range keys {
		k, ok := parseChunkKey(key)
		if !ok {
			return damaged("chunks")
		}
		mixed = mixed || i > 0 && k.flush != latest
		latest = max(latest, k.flush)
	}
	if !mixed || len(keys) > maxJoined {
		return nil
	}
	out, err := h.joined(c, id, latest)
	if code := penstock.CodeOf(err); err != nil && (code == penstock.Corrupt || code == penstock.Unsupported) {
		h.o.Log.Error("historian: chunks cannot be read and stay as they are", "series", id, "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	for _, key := range keys {
		b.Delete(key)
	}
	for _, p := range out {
		b.Set(p.Key, p.Value)
	}
	return nil
}

// joined returns the chunks of a series and the pass's day, merged.
func (h *Historian) joined(c *store.Cursor, id SeriesID, flush uint64) ([]store.Pair, error) {
	day := h.pass.day
	v := &view{h: h, id: id, flushed: flush, horizon: day.start(), cursor: c}
	m := v.merge(day.start(), day.last())
	var out []store.Pair
	columns := new(chunk.Columns)
	put := func() {
		k := chunkKey{day: day, series: id, start: columns.Times[0], end: columns.Times[columns.Len()-1], flush: flush, ordinal: uint32(len(out))}
		out = append(out, store.Pair{Key: k.append(nil), Value: h.encoder.Append(nil, columns)})
		columns.Reset()
	}
	var s penstock.Sample
	for {
		r, ok, err := m.next(context.Background())
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		for i := r.from; i < r.to; i++ {
			r.fill(i, &s)
			if !columns.Append(&s) {
				put()
				columns.Append(&s)
			}
		}
	}
	if columns.Len() > 0 {
		put()
	}
	return out, nil
}
