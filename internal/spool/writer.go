package spool

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/plant"
	"github.com/penstock/penstock/internal/spool/disk"
	"github.com/penstock/penstock/internal/spool/segment"
)

// writer is the goroutine that alone writes to the log.
type writer struct {
	*core
	active *active           // nil after a failure, until a new segment is open
	next   penstock.Position // of the next entry
	number uint64            // of the next segment
	holder uint64            // the segment that holds next-1
	last   segment.Origin    // of the segment written last, to be told by the next opening
	before []byte            // encoded digests of the last durable batch
	held   []call            // taken from the queue
	buf    []byte
	batch  []Entry // of the frame that is built
}

// active is the segment that is written to.
type active struct {
	*segment.Segment
	file     vfs.File
	off      int64  // where the next frame goes
	frame    uint64 // number of the last frame; it and all before are synced
	unmarked bool   // no frame says yet that the last one is synced
}

func (w *writer) run() {
	idle := time.NewTimer(w.opt.IdleMark)
	defer idle.Stop()
	for {
		select {
		case <-w.wake:
			w.turn()
		case <-idle.C:
			w.markIdle()
		case <-w.stop:
			w.finish()
			return
		}
		if w.active != nil && w.active.unmarked {
			idle.Reset(w.opt.IdleMark)
		}
	}
}

// turn writes all that waits, as far as there is room.
func (w *writer) turn() {
	plant.Stall("spool queue")
	w.held = w.collect(w.held)
	for ; len(w.held) > 0 || w.active == nil; w.held = w.collect(w.held) {
		if w.active != nil {
			if g := w.pack(); g.calls > 0 {
				w.commit(g)
				continue
			}
		}
		p, err := w.take()
		if err != nil {
			w.giveUp(err)
			return
		}
		if p == nil {
			return // the preparer is at it and will wake us
		}
		w.roll(p)
	}
	if w.isReady() {
		w.heal()
	}
}

// commit writes and syncs a group, and tells its callers.
func (w *writer) commit(g group) {
	calls := w.held[:g.calls]
	w.held = w.held[g.calls:]
	ended := w.begin(calls)
	err := w.flush(g.buf)
	ended()
	if err != nil {
		w.fail(err)
		if plant.RefusedTailReplayed.On() {
			w.next = g.next
		}
		w.answer(calls, 0, w.later(err))
		w.giveUp(err)
		return
	}
	first := w.next
	w.next, w.before, w.holder = g.next, g.before, w.active.Number
	w.active.frame += g.frames
	w.active.unmarked = true
	w.publish(w.active.off, w.next-1)
	w.answer(calls, first, nil)
}

// flush writes b at the end of the active segment and makes it durable. After
// an error nothing that is written to this segment can be trusted: what the
// system says of a later fsync holds for pages that it has dropped.
func (w *writer) flush(b []byte) error {
	a := w.active
	plant.Stall("spool sync")
	if _, err := a.file.WriteAt(b, a.off); err != nil {
		return disk.Error(err, "write %s at byte %d", a.Path, a.off)
	}
	if plant.AckBeforeFsync.On() {
		a.off += int64(len(b))
		return nil
	}
	if err := a.file.SyncData(); err != nil {
		if !plant.RetryAfterFsync.On() || a.file.SyncData() != nil {
			return disk.Error(err, "sync %s", a.Path)
		}
	}
	a.off += int64(len(b))
	return nil
}

// fail gives up the active segment.
func (w *writer) fail(err error) {
	a := w.active
	w.active = nil
	w.last = segment.Origin{Why: segment.Failed, Previous: a.Number, Frame: a.frame, Through: w.next - 1}
	w.opt.Log.Error("a segment failed: what it holds beyond its last acknowledged entry will be voided", "segment", a.Path, "through", w.next-1, "err", err)
	closeFile(w.opt.Log, a.file, a.Path)
}

func closeFile(log *slog.Logger, f vfs.File, path string) {
	if err := f.Close(); err != nil {
		log.Warn("a file did not close well: nothing depends on it", "file", path, "err", err)
	}
}

// giveUp ends all that waits with an error, and refuses what comes until the
// trouble is over.
func (w *writer) giveUp(err error) {
	w.refuse(err)
	w.held = w.collect(w.held)
	w.answerHeld(w.later(err))
}

func (w *writer) answerHeld(err error) {
	held := w.held
	w.held = nil
	w.answer(held, 0, err)
}

// roll goes on in a new segment.
func (w *writer) roll(p *prepared) {
	if w.active != nil {
		w.closeActive(segment.Full)
	}
	err := w.openSegment(p, nil)
	w.request(err != nil)
	if err != nil {
		w.giveUp(err)
		return
	}
	w.heal()
}

// closeActive seals the active segment. When the seal fails nothing is lost:
// the next opening says where the segment ends.
func (w *writer) closeActive(why segment.Reason) {
	a := w.active
	if b := w.control(segment.Seal); a.off+int64(len(b)) <= a.Size {
		if err := w.flush(b); err != nil {
			w.opt.Log.Warn("a segment could not be sealed", "segment", a.Path, "err", err)
		} else {
			a.frame++
			w.publish(a.off, w.next-1)
		}
	}
	w.last = segment.Origin{Why: why, Previous: a.Number, Frame: a.frame, Through: w.next - 1}
	w.active = nil
	closeFile(w.opt.Log, a.file, a.Path)
}

// markIdle states, when nothing comes any more, that the last frame is synced,
// so that after a crash rot in it is told from a torn write.
func (w *writer) markIdle() {
	a := w.active
	if a == nil || !a.unmarked {
		return
	}
	b := w.control(segment.Mark)
	if a.off+int64(len(b)) > a.Size {
		if p, _ := w.take(); p != nil {
			w.roll(p) // its opening says as much
		}
		return
	}
	if err := w.flush(b); err != nil {
		w.fail(err)
		w.giveUp(err)
		w.turn()
		return
	}
	a.frame++
	a.unmarked = false
	w.publish(a.off, w.next-1)
}

// finish is the end of the writer goroutine.
func (w *writer) finish() {
	w.turn()
	w.answerHeld(penstock.Errorf(penstock.Closed, "the spool was closed before these entries were durable"))
	if w.active != nil {
		w.closeActive(segment.Restarted)
	}
}
