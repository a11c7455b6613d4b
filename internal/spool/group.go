package spool

import (
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/plant"
)

// group is what goes out in one write and one fsync.
type group struct {
	buf    []byte
	calls  int
	frames uint64
	next   penstock.Position // after its last entry
	raw    []byte            // encoded digests of its last frame
}

// frameOverhead is the most that a batch frame has beside its entries and the
// digests before them.
const frameOverhead = frameHeader + keyring.Overhead + 10

// head starts the header of the next frame.
func (s *Spool) head(t frameType) frameHead {
	w := &s.writer
	return frameHead{
		typ: t, number: w.active.frame + 1, first: w.next, acked: w.active.frame,
		time: s.opt.Now().UnixNano(), segment: w.active.number,
	}
}

// control builds a mark or a seal.
func (s *Spool) control(t frameType) []byte {
	b, _ := s.writer.active.cipher.appendFrame(nil, s.head(t), func(b []byte) []byte {
		return appendBytes(b, s.writer.raw)
	})
	return b
}

// pack builds the frames of as many of the held calls as make one write and fit
// into the active segment. A call is never split over frames, so that it is
// there as a whole after a crash, or not at all.
func (s *Spool) pack() group {
	w := &s.writer
	a := w.active
	g := group{buf: w.buf[:0], next: w.next, raw: w.raw}
	room := a.size - a.off
	h := s.head(batch)
	for g.calls < len(w.held) {
		calls := frameful(w.held[g.calls:], int64(len(g.raw)), room-int64(len(g.buf)), len(g.buf) > 0)
		if len(calls) == 0 {
			break
		}
		var entries []Entry
		for _, c := range calls {
			entries = append(entries, c.entries...)
		}
		h.count, h.first = uint32(len(entries)), g.next
		g.buf, _ = a.cipher.appendBatch(g.buf, h, g.raw, entries)
		g.raw = appendDigests(nil, h.first, entries)
		g.next = h.end()
		g.calls += len(calls)
		g.frames++
		h.number++
	}
	if cap(g.buf) <= 2*maxGroup {
		w.buf = g.buf // a larger one is not kept
	}
	return g
}

// frameful returns the calls that make the next frame: as many as are below the
// sizes aimed at, or one.
func frameful(calls []call, raw, room int64, more bool) []call {
	size := frameOverhead + raw
	n := 0
	for _, c := range calls {
		size += c.size
		if align(size) > room || n > 0 && size > targetFrame || more && size > maxGroup-targetFrame {
			break
		}
		n++
	}
	return calls[:n]
}

func (c *cipherOf) appendBatch(b []byte, h frameHead, raw []byte, entries []Entry) ([]byte, frameHead) {
	return c.appendFrame(b, h, func(b []byte) []byte {
		b = appendBytes(b, raw)
		for _, e := range entries {
			b = appendEntry(b, e)
		}
		return b
	})
}

// openSegment makes the prepared file the next segment: its header, its opening
// and, after a crash, the tail of the log before are synced before it gets its
// name, so that it is there as a whole or not at all. From then on all that
// earlier segments hold from its first position on is void.
func (s *Spool) openSegment(p *prepared, tail []frame) (*active, error) {
	w := &s.writer
	stream, err := s.dir.keys.NewStream(purpose)
	if err != nil {
		return nil, err
	}
	now := s.opt.Now().UnixNano()
	header := segmentHeader{
		node: s.dir.keys.NodeID(), number: w.number, first: w.next, previous: w.holder, created: now,
		stream: [keyring.HeaderSize]byte(stream.Header()),
	}
	w.number++
	raw := header.encode()
	seg := &segment{segmentHeader: header, path: s.dir.join(numbered(header.number, segmentSuffix)), cipher: newCipher(stream, raw), size: p.size}
	b := make([]byte, dataStart)
	copy(b, raw)
	copy(b[headerCopy:], raw)
	h := frameHead{typ: opening, number: 1, first: header.first, time: now, segment: header.number}
	b, _ = seg.cipher.appendFrame(b, h, func(b []byte) []byte { return appendOrigin(appendBytes(b, w.raw), w.last) })
	b, frames, digests := seg.cipher.appendTail(b, h, w.raw, tail)
	seg.end = int64(len(b))
	if err := s.name(p, seg, b); err != nil {
		return nil, err
	}
	w.raw = digests
	if len(tail) > 0 {
		w.next, w.holder = tail[len(tail)-1].end(), seg.number
	}
	s.mu.Lock()
	s.log.segments = append(s.log.segments[:len(s.log.segments):len(s.log.segments)], seg)
	s.log.durable = w.next - 1
	s.mu.Unlock()
	return &active{segment: seg, file: p.file, off: seg.end, frame: frames, unmarked: len(tail) > 0}, nil
}

// appendTail appends the batches of a tail, sealed anew, and returns the number
// of the last frame and the digests of the last batch.
func (c *cipherOf) appendTail(b []byte, h frameHead, raw []byte, tail []frame) ([]byte, uint64, []byte) {
	for _, f := range tail {
		h = frameHead{typ: batch, number: h.number + 1, first: f.first, count: f.count, time: f.time, segment: h.segment}
		b, _ = c.appendBatch(b, h, raw, f.entries)
		raw = appendDigests(nil, f.first, f.entries)
	}
	return b, h.number, raw
}

// name writes the start of a segment, syncs it and gives it its name. When the
// name may not be durable the segment is given up: nothing was acknowledged
// from it, and if a crash keeps it, the one opened next starts where it does.
func (s *Spool) name(p *prepared, seg *segment, start []byte) error {
	path := p.path
	err := writeStart(p.file, start)
	if err == nil {
		if err = s.dir.fs.Rename(path, seg.path); err == nil {
			path = seg.path
			if !plant.NoDirectoryFsync.On() {
				err = s.dir.syncDir(s.dir.path)
			}
		}
	}
	if err == nil {
		return nil
	}
	s.closeFile(p.file, path)
	s.addUsed(-seg.size)
	if rerr := s.dir.fs.Remove(path); rerr != nil && !isMissing(rerr) {
		s.opt.Log.Warn("a segment that failed at its opening could not be removed: the next start will", "segment", path, "err", rerr)
	}
	return diskError(err, "open segment %s", seg.path)
}

func writeStart(f vfs.File, start []byte) error {
	if _, err := f.WriteAt(start, 0); err != nil {
		return err
	}
	return f.Sync()
}
