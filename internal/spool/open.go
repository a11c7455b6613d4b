package spool

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/plant"
)

// Open opens the spool in o.Dir, and makes it at the first start. It checks
// that nothing of the log is missing, keeps aside what cannot be read at its
// end, and makes what is readable there durable in a new segment before it
// returns: positions that come later are those of later calls of Append.
//
// It refuses, and changes nothing, with code [penstock.Unsupported] for a
// format that is newer than this build, [penstock.NotFound] for a data key that
// the keyring does not have, [penstock.Corrupt] when segments are missing or
// their headers unreadable. [penstock.Full] and [penstock.Unavailable] are the
// disk's; Open can be tried again.
func Open(o Options) (*Spool, *Recovery, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	d := directory{fs: o.FS, path: o.Dir, keys: o.Keyring}
	if err := d.makeDirs(); err != nil {
		return nil, nil, err
	}
	lock, err := o.FS.Lock(d.join(lockName))
	if err != nil {
		return nil, nil, penstock.Errorf(penstock.Unavailable, "lock the spool %s (is another penstock running on it?): %w", o.Dir, err)
	}
	s := &Spool{
		opt: o, dir: d, lock: lock,
		stop: make(chan struct{}), wake: make(chan struct{}, 1), want: make(chan bool, 1), changed: make(chan struct{}),
	}
	r, err := s.start()
	if err != nil {
		if cerr := lock.Close(); cerr != nil {
			o.Log.Warn("the lock of the spool could not be released", "err", cerr)
		}
		return nil, nil, err
	}
	for _, note := range r.Notes {
		o.Log.Warn("the spool was opened with a note", "note", note)
	}
	signalWant(s.want, false)
	s.work.Go(s.write)
	s.work.Go(s.prepare)
	return s, r, nil
}

// start recovers the log.
func (s *Spool) start() (*Recovery, error) {
	h, err := s.dir.readHistory(s.opt.AcceptLoss)
	if err != nil {
		return nil, err
	}
	e := ending{next: 1, durable: 1, clean: true}
	w := &s.writer
	w.number, w.last.why = h.next, openedFirst
	if n := len(h.segments); n > 0 {
		last := h.segments[n-1]
		if e, err = last.readEnding(s.dir.fs); err != nil {
			return nil, err
		}
		w.last = origin{why: openedRecovery, previous: last.number, frame: e.last, through: e.durable - 1}
	}
	r := &Recovery{Last: e.next - 1, Clean: e.clean, Notes: h.notes}
	if err := h.checkEnd(&e, s.opt.AcceptLoss); err != nil {
		return nil, err
	}
	if past := s.opt.Past; past >= e.next {
		r.Notes = append(r.Notes, fmt.Sprintf("the log ends at position %d, and the record stands at %d: the log was lost or is an old copy; it goes on behind the record", e.next-1, past))
		e.next, e.durable, e.tail, e.raw = past+1, past+1, nil, nil
	}
	if err := s.putAside(h, e, r); err != nil {
		return nil, err
	}
	for _, f := range e.tail {
		r.Rewritten += len(f.entries)
	}
	s.snapshots = h.snapshots
	s.log = log{segments: h.segments}
	if err := s.openFirst(h, e); err != nil {
		return nil, err
	}
	r.Notes = append(r.Notes, s.dropEmpty()...)
	r.First, r.Last = s.log.segments[0].first, s.log.durable
	return r, s.measure()
}

// checkEnd finds that the newest segments are missing: a snapshot knows of
// later positions.
func (h *history) checkEnd(e *ending, acceptLoss bool) error {
	for _, snap := range h.snapshots {
		if snap.err != nil || snap.through < e.next {
			continue
		}
		err := h.loss(acceptLoss, penstock.Errorf(penstock.Corrupt, "the log ends at position %d, and the snapshot %s stands at %d: the newest segments are missing", e.next-1, snap.path, snap.through))
		if err != nil {
			return err
		}
		// No position may be used again, so the gap stays.
		e.next, e.durable, e.tail, e.raw = snap.through+1, snap.through+1, nil, nil
	}
	return nil
}

// putAside copies what cannot be read at the end of the log.
func (s *Spool) putAside(h *history, e ending, r *Recovery) error {
	if e.garbage == 0 {
		return nil
	}
	last := h.segments[len(h.segments)-1]
	name := fmt.Sprintf("%016x-%d.tail", last.number, e.garbage)
	path := s.dir.fs.PathJoin(s.dir.join(asideName), name)
	r.Aside = append(r.Aside, path)
	r.Notes = append(r.Notes, fmt.Sprintf("the end of %s from byte %d on cannot be read, as after a power cut: nothing of it was acknowledged before the last %v; a copy is in %s", last.path, e.garbage, s.opt.IdleMark, path))
	if _, err := s.dir.fs.Stat(path); err == nil {
		return nil // by an earlier recovery that was cut off
	}
	if err := copyTail(s.dir.fs, last.path, path+temporary, e.garbage); err != nil {
		return diskError(err, "copy the unreadable end of %s aside", last.path)
	}
	return s.dir.publish(path+temporary, path)
}

// copyTail copies the header of a segment, without which nothing of it can ever
// be opened, and its bytes from off on.
func copyTail(fs vfs.FS, from, to string, off int64) (err error) {
	in, err := fs.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := fs.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
	}()
	fi, err := in.Stat()
	if err != nil {
		return err
	}
	end := fi.Size()
	for _, part := range [][2]int64{{0, headerSize}, {off, end}} {
		for at := part[0]; at < part[1]; at += scanWindow {
			b := make([]byte, min(scanWindow, part[1]-at))
			if n, err := in.ReadAt(b, at); n < len(b) {
				return err
			}
			if _, err := out.Write(b); err != nil {
				return err
			}
		}
	}
	return out.Sync()
}

// openFirst opens the first segment of this process with the tail in it.
func (s *Spool) openFirst(h *history, e ending) error {
	w := &s.writer
	w.next, w.raw = e.durable, e.raw
	w.holder = h.holder(e.durable)
	if plant.TailNotRewritten.On() {
		w.next, e.tail = e.next, nil
	}
	if plant.AppendToOld.On() && len(h.segments) > 0 {
		return s.openOld(h.segments[len(h.segments)-1], e)
	}
	// Leftovers never were part of the log; the space of the prepared segment
	// lets a process start on a disk that is full.
	for _, name := range h.leftover {
		if err := s.dir.fs.Remove(s.dir.join(name)); err != nil && !isMissing(err) {
			return diskError(err, "remove the leftover %s", s.dir.join(name))
		}
	}
	size := int64(dataStart + len(e.raw))
	for _, f := range e.tail {
		size += 2 * f.size()
	}
	p, err := s.zeroFill(align(max(min(openingSegment, s.opt.SegmentBytes), size+minSegment/2)))
	if err != nil {
		return err
	}
	a, err := s.openSegment(p, e.tail)
	if err != nil {
		return err
	}
	w.active = a
	return nil
}

// holder returns the number of the segment that holds the position before next.
func (h *history) holder(next penstock.Position) uint64 {
	for i := len(h.segments) - 1; i >= 0; i-- {
		if h.segments[i].first < next {
			return h.segments[i].number
		}
	}
	return 0
}

// openOld is a planted bug.
func (s *Spool) openOld(last *segment, e ending) error {
	file, err := s.dir.fs.OpenReadWrite(last.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	s.writer.next, s.writer.number = e.next, last.number+1
	s.log.durable = e.next - 1
	s.writer.active = &active{segment: last, file: file, off: e.end, frame: e.last}
	return nil
}

// dropEmpty removes the segments that hold no position: the next one starts
// where they do, and is durable.
func (s *Spool) dropEmpty() (notes []string) {
	segs := s.log.segments
	kept := segs[:0:0]
	for i, seg := range segs {
		if i+1 < len(segs) && segs[i+1].first == seg.first {
			if err := s.dir.fs.Remove(seg.path); err != nil && !isMissing(err) {
				notes = append(notes, fmt.Sprintf("the empty segment %s could not be removed: %v", seg.path, err))
			}
			continue
		}
		kept = append(kept, seg)
	}
	s.log.segments = kept
	return notes
}

// measure adds up what the directory holds.
func (s *Spool) measure() error {
	s.log.used = 0
	for _, seg := range s.log.segments {
		s.log.used += seg.size
	}
	for _, snap := range s.snapshots {
		s.log.used += snap.size
	}
	names, err := s.dir.fs.List(s.dir.join(asideName))
	if err != nil {
		return diskError(err, "list %s", s.dir.join(asideName))
	}
	for _, name := range names {
		fi, err := s.dir.fs.Stat(s.dir.fs.PathJoin(s.dir.join(asideName), name))
		if err != nil {
			return diskError(err, "look at %s", name)
		}
		s.log.used += fi.Size()
	}
	return nil
}
