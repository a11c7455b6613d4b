// Package compact joins the chunks that several flushes left of a series and day.
package compact

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/chunk"
	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/historian/merge"
	"github.com/penstock/penstock/internal/store"
)

// A day that goes on is compacted when so many flushes went into it; a day that
// is over after each.
const flushesPerDay = 16

const (
	stepBytes = 4 << 20 // of chunks that make a step
	pageKeys  = 4096    // read at once
	maxJoined = 512     // chunks of a series and day; with more they are large already
)

// Options is what a compactor needs.
type Options struct {
	Store   *store.Store
	Encoder *chunk.Encoder // used by Step only
	Decoder *chunk.Decoder
	Log     *slog.Logger
}

// Compactor knows which days need it. It is not safe for concurrent use, nor may
// a flush run beside it.
type Compactor struct {
	o     Options
	pool  sync.Pool
	dirty map[layout.Day]uint64 // flushes into a day since it was compacted
	pass  pass
}

// pass is a compaction of a day under way.
type pass struct {
	active  bool
	day     layout.Day
	next    []byte // the key to go on from; nil when all were seen
	flushes uint64 // into the day when the pass began
}

// New returns a compactor that knows of no day.
func New(o Options) *Compactor {
	return &Compactor{o: o, dirty: map[layout.Day]uint64{}}
}

// Load reads which days need it.
func (c *Compactor) Load() error {
	return c.o.Store.Scan(layout.Flushes.First(), layout.Flushes.End(), func(key, value []byte) error {
		flushes, n := binary.Uvarint(value)
		if len(key) != 6 || n <= 0 {
			return layout.Damaged("days")
		}
		c.dirty[layout.ParseDay(binary.BigEndian.Uint32(key[2:]))] = flushes
		return nil
	})
}

// Touch notes a flush into the days, and puts it into the flush's batch.
func (c *Compactor) Touch(b *store.Batch, days map[layout.Day]struct{}) {
	for day := range days {
		c.dirty[day]++
		c.save(b, day)
	}
}

func (c *Compactor) save(b *store.Batch, day layout.Day) {
	if n := c.dirty[day]; n > 0 {
		b.Set(layout.Flushes.OfDay(day), binary.AppendUvarint(nil, n))
	} else {
		b.Delete(layout.Flushes.OfDay(day))
	}
}

// Forget drops the days before the horizon, which are being deleted.
func (c *Compactor) Forget(b *store.Batch, horizon layout.Day) {
	b.DeleteRange(layout.Flushes.First(), layout.Flushes.OfDay(horizon))
	for day := range c.dirty {
		if day < horizon {
			delete(c.dirty, day)
		}
	}
	if c.pass.day < horizon {
		c.pass = pass{}
	}
}

// Step does some of the work, a few megabytes, and tells whether there is more.
// Deletes and writes of a series and day are in one batch, so that a crash leaves
// the old chunks or the new.
func (c *Compactor) Step(today layout.Day) (more bool, err error) {
	if !c.pass.active && !c.choose(today) {
		return false, nil
	}
	b := c.o.Store.NewBatch()
	defer b.Close()
	if err := c.some(b); err != nil {
		return false, err
	}
	if p := c.pass; p.next == nil {
		c.dirty[p.day] -= min(p.flushes, c.dirty[p.day])
		c.save(b, p.day)
		if c.dirty[p.day] == 0 {
			delete(c.dirty, p.day)
		}
		c.pass = pass{}
	}
	return true, c.o.Store.Commit(b)
}

// choose begins a pass over a day that needs one.
func (c *Compactor) choose(today layout.Day) bool {
	for day, flushes := range c.dirty {
		if day < today || flushes >= flushesPerDay {
			c.pass = pass{active: true, day: day, next: layout.Chunk.OfDay(day), flushes: flushes}
			return true
		}
	}
	return false
}

// some joins the chunks of some series.
func (c *Compactor) some(b *store.Batch) (err error) {
	cursor, err := c.o.Store.NewCursor()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cursor.Close()) }()
	end := store.After(layout.Chunk.OfDay(c.pass.day))
	for c.pass.next != nil && b.Size() < stepBytes {
		keys, next, err := cursor.Keys(c.pass.next, end, pageKeys)
		if err != nil {
			return err
		}
		if err := c.page(b, cursor, keys, next == nil); err != nil {
			return err
		}
	}
	return nil
}

// page joins the series of a page of keys, and moves the pass on behind those it
// did. The last series of a page that is not the last may go on in the next one.
func (c *Compactor) page(b *store.Batch, cursor *store.Cursor, raw [][]byte, last bool) error {
	keys := make([]layout.ChunkKey, 0, len(raw))
	for _, k := range raw {
		key, ok := layout.ParseChunkKey(k)
		if !ok {
			return layout.Damaged("chunks")
		}
		keys = append(keys, key)
	}
	for len(keys) > 0 && b.Size() < stepBytes {
		n := 1
		for n < len(keys) && keys[n].Series == keys[0].Series {
			n++
		}
		whole := last || n < len(keys)
		if !whole && len(keys) < len(raw) {
			c.pass.next = layout.ChunkPrefix(c.pass.day, keys[0].Series)
			return nil
		}
		if err := c.join(b, cursor, keys[:n]); err != nil {
			return err
		}
		c.pass.next = store.After(layout.ChunkPrefix(c.pass.day, keys[0].Series))
		keys = keys[n:]
	}
	if len(keys) == 0 && last {
		c.pass.next = nil
	}
	return nil
}

// join puts the chunks of one series and day together again, when they are of
// more than one flush. Their successors count as of the latest of these flushes.
// What cannot be read stays as it is.
func (c *Compactor) join(b *store.Batch, cursor *store.Cursor, keys []layout.ChunkKey) error {
	latest, mixed := keys[0].Flush, false
	for _, k := range keys {
		mixed = mixed || k.Flush != latest
		latest = max(latest, k.Flush)
	}
	if !mixed || len(keys) > maxJoined {
		return nil
	}
	joined, err := c.joined(cursor, keys[0].Series, latest)
	if code := penstock.CodeOf(err); err != nil && (code == penstock.Corrupt || code == penstock.Unsupported) {
		c.o.Log.Error("historian: chunks cannot be read and stay as they are", "series", keys[0].Series, "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	for _, k := range keys {
		b.Delete(k.Bytes())
	}
	for _, p := range joined {
		b.Set(p.Key, p.Value)
	}
	return nil
}

// joined returns the chunks of a series and the pass's day, merged.
func (c *Compactor) joined(cursor *store.Cursor, id layout.SeriesID, flush uint64) ([]store.Pair, error) {
	day := c.pass.day
	m := merge.New(merge.Source{Cursor: cursor, Decoder: c.o.Decoder, Pool: &c.pool, Series: id, Flushed: flush}, day.Start(), day.Last())
	defer m.Close()
	var out []store.Pair
	columns := new(chunk.Columns)
	put := func() {
		key := layout.ChunkKey{Day: day, Series: id, Start: columns.Times[0], End: columns.Times[columns.Len()-1], Flush: flush, Ordinal: uint32(len(out))}
		out = append(out, store.Pair{Key: key.Bytes(), Value: c.o.Encoder.Append(nil, columns)})
		columns.Reset()
	}
	var s penstock.Sample
	for {
		r, ok, err := m.Next(context.Background())
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		for i := r.From; i < r.To; i++ {
			r.Fill(i, &s)
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
