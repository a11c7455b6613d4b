package spool

import (
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/plant"
)

// writer is what only the writer goroutine touches.
type writer struct {
	active *active // nil after a failure, until a new segment is open
	next   penstock.Position
	number uint64 // of the next segment
	holder uint64 // the segment that holds next-1
	last   origin // of the segment written last, to be told by the next opening
	raw    []byte // encoded digests of the last durable batch
	held   []call // taken from the queue
	buf    []byte
}

// active is the segment that is written to.
type active struct {
	*segment
	file     vfs.File
	off      int64  // where the next frame goes
	frame    uint64 // number of the last frame; it and all before are synced
	unmarked bool   // no frame says yet that the last one is synced
}

// write is the writer goroutine.
func (s *Spool) write() {
	idle := time.NewTimer(s.opt.IdleMark)
	defer idle.Stop()
	for {
		select {
		case <-s.wake:
			s.turn()
		case <-idle.C:
			s.markIdle()
		case <-s.stop:
			s.finish()
			return
		}
		if a := s.writer.active; a != nil && a.unmarked {
			idle.Reset(s.opt.IdleMark)
		}
	}
}

// turn writes all that waits, as far as there is room.
func (s *Spool) turn() {
	s.collect()
	for w := &s.writer; len(w.held) > 0 || w.active == nil; s.collect() {
		if w.active != nil {
			if g := s.pack(); g.calls > 0 {
				s.commit(g)
				continue
			}
		}
		p, err := s.take()
		if err != nil {
			s.refuse(err)
			return
		}
		if p == nil {
			return // the preparer is at it and will wake us
		}
		s.roll(p)
	}
	s.mu.Lock()
	room := s.ready != nil
	s.mu.Unlock()
	if room {
		s.heal()
	}
}

// collect takes the queue over.
func (s *Spool) collect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writer.held = append(s.writer.held, s.queue...)
	clear(s.queue)
	s.queue = s.queue[:0]
}

// commit writes and syncs a group, and tells its callers.
func (s *Spool) commit(g group) {
	w := &s.writer
	calls := w.held[:g.calls]
	w.held = w.held[g.calls:]
	err := s.flush(g.buf)
	if err != nil {
		s.fail(err)
		if plant.RefusedTailReplayed.On() {
			w.next = g.next
		}
		for _, c := range calls {
			s.answer(c, 0, s.later(err))
		}
		s.refuse(err)
		return
	}
	first := w.next
	w.next, w.raw = g.next, g.raw
	w.holder = w.active.number
	w.active.frame += g.frames
	w.active.unmarked = true
	s.publish()
	for _, c := range calls {
		s.answer(c, first, nil)
		first += penstock.Position(len(c.entries))
	}
}

// flush writes b at the end of the active segment and makes it durable. After
// an error nothing that is written to this segment can be trusted: what the
// system says of a later fsync holds for pages that it has dropped.
func (s *Spool) flush(b []byte) error {
	a := s.writer.active
	if _, err := a.file.WriteAt(b, a.off); err != nil {
		return diskError(err, "write %s at byte %d", a.path, a.off)
	}
	if plant.AckBeforeFsync.On() {
		a.off += int64(len(b))
		return nil
	}
	if err := a.file.SyncData(); err != nil {
		if !plant.RetryAfterFsync.On() || a.file.SyncData() != nil {
			return diskError(err, "sync %s", a.path)
		}
	}
	a.off += int64(len(b))
	return nil
}

// publish shows readers what is durable.
func (s *Spool) publish() {
	w := &s.writer
	s.mu.Lock()
	defer s.mu.Unlock()
	w.active.end = w.active.off
	s.log.durable = w.next - 1
	s.announce()
}

// answer tells a caller, once.
func (s *Spool) answer(c call, first penstock.Position, err error) {
	s.mu.Lock()
	s.pending -= c.size
	s.mu.Unlock()
	c.done(first, err)
}

// fail gives up the active segment.
func (s *Spool) fail(err error) {
	w := &s.writer
	a := w.active
	w.active = nil
	w.last = origin{why: openedFailed, previous: a.number, frame: a.frame, through: w.next - 1}
	s.opt.Log.Error("a segment failed: what it holds beyond its last acknowledged entry will be voided", "segment", a.path, "through", w.next-1, "err", err)
	s.closeFile(a.file, a.path)
}

func (s *Spool) closeFile(f vfs.File, path string) {
	if err := f.Close(); err != nil {
		s.opt.Log.Warn("a file did not close well: nothing depends on it", "file", path, "err", err)
	}
}

// refuse ends all that waits with an error, and refuses what comes until the
// trouble is over.
func (s *Spool) refuse(err error) {
	s.mu.Lock()
	fresh := s.trouble.err == nil
	if fresh {
		s.trouble.since = s.opt.Now()
	}
	s.trouble.err = err
	s.mu.Unlock()
	if fresh {
		s.opt.Log.Error("the spool refuses entries", "err", err)
	}
	s.collect()
	s.answerHeld(s.later(err))
}

func (s *Spool) answerHeld(err error) {
	held := s.writer.held
	s.writer.held = nil
	for _, c := range held {
		s.answer(c, 0, err)
	}
}

// heal ends a trouble.
func (s *Spool) heal() {
	s.mu.Lock()
	was := s.trouble
	s.trouble = trouble{}
	s.mu.Unlock()
	if was.err != nil {
		s.opt.Log.Info("the spool takes entries again", "after", s.opt.Now().Sub(was.since))
	}
}

// roll goes on in a new segment.
func (s *Spool) roll(p *prepared) {
	w := &s.writer
	if w.active != nil {
		s.closeActive(openedFull)
	}
	a, err := s.openSegment(p, nil)
	signalWant(s.want, err != nil)
	if err != nil {
		s.refuse(err)
		return
	}
	w.active = a
	s.heal()
}

// closeActive seals the active segment. When the seal fails nothing is lost:
// the next opening says where the segment ends.
func (s *Spool) closeActive(why openingReason) {
	w := &s.writer
	a := w.active
	if b := s.control(seal); a.off+int64(len(b)) <= a.size {
		if err := s.flush(b); err != nil {
			s.opt.Log.Warn("a segment could not be sealed", "segment", a.path, "err", err)
		} else {
			a.frame++
			s.publish()
		}
	}
	w.last = origin{why: why, previous: a.number, frame: a.frame, through: w.next - 1}
	w.active = nil
	s.closeFile(a.file, a.path)
}

// markIdle states, when nothing comes any more, that the last frame is synced,
// so that after a crash rot in it is told from a torn write.
func (s *Spool) markIdle() {
	a := s.writer.active
	if a == nil || !a.unmarked {
		return
	}
	b := s.control(mark)
	if a.off+int64(len(b)) > a.size {
		if p, _ := s.take(); p != nil {
			s.roll(p) // its opening says as much
		}
		return
	}
	if err := s.flush(b); err != nil {
		s.fail(err)
		s.refuse(err)
		s.turn()
		return
	}
	a.frame++
	a.unmarked = false
	s.publish()
}

// finish is the end of the writer goroutine.
func (s *Spool) finish() {
	s.turn()
	s.answerHeld(penstock.Errorf(penstock.Closed, "the spool was closed before these entries were durable"))
	if s.writer.active != nil {
		s.closeActive(openedRecovery)
	}
}
