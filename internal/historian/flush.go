package historian

import (
	"context"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/chunk"
	"github.com/penstock/penstock/internal/historian/head"
	"github.com/penstock/penstock/internal/historian/keys"
	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/historian/merge"
	"github.com/penstock/penstock/internal/historian/state"
	"github.com/penstock/penstock/internal/store"
)

// checkEvery is how often the age of the head is looked at.
const checkEvery = time.Minute

// wake asks the maintainer to look at the head.
func (h *Historian) wake() {
	select {
	case h.kick <- struct{}{}:
	default: // it will look anyway
	}
}

// maintain flushes and compacts until ctx ends.
func (h *Historian) maintain(ctx context.Context) {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			h.changed.Tell() // who waits sees a dead store
		case <-h.kick:
		}
		if err := h.upkeep(ctx); err != nil && ctx.Err() == nil {
			h.o.Log.Error("historian: upkeep failed, trying again later", "error", err)
		}
	}
}

// upkeep flushes a head that is due, and then compacts until the next is.
func (h *Historian) upkeep(ctx context.Context) error {
	for ctx.Err() == nil {
		if h.due() {
			if err := h.Flush(ctx); err != nil {
				return err
			}
		}
		if more, err := h.compact(); err != nil || !more {
			return err
		}
	}
	return ctx.Err()
}

func (h *Historian) due() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.head.bytes >= h.o.HeadBytes || h.head.crowded || h.head.bytes > 0 && h.o.Now().Sub(h.head.since) >= h.o.HeadAge
}

// Flush writes the head into chunks. It is done from time to time without being
// asked for; nothing is less durable before it.
//
// The chunks, the settled sets and the books, and the end of the head batches
// that they replace go into one batch of the store: a crash finds either.
func (h *Historian) Flush(ctx context.Context) error {
	h.maintenance.Lock()
	defer h.maintenance.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := h.freeze()
	if f == nil || err != nil {
		return err
	}
	if err := f.write(); err != nil {
		return h.fail(err)
	}
	h.mu.Lock()
	h.head.frozen = nil
	h.head.flushed = f.number
	h.mu.Unlock()
	h.changed.Tell()
	return nil
}

// fail stops settling: the head was taken over by a flush that did not end.
func (h *Historian) fail(err error) error {
	h.settling.Lock()
	defer h.settling.Unlock()
	h.settler.broken = err
	h.changed.Tell()
	return err
}

// flush is one flush under way.
type flush struct {
	h      *Historian
	number uint64
	batch  *store.Batch
	logs   map[uint32]head.Log
	points map[uint32]int
	days   map[layout.Day]struct{}
	buffer []byte
}

// freeze takes the head over, and puts what goes with it into the flush's batch:
// all as of the same Settle. It returns nil when there is nothing to flush.
func (h *Historian) freeze() (*flush, error) {
	h.settling.Lock()
	defer h.settling.Unlock()
	s := &h.settler
	if err := s.usable(); err != nil {
		return nil, err
	}
	if s.firstBatch == s.nextBatch {
		return nil, nil
	}
	f := &flush{h: h, number: h.head.flushed + 1, batch: h.o.Store.NewBatch(), logs: map[uint32]head.Log{}, points: map[uint32]int{}, days: map[layout.Day]struct{}{}}
	f.batch.DeleteRange(layout.Batch.Of8(s.firstBatch), layout.Batch.Of8(s.nextBatch))
	s.firstBatch = s.nextBatch
	m := s.state(h.through)
	m.Flushed = f.number
	f.batch.Set(layout.Meta.First(), m.Append(nil))
	s.sets.Save(f.batch)
	if h.through > answerWindow {
		f.batch.DeleteRange(layout.Answer.Of8(0), layout.Answer.Of8(uint64(h.through-answerWindow)))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.catalogue.byNumber {
		if !c.touched {
			continue
		}
		c.touched = false
		f.batch.Set(layout.Counters.Of4(c.number), c.counters.Append(nil))
		if c.log.Samples > 0 {
			f.batch.Set(layout.Latest.Of4(c.number), c.appendLatest(nil))
			f.logs[c.number], f.points[c.number] = c.log, c.points.Len()
			c.log, c.pending = head.Log{}, 0
		}
	}
	h.head.frozen, h.head.bytes, h.head.crowded = f.logs, 0, false
	return f, nil
}

// write makes the chunks and commits.
func (f *flush) write() error {
	defer f.batch.Close()
	for number, log := range f.logs {
		if err := f.controller(number, log); err != nil {
			return err
		}
	}
	h := f.h
	h.compactor.Touch(f.batch, f.days)
	return h.o.Store.Commit(f.batch)
}

// controller makes the chunks of one controller.
func (f *flush) controller(number uint32, log head.Log) error {
	points := make([][]penstock.Sample, f.points[number])
	err := head.Each(log.Blocks, len(points), firstTime, lastTime, func(point uint32, s *penstock.Sample) {
		points[point] = append(points[point], *s)
	})
	if err != nil {
		return err
	}
	for point, samples := range points {
		ordinal := uint32(0)
		for _, c := range merge.Columns(samples) {
			f.put(layout.NewSeriesID(number, uint32(point)), c, ordinal)
			ordinal++
		}
	}
	return nil
}

// put writes one chunk, unless its day is deleted.
func (f *flush) put(id SeriesID, c *chunk.Columns, ordinal uint32) {
	key := layout.ChunkKey{Day: layout.DayOf(c.Times[0]), Series: id, Start: c.Times[0], End: c.Times[c.Len()-1], Flush: f.number, Ordinal: ordinal}
	if key.Day < f.h.horizon {
		return
	}
	f.days[key.Day] = struct{}{}
	f.buffer = f.h.encoder.Append(f.buffer[:0], c)
	f.batch.Set(key.Bytes(), f.buffer)
}

// Compact joins the chunks of days that are over or have many of them. It is done
// from time to time without being asked for.
func (h *Historian) Compact(ctx context.Context) error {
	for ctx.Err() == nil {
		if more, err := h.compact(); err != nil || !more {
			return err
		}
	}
	return ctx.Err()
}

// compact does a step of compaction, and tells whether there is more.
func (h *Historian) compact() (more bool, err error) {
	h.maintenance.Lock()
	defer h.maintenance.Unlock()
	return h.compactor.Step(layout.DayOf(h.o.Now().UnixNano()))
}

// DropBefore deletes all samples of the days before day, and the keys of reports
// that had none later: retention. What the latest sample of a series was stays
// known. Samples of those days that come later are settled and not kept.
func (h *Historian) DropBefore(ctx context.Context, day Day) error {
	h.maintenance.Lock()
	defer h.maintenance.Unlock()
	m := h.advance(day)
	b := h.o.Store.NewBatch()
	b.Set(layout.Meta.First(), m.Append(nil))
	b.DeleteRange(layout.Chunk.First(), layout.Chunk.OfDay(m.Horizon))
	h.compactor.Forget(b, m.Horizon)
	if err := h.o.Store.Commit(b); err != nil {
		return err
	}
	return keys.Drop(ctx, h.o.Store, m.Horizon)
}

// advance moves the horizon, and returns the state to be written with it.
func (h *Historian) advance(day Day) state.State {
	h.settling.Lock()
	defer h.settling.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.horizon = max(h.horizon, day)
	return h.settler.state(h.through)
}
