package historian

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/chunk"
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
			h.changed.tell() // who waits sees a dead store
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
		if more, err := h.compactSome(); err != nil || !more {
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
	h.changed.tell()
	return nil
}

// fail stops settling: the head was taken over by a flush that did not end.
func (h *Historian) fail(err error) error {
	h.settling.Lock()
	defer h.settling.Unlock()
	h.settler.broken = err
	h.changed.tell()
	return err
}

// flush is one flush under way.
type flush struct {
	h      *Historian
	number uint64
	batch  *store.Batch
	logs   map[uint32]rowLog
	points map[uint32]int
	days   map[Day]struct{}
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
	f := &flush{h: h, number: h.head.flushed + 1, batch: h.o.Store.NewBatch(), logs: map[uint32]rowLog{}, points: map[uint32]int{}, days: map[Day]struct{}{}}
	f.batch.DeleteRange(row8(rowBatch, s.firstBatch), row8(rowBatch, s.nextBatch))
	s.firstBatch = s.nextBatch
	m := s.meta(h.through)
	m.flushed = f.number
	f.batch.Set(row(rowMeta), m.append(nil))
	s.sets.save(f.batch)
	if h.through > answerWindow {
		f.batch.DeleteRange(row8(rowAnswer, 0), row8(rowAnswer, uint64(h.through-answerWindow)))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.catalogue.byNumber {
		if !c.touched {
			continue
		}
		c.touched = false
		f.batch.Set(row4(rowCounters, c.number), c.counters.append(nil))
		if c.log.samples > 0 {
			f.batch.Set(row4(rowLatest, c.number), c.appendLatest(nil))
			f.logs[c.number], f.points[c.number] = c.log, len(c.series)
			c.log, c.pending = rowLog{}, 0
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
	for day := range f.days {
		h.dirty[day]++
		f.batch.Set(dayRow(rowDay, day), binary.AppendUvarint(nil, h.dirty[day]))
	}
	return h.o.Store.Commit(f.batch)
}

// controller makes the chunks of one controller.
func (f *flush) controller(number uint32, log rowLog) error {
	points := make([][]penstock.Sample, f.points[number])
	err := each(log.blocks, len(points), -1<<63, endOfTime, func(point uint32, s *penstock.Sample) {
		points[point] = append(points[point], *s)
	})
	if err != nil {
		return err
	}
	for point, samples := range points {
		ordinal := uint32(0)
		for _, c := range inColumns(samples) {
			f.put(seriesID(number, uint32(point)), c, ordinal)
			ordinal++
		}
	}
	return nil
}

// put writes one chunk, unless its day is deleted.
func (f *flush) put(id SeriesID, c *chunk.Columns, ordinal uint32) {
	key := chunkKey{day: DayOf(c.Times[0]), series: id, start: c.Times[0], end: c.Times[c.Len()-1], flush: f.number, ordinal: ordinal}
	if key.day < f.h.horizon {
		return
	}
	f.days[key.day] = struct{}{}
	f.buffer = f.h.encoder.Append(f.buffer[:0], c)
	f.batch.Set(key.append(nil), f.buffer)
}

// DropBefore deletes all samples of the days before day, and the keys of reports
// that had none later: retention. What the latest sample of a series was stays
// known. Samples of those days that come later are settled and not kept.
func (h *Historian) DropBefore(ctx context.Context, day Day) error {
	h.maintenance.Lock()
	defer h.maintenance.Unlock()
	m := h.advance(day)
	b := h.o.Store.NewBatch()
	b.Set(row(rowMeta), m.append(nil))
	b.DeleteRange(row(rowChunk), dayRow(rowChunk, m.horizon))
	b.DeleteRange(row(rowDay), dayRow(rowDay, m.horizon))
	for d := range h.dirty {
		if d < m.horizon {
			delete(h.dirty, d)
		}
	}
	if err := h.o.Store.Commit(b); err != nil {
		return err
	}
	return h.dropKeys(ctx, m.horizon)
}

// advance moves the horizon, and returns the state to be written with it.
func (h *Historian) advance(day Day) meta {
	h.settling.Lock()
	defer h.settling.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.horizon = max(h.horizon, day)
	return h.settler.meta(h.through)
}

// dropKeys deletes the keys whose day is before the horizon, some at a time.
func (h *Historian) dropKeys(ctx context.Context, horizon Day) (err error) {
	const atOnce = 10_000
	c, err := h.o.Store.NewCursor()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for from := row(rowKeyDay); from != nil; {
		if err := ctx.Err(); err != nil {
			return err
		}
		keys, next, err := c.Keys(from, dayRow(rowKeyDay, horizon), atOnce)
		if err != nil {
			return err
		}
		b := h.o.Store.NewBatch()
		for _, key := range keys {
			b.Delete(key)
			b.Delete(append(row(rowKey), key[len(dayRow(rowKeyDay, 0)):]...))
		}
		if err := h.o.Store.Commit(b); err != nil {
			return err
		}
		from = next
	}
	return nil
}
