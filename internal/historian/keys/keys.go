// Package keys writes, reads and deletes the rows of idempotency keys.
package keys

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/store"
)

// size is that of a row: fingerprint (8 bytes), day (4).
const size = 12

// Put keeps a key until the horizon is past the report's newest sample.
func Put(b *store.Batch, digest [store.DigestSize]byte, r *penstock.Report) {
	day := layout.DayOf(r.ReceivedTime)
	for i := range r.Samples {
		at := layout.DayOf(r.Samples[i].SourceTime)
		if i == 0 || at > day {
			day = at
		}
	}
	value := binary.BigEndian.AppendUint64(nil, uint64(r.Fingerprint))
	value = binary.BigEndian.AppendUint32(value, day.Sortable())
	b.Set(layout.Key.OfDigest(digest), value)
	b.Set(layout.KeyOfDay(day, digest), nil)
}

// Get returns the content that a key came with, and whether it is known; ok is false
// when the row is damaged.
func Get(st *store.Store, digest [store.DigestSize]byte) (content penstock.Fingerprint, found, ok bool, err error) {
	value, found, err := st.Get(layout.Key.OfDigest(digest))
	if !found || err != nil {
		return 0, false, true, err
	}
	if len(value) != size {
		return 0, false, false, nil
	}
	return penstock.Fingerprint(binary.BigEndian.Uint64(value)), true, true, nil
}

// Drop deletes the keys whose day is before the horizon, some at a time.
func Drop(ctx context.Context, st *store.Store, horizon layout.Day) (err error) {
	const atOnce = 10_000
	c, err := st.NewCursor()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for from := layout.KeyDay.First(); from != nil; {
		if err := ctx.Err(); err != nil {
			return err
		}
		keys, next, err := c.Keys(from, layout.KeyDay.OfDay(horizon), atOnce)
		if err != nil {
			return err
		}
		b := st.NewBatch()
		for _, key := range keys {
			b.Delete(key)
			b.Delete(layout.Key.OfDigest(layout.DigestOf(key)))
		}
		if err := st.Commit(b); err != nil {
			return err
		}
		from = next
	}
	return nil
}
