package spool

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/spool/segment"
)

// maxBatch is for how many entries the writer keeps room between groups.
const maxBatch = 1 << 12

// group is what goes out in one write and one fsync.
type group struct {
	buf    []byte
	calls  int
	frames uint64
	next   penstock.Position // after its last entry
	before []byte            // encoded digests of its last batch
}

// head starts the head of the next frame.
func (w *writer) head(t segment.Type) segment.Head {
	return segment.Head{
		Type: t, Number: w.active.frame + 1, First: w.next, Acked: w.active.frame,
		Time: w.opt.Now().UnixNano(), Segment: w.active.Number,
	}
}

// control builds a mark or a seal.
func (w *writer) control(t segment.Type) []byte {
	return w.active.Cipher.AppendControl(nil, w.head(t), w.before)
}

// pack builds the frames of as many of the held calls as make one write and fit
// into the active segment. A call is never split over frames, so that it is
// there as a whole after a crash, or not at all.
func (w *writer) pack() group {
	a := w.active
	g := group{buf: w.buf[:0], next: w.next, before: w.before}
	room := a.Size - a.off
	h := w.head(segment.Batch)
	for g.calls < len(w.held) {
		calls := frameful(w.held[g.calls:], frameLimits{
			before: int64(len(g.before)), room: room - int64(len(g.buf)), already: int64(len(g.buf)),
			target: min(targetFrame, w.opt.maxCall()),
		})
		if len(calls) == 0 {
			break
		}
		entries := w.batch[:0]
		for _, c := range calls {
			entries = append(entries, c.entries...)
		}
		w.batch = entries
		h.Count, h.First = uint32(len(entries)), g.next
		g.buf = a.Cipher.AppendBatch(g.buf, h, g.before, entries)
		g.before = segment.EncodeDigests(h.First, entries)
		g.next = h.End()
		g.calls += len(calls)
		g.frames++
		h.Number++
	}
	if cap(g.buf) <= 2*maxGroup {
		w.buf = g.buf // a larger one is not kept
	}
	if clear(w.batch); cap(w.batch) > maxBatch {
		w.batch = nil
	}
	return g
}

// frameLimits bound the next frame of a group, in bytes.
type frameLimits struct {
	before  int64 // of the digests that it carries
	room    int64 // in the segment
	already int64 // in the group
	target  int64 // of its calls, unless there is only one; so their digests fit into the next segment
}

// frameful returns the calls that make the next frame.
func frameful(calls []call, l frameLimits) []call {
	var size int64
	n := 0
	for _, c := range calls {
		size += c.size
		total := segment.Align(segment.Overhead + l.before + size)
		if total > l.room || n > 0 && size > l.target || l.already > 0 && l.already+total > maxGroup {
			break
		}
		n++
	}
	return calls[:n]
}
