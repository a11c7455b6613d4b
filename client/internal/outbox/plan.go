package outbox

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// plan is one write in the making: nothing of it holds before it is durable.
type plan struct {
	b       *Outbox
	buf     []byte
	at      int64 // where buf will stand in the active segment
	free    int64 // bytes that may still be written
	next    key
	reports []*pending
	spans   []span // dropped, and not yet in what the outbox knows
	gone    int    // segments, from the oldest, that these spans empty
}

// plan begins a write to the active segment.
func (b *Outbox) plan() *plan {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[len(b.queues)-1]
	w := &plan{b: b, buf: b.buf[:0], at: b.active.size, next: key{q.epoch, q.next()}}
	w.free = b.o.MaxBytes - b.stats.Bytes
	if w.at == 0 {
		w.at = headerSize
		w.free -= headerSize
	}
	return w
}

// add appends a report, with a number of its own, or says in it why not.
func (w *plan) add(p *pending) {
	r := penstock.Report{
		Controller: w.b.o.Controller, Identity: penstock.SequenceIdentity(w.next.epoch, w.next.seq), Samples: p.samples,
	}
	if p.err = link.Check(&r); p.err != nil {
		return
	}
	start := len(w.buf)
	w.buf = beginReport(w.buf, w.next)
	head := len(w.buf)
	w.buf = link.AppendReport(w.buf, &r)
	if size, limit := len(w.buf)-head, w.b.o.MaxReport; limit > 0 && size > limit {
		w.buf = w.buf[:start]
		p.err = penstock.Errorf(penstock.TooLarge, "the report has %d bytes, at most %d go through this link: send fewer samples in it", size, limit)
		return
	}
	endFrame(w.buf, start)
	size := int64(len(w.buf) - start)
	frame := w.buf[start:]
	if size > w.free {
		frame = append([]byte(nil), frame...)
		w.buf = w.buf[:start]
		if !w.makeRoom(size) {
			p.err = penstock.RetryLater(penstock.Full, fullRetry,
				"the outbox is full: the gateway has not confirmed what is in it; see to the link, or give the outbox more room")
			return
		}
		start = len(w.buf)
		w.buf = append(w.buf, frame...)
	}
	w.free -= size
	p.key, p.place = w.next, place{segment: w.b.active, at: w.at + int64(start), size: int32(size)}
	w.next.seq++
	w.reports = append(w.reports, p)
}

// makeRoom drops the oldest segments until there is room for so many bytes. It
// returns false where that is not wanted, or does not help: then nothing is
// dropped. What is dropped stands before the report that it made room for.
func (w *plan) makeRoom(size int64) bool {
	b := w.b
	if !b.o.DropOldest {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before := *w
	for size > w.free {
		if w.gone >= len(b.segments)-1 { // the active one stays
			*w = before
			return false
		}
		s := b.segments[w.gone]
		w.gone++
		w.free += s.size
		for _, q := range b.queues {
			if q.epoch > s.last.epoch {
				break
			}
			to := q.next() - 1
			if q.epoch == s.last.epoch {
				to = min(to, s.last.seq)
			}
			if q.low <= to {
				w.spans = append(w.spans, span{q.epoch, q.low, to})
				start := len(w.buf)
				w.buf = w.spans[len(w.spans)-1].append(w.buf)
				w.free -= int64(len(w.buf) - start)
			}
		}
	}
	return true
}

// publish makes known what is durable now. b.writing is held.
func (b *Outbox) publish(w *plan) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.active.size == 0 {
		b.active.size = headerSize
		b.stats.Bytes += headerSize
	}
	b.active.size += int64(len(w.buf))
	b.stats.Bytes += int64(len(w.buf))
	q := b.queues[len(b.queues)-1]
	for _, p := range w.reports {
		q.places = append(q.places, p.place)
		b.active.last = p.key
	}
	for _, s := range w.spans {
		b.dropped(s)
	}
	for _, s := range b.segments[:w.gone] {
		b.remove(s)
	}
	b.segments = b.segments[w.gone:]
	b.buf = w.buf[:0]
	if cap(b.buf) > maxSegment {
		b.buf = nil
	}
	if b.active.size >= b.segment {
		b.active = nil // it is whole; the next write begins another
	}
}

// dropped takes a span for dropped and counts it. b.mu is held.
func (b *Outbox) dropped(s span) {
	for _, q := range b.queues {
		if q.epoch != s.epoch {
			continue
		}
		before := q.base
		q.drop(s.to)
		if n := q.base - before; n > 0 {
			b.stats.Dropped += n
			b.o.Log.Warn("the outbox is full: its oldest reports were dropped", "reports", n, "epoch", s.epoch, "through", s.to)
		}
	}
}
