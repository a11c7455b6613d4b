package spool

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/spool/segment"
)

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
		calls := frameful(w.held[g.calls:], int64(len(g.before)), room-int64(len(g.buf)), int64(len(g.buf)))
		if len(calls) == 0 {
			break
		}
		var entries []Entry
		for _, c := range calls {
			entries = append(entries, c.entries...)
		}
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
	return g
}

// frameful returns the calls that make the next frame of a group that has
// already so many bytes: as many as are below the sizes aimed at, or one.
func frameful(calls []call, before, room, already int64) []call {
	size := segment.Overhead + before
	n := 0
	for _, c := range calls {
		size += c.size
		if segment.Align(size) > room || n > 0 && size > targetFrame || already > 0 && already+size > maxGroup {
			break
		}
		n++
	}
	return calls[:n]
}
