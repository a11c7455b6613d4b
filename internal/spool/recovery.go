package spool

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/plant"
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

// history is what the log held before this process.
type history struct {
	segments  []*segment // in order, those that cannot be read left out
	snapshots []snapshot
	leftover  []string
	next      uint64 // number for the next segment
	notes     []string
}

// readHistory reads the directory and checks that nothing of the log is
// missing. It changes nothing.
func (d directory) readHistory(acceptLoss bool) (*history, error) {
	l, err := d.list()
	if err != nil {
		return nil, err
	}
	h := &history{leftover: l.leftover, next: 1}
	for _, name := range l.strange {
		h.notes = append(h.notes, fmt.Sprintf("%s is not a file of the spool and was left alone", d.join(name)))
	}
	for _, n := range l.segments {
		h.next = n + 1
		s, err := d.openHeader(n)
		if penstock.CodeOf(err) == penstock.Corrupt && err != nil {
			if plant.DeleteUnreadable.On() {
				if err := d.fs.Remove(d.join(numbered(n, segmentSuffix))); err != nil {
					return nil, err
				}
				continue
			}
			if err = h.loss(acceptLoss, err); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		h.segments = append(h.segments, s)
	}
	if h.snapshots, err = d.readSnapshots(l.snapshots); err != nil {
		return nil, err
	}
	return h, h.check(d.path, acceptLoss)
}

// loss refuses a log of which something is missing, or notes it.
func (h *history) loss(accept bool, err error) error {
	if accept {
		h.notes = append(h.notes, err.Error()+"; started without it as was asked for")
		return nil
	}
	return penstock.Errorf(penstock.Corrupt, "%w. Nothing was changed. Put the file back from a copy, or start with the loss accepted to go on without what it held", err)
}

// check finds segments that are missing: each header names the segment that
// holds the position before its first.
func (h *history) check(path string, acceptLoss bool) error {
	var covered penstock.Position
	for _, s := range h.snapshots {
		if s.err == nil {
			covered = max(covered, s.through)
		} else {
			h.notes = append(h.notes, s.err.Error())
		}
	}
	if len(h.segments) == 0 {
		if covered == 0 && len(h.snapshots) == 0 {
			return nil
		}
		return h.loss(acceptLoss, penstock.Errorf(penstock.Corrupt, "%s has a snapshot through position %d and no segment", path, covered))
	}
	for i, s := range h.segments {
		if i > 0 && s.first < h.segments[i-1].first {
			return penstock.Errorf(penstock.Corrupt, "segment %016x starts at position %d, the one before at %d: files of two histories are mixed in %s; move the wrong ones away", s.number, s.first, h.segments[i-1].first, path)
		}
	}
	if oldest := h.segments[0]; oldest.first > covered+1 {
		if err := h.loss(acceptLoss, penstock.Errorf(penstock.Corrupt, "positions %d to %d are missing in %s: no readable snapshot covers them, and the oldest segment is %016x", covered+1, oldest.first-1, path, oldest.number)); err != nil {
			return err
		}
	}
	return h.checkChain(path, acceptLoss)
}

func (h *history) checkChain(path string, acceptLoss bool) error {
	holds := map[uint64]bool{}
	for i, s := range h.segments {
		holds[s.number] = true
		if s.first == h.segments[0].first || holds[s.previous] {
			continue
		}
		if err := h.loss(acceptLoss, penstock.Errorf(penstock.Corrupt, "segment %016x is missing or unreadable in %s: it holds positions between %d and %d", s.previous, path, h.segments[i-1].first, s.first-1)); err != nil {
			return err
		}
	}
	return nil
}

// ending is the end of the log as the last segment shows it.
type ending struct {
	next    penstock.Position // the position after the last entry that counts
	durable penstock.Position // the position after the last entry known as durable
	tail    []frame           // batches at or after durable, to be rewritten, without a gap
	clean   bool              // the last frame is a seal, and nothing follows it
	last    uint64            // number of the last frame that counts
	raw     []byte            // encoded digests of the last batch before durable
	end     int64             // bytes up to the end of that frame
	garbage int64             // where what cannot be read begins; 0 for nowhere
}

// readEnding tells torn from rotten. Some frame says through which frame the
// segment was synced: up to there a frame that cannot be read is rotten, it was
// acknowledged, and its positions stay. After that the log ends at the first
// frame that cannot be read: nobody was told of it.
func (s *segment) readEnding(fs vfs.FS) (ending, error) {
	file, err := fs.Open(s.path)
	if err != nil {
		return ending{}, diskError(err, "open %s", s.path)
	}
	defer file.Close()
	var frames []frame
	var acked uint64
	sc := s.scan(file)
	for {
		f, err := sc.next(s.end)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return ending{}, err
		}
		acked = max(acked, f.acked)
		frames = append(frames, f)
		trim(frames, acked)
	}
	e := judge(s.first, frames, acked)
	e.garbage, err = firstNonZero(file, e.end, s.end)
	e.clean = e.clean && e.garbage == 0
	return e, err
}

// trim drops the entries of the frames that are known as durable, but for the
// last batch of them, so that only a tail is held in memory.
func trim(frames []frame, acked uint64) {
	last := true
	for i := len(frames) - 1; i >= 0; i-- {
		f := &frames[i]
		switch {
		case f.number > acked || f.typ != batch:
		case last:
			last = false
		case f.entries == nil:
			return
		default:
			f.payload = payload{}
		}
	}
}

// judge applies the rule of readEnding to the frames found.
func judge(first penstock.Position, frames []frame, acked uint64) ending {
	e := ending{next: first, end: dataStart}
	for _, f := range frames {
		if f.number != e.last+1 && e.last >= acked {
			break // torn: nobody was told of what follows
		}
		e.last = f.number
		e.next = f.end()
		e.end = f.off + f.size()
		e.clean = f.typ == seal
		switch {
		case f.number <= acked && f.typ == batch:
			e.durable, e.tail = f.end(), nil
			e.raw = appendDigests(nil, f.first, f.entries)
		case f.number <= acked || len(e.tail) == 0 && f.typ != batch:
			e.durable, e.raw = f.first, f.raw
		case f.typ == batch:
			if len(e.tail) == 0 {
				e.durable, e.raw = f.first, f.raw
			}
			e.tail = append(e.tail, f)
		}
	}
	e.durable = max(e.durable, first)
	return e
}

// firstNonZero returns the offset of the first sector from off on that is not
// all zeros, or 0.
func firstNonZero(r io.ReaderAt, off, end int64) (int64, error) {
	buf := make([]byte, max(0, min(scanWindow, end-off)))
	for off < end {
		b := buf[:min(int64(len(buf)), end-off)]
		if n, err := r.ReadAt(b, off); n < len(b) {
			return 0, penstock.Errorf(penstock.Unavailable, "read a segment at byte %d: %w", off, err)
		}
		for i, c := range b {
			if c != 0 {
				return off + int64(i)/sector*sector, nil
			}
		}
		off += int64(len(b))
	}
	return 0, nil
}
