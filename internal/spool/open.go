package spool

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/plant"
	"github.com/penstock/penstock/internal/spool/disk"
	"github.com/penstock/penstock/internal/spool/inventory"
	"github.com/penstock/penstock/internal/spool/segment"
)

// Recovery tells what opening a spool found and did.
type Recovery struct {
	First     penstock.Position // of the oldest entry kept
	Last      penstock.Position // of the newest entry, First-1 when there is none
	Clean     bool              // the last process closed the log in order, or there was none
	Rewritten int               // entries that may not have been acknowledged, made durable now
	Aside     []string          // copies of what could not be read at the end of the log
	Notes     []string          // what a person should know, a sentence each
}

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
	if err := makeDirs(o.FS, o.Dir); err != nil {
		return nil, nil, err
	}
	lock, err := o.FS.Lock(o.FS.PathJoin(o.Dir, inventory.Lock))
	if err != nil {
		return nil, nil, penstock.Errorf(penstock.Unavailable, "lock the spool %s (is another penstock running on it?): %w", o.Dir, err)
	}
	s := &Spool{core: newCore(o), lock: lock}
	w, p := &writer{core: s.core}, &preparer{core: s.core}
	r, err := s.start(w, p)
	if err != nil {
		if cerr := lock.Close(); cerr != nil {
			o.Log.Warn("the lock of the spool could not be released", "err", cerr)
		}
		return nil, nil, err
	}
	for _, note := range r.Notes {
		o.Log.Warn("the spool was opened with a note", "note", note)
	}
	s.core.request(false)
	s.work.Go(w.run)
	s.work.Go(p.run)
	return s, r, nil
}

// makeDirs makes the spool's directories with the entries that name them
// durable, also when an earlier process made them and was cut off.
func makeDirs(fs vfs.FS, dir string) error {
	sync := []string{dir, fs.PathDir(dir)}
	for d := fs.PathDir(dir); fs.PathDir(d) != d; d = fs.PathDir(d) {
		if _, err := fs.Stat(d); err == nil {
			break
		}
		sync = append(sync, fs.PathDir(d))
	}
	if err := fs.MkdirAll(fs.PathJoin(dir, inventory.Aside), 0o700); err != nil {
		return disk.Error(err, "make the spool's directory %s", dir)
	}
	for _, d := range sync {
		if err := disk.SyncDir(fs, d); err != nil {
			return err
		}
	}
	return nil
}

// start recovers the log.
func (s *Spool) start(w *writer, p *preparer) (*Recovery, error) {
	o := s.core.opt
	inv, err := inventory.Read(o.FS, o.Dir, o.Keyring, o.AcceptLoss)
	if err != nil {
		return nil, err
	}
	e := segment.Ending{Next: 1, Durable: 1, Sealed: true}
	w.number, w.last.Why = inv.Number, segment.First
	if n := len(inv.Segments); n > 0 {
		last := inv.Segments[n-1]
		if e, err = last.ReadEnding(o.FS); err != nil {
			return nil, err
		}
		w.last = segment.Origin{Why: segment.Restarted, Previous: last.Number, Frame: e.Frame, Through: e.Durable - 1}
	}
	past, err := inv.Known(e.Next - 1)
	if err != nil {
		return nil, err
	}
	r := &Recovery{Clean: e.Sealed, Notes: inv.Notes}
	if o.Past > past {
		r.Notes = append(r.Notes, fmt.Sprintf("the log ends at position %d, and the record stands at %d: the log was lost or is an old copy; it goes on behind the record", e.Next-1, o.Past))
		past = o.Past
	}
	if len(inv.Segments) == 0 {
		e.Durable = past + 1
	}
	if err := s.putAside(inv, e, r); err != nil {
		return nil, err
	}
	for _, f := range e.Tail {
		r.Rewritten += len(f.Entries)
	}
	for _, seg := range inv.Segments {
		s.core.add(seg, seg.Size, e.Durable-1)
	}
	s.snapshots = inv.Snapshots
	if err := s.openFirst(w, p, inv, e); err != nil {
		return nil, err
	}
	w.skip(past)
	r.Notes = append(r.Notes, s.dropEmpty()...)
	r.First, r.Last = s.First(), s.Durable()
	return r, s.measure()
}

// putAside copies what cannot be read at the end of the log.
func (s *Spool) putAside(inv *inventory.Inventory, e segment.Ending, r *Recovery) error {
	if e.Garbage == 0 {
		return nil
	}
	o := s.core.opt
	last := inv.Segments[len(inv.Segments)-1]
	path := o.FS.PathJoin(o.Dir, inventory.Aside, fmt.Sprintf("%016x-%d.tail", last.Number, e.Garbage))
	r.Aside = append(r.Aside, path)
	r.Notes = append(r.Notes, fmt.Sprintf("the end of %s from byte %d on cannot be read, as after a power cut: nothing of it was acknowledged before the last %v; a copy is in %s", last.Path, e.Garbage, o.IdleMark, path))
	if _, err := o.FS.Stat(path); err == nil {
		return nil // by an earlier recovery that was cut off
	}
	temp := path + string(inventory.Temporary)
	if err := copyTail(o.FS, last.Path, temp, e.Garbage); err != nil {
		return disk.Error(err, "copy the unreadable end of %s aside", last.Path)
	}
	return disk.Publish(o.FS, temp, path)
}

// copyTail copies the header of a segment, without which nothing of it can ever
// be opened, and its bytes from off on.
func copyTail(fs vfs.FS, from, to string, off int64) (err error) {
	in, err := fs.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	fi, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := fs.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
	}()
	const chunk = 256 << 10
	for _, part := range [][2]int64{{0, segment.HeaderSize}, {off, fi.Size()}} {
		for at := part[0]; at < part[1]; at += chunk {
			b := make([]byte, min(chunk, part[1]-at))
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
func (s *Spool) openFirst(w *writer, p *preparer, inv *inventory.Inventory, e segment.Ending) error {
	o := s.core.opt
	w.next, w.before, w.holder = e.Durable, e.Before, inv.Holder(e.Durable)
	if plant.TailNotRewritten.On() {
		w.next, e.Tail = e.Next, nil
	}
	if plant.AppendToOld.On() && len(inv.Segments) > 0 {
		return w.openOld(inv.Segments[len(inv.Segments)-1], e)
	}
	// Leftovers never were part of the log; the space of the prepared segment
	// lets a process start on a disk that is full.
	for _, name := range inv.Leftover {
		if err := disk.Remove(o.FS, o.FS.PathJoin(o.Dir, name)); err != nil {
			return err
		}
	}
	size := int64(segment.DataStart + len(e.Before))
	for _, f := range e.Tail {
		size += 2 * f.Size()
	}
	zeros, err := p.zeroFill(segment.Align(max(min(openingSegment, o.SegmentBytes), size+minSegment/2)))
	if err != nil {
		return err
	}
	return w.openSegment(zeros, e.Tail)
}

// openOld is a planted bug.
func (w *writer) openOld(last *segment.Segment, e segment.Ending) error {
	file, err := w.opt.FS.OpenReadWrite(last.Path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	w.next = e.Next
	w.active = &active{Segment: last, file: file, off: e.Bytes, frame: e.Frame}
	w.publish(e.Bytes, e.Next-1)
	return nil
}

// dropEmpty removes the segments that hold no position: the next one starts
// where they do, and is durable.
func (s *Spool) dropEmpty() (notes []string) {
	segs := s.core.log.segments
	kept := segs[:0:0]
	for i, seg := range segs {
		if i+1 == len(segs) || segs[i+1].First != seg.First {
			kept = append(kept, seg)
		} else if err := disk.Remove(s.core.opt.FS, seg.Path); err != nil {
			notes = append(notes, fmt.Sprintf("an empty segment is left: %v", err))
		}
	}
	s.core.log.segments = kept
	return notes
}

// measure adds up what the directory holds.
func (s *Spool) measure() error {
	o := s.core.opt
	var used int64
	for _, seg := range s.core.log.segments {
		used += seg.Size
	}
	for _, snap := range s.snapshots {
		used += snap.Size
	}
	aside := o.FS.PathJoin(o.Dir, inventory.Aside)
	names, err := o.FS.List(aside)
	if err != nil {
		return disk.Error(err, "list %s", aside)
	}
	for _, name := range names {
		fi, err := o.FS.Stat(o.FS.PathJoin(aside, name))
		if err != nil {
			return disk.Error(err, "look at %s", name)
		}
		used += fi.Size()
	}
	s.core.log.used = used
	return nil
}
