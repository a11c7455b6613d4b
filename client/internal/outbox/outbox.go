package outbox

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// Options say where an outbox stands and how much it holds.
type Options struct {
	Files      Files
	Controller string
	MaxBytes   int64 // on disk; at least 256 KiB
	DropOldest bool  // when it is full; otherwise new reports are refused
	MaxReport  int   // bytes of one encoded report; 0 for the format's own limit
	// NewEpoch returns an epoch that this controller never used, where nothing in
	// the outbox says which one to go on with.
	NewEpoch func() (uint64, error)
	Log      *slog.Logger
}

// The bounds of a segment's size.
const (
	minSegment  = 16 << 10
	maxSegment  = 4 << 20
	minCapacity = 256 << 10
	fullRetry   = 5 * time.Second
)

// Stats tell what is in an outbox. Reports are counted since it was opened.
type Stats struct {
	Bytes   int64  // on disk
	Waiting uint64 // reports that are not settled, without those dropped
	Dropped uint64 // reports that made room for newer ones
	Damaged uint64 // reports that could not be read any more
}

// Outbox is a durable queue. It is safe for concurrent use.
type Outbox struct {
	o       Options
	segment int64 // size at which the next one begins

	writing sync.Mutex // held by whoever writes for all that wait; guards the next three
	active  *segment   // nil when the next write begins a new one
	buf     []byte
	number  uint64 // of the newest segment

	mu       sync.Mutex // taken after writing; guards everything below
	waiting  []*pending
	segments []*segment // the oldest first, the active one last
	queues   []*queue   // the oldest epoch first; never empty
	stats    Stats
	closed   bool
}

// pending is a report that a caller waits for. Its results belong to whoever
// holds writing.
type pending struct {
	samples []penstock.Sample
	key     key
	place   place
	err     error
	done    bool
}

// Append keeps a report of these samples and returns its identity when it is on
// the disk. Errors have the code Full when there is no room, Invalid and TooLarge
// when the report breaks a limit, Unavailable when the disk failed: then it is not
// known whether the report will come back after a power cut.
func (b *Outbox) Append(samples []penstock.Sample) (penstock.Identity, error) {
	p := &pending{samples: samples}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return penstock.Identity{}, errClosed()
	}
	b.waiting = append(b.waiting, p)
	b.mu.Unlock()
	b.writing.Lock()
	defer b.writing.Unlock()
	if !p.done { // somebody before us may have written it
		b.commit()
	}
	return penstock.SequenceIdentity(p.key.epoch, p.key.seq), p.err
}

func errClosed() error { return penstock.Errorf(penstock.Closed, "the outbox was closed") }

// commit writes all that waits and resolves it. b.writing is held.
func (b *Outbox) commit() {
	b.mu.Lock()
	batch := b.waiting
	b.waiting = nil
	closed := b.closed
	b.mu.Unlock()
	var err error
	if closed {
		err = errClosed()
	} else {
		err = b.write(batch)
	}
	for _, p := range batch {
		p.done = true
		if p.err == nil {
			p.err = err
		}
	}
}

// write gives each report that fits a number and makes all of them durable.
func (b *Outbox) write(batch []*pending) error {
	if b.active == nil {
		if err := b.begin(); err != nil {
			return b.broken(err)
		}
	}
	w := b.plan()
	for _, p := range batch {
		w.add(p)
	}
	if len(w.buf) == 0 {
		return nil
	}
	if err := b.flush(w.buf); err != nil {
		return b.broken(err)
	}
	b.publish(w)
	return nil
}

// begin makes a new segment the active one. Its header is part of its first
// write.
func (b *Outbox) begin() error {
	b.number++
	f, err := b.o.Files.Open(segmentName(b.number), true)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[len(b.queues)-1]
	b.active = &segment{number: b.number, file: f, last: key{q.epoch, q.next() - 1}}
	b.segments = append(b.segments, b.active)
	return nil
}

// flush writes to the active segment, with its header before the first bytes. A
// segment may have been begun for a report that was then refused.
func (b *Outbox) flush(frames []byte) error {
	s := b.active
	fresh := s.size == 0
	if fresh {
		head := header{epoch: s.last.epoch, first: s.last.seq + 1}.append(nil)
		if _, err := s.file.Write(head); err != nil {
			return err
		}
	}
	if _, err := s.file.Write(frames); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	if fresh {
		return b.o.Files.Sync()
	}
	return nil
}

// broken leaves the active segment behind: after a failed write or sync nobody
// knows what of it is on the disk.
func (b *Outbox) broken(err error) error {
	b.active = nil
	b.o.Log.Error("the outbox could not be written", "error", err)
	return &penstock.Error{
		Code: penstock.Unavailable, RetryAfter: fullRetry, Err: err,
		Text: "the report could not be written to the outbox; see to the disk: " + err.Error(),
	}
}

// Bounds returns the oldest epoch that has reports which are not settled, the
// first of them, and the number after the last. Nothing is left when first
// equals next and newer is false; newer says that a later epoch follows.
func (b *Outbox) Bounds() (epoch, first, next uint64, newer bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[0]
	return q.epoch, q.low, q.next(), len(b.queues) > 1
}

// Read appends the encoding of a report to dst. One that was dropped, or cannot
// be read any more, becomes an empty report, which says to the gateway that it
// will not come. The result is false for a report that is settled or was never
// there.
func (b *Outbox) Read(epoch, seq uint64, dst []byte) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.queues {
		if q.epoch != epoch {
			continue
		}
		p, ok := q.find(seq)
		if !ok {
			return dst, false
		}
		if longer, ok := p.read(key{epoch, seq}, dst); ok {
			return longer, true
		}
		if p.segment != nil {
			b.stats.Damaged++
			b.o.Log.Error("a report in the outbox is damaged; the gateway is told that it will not come", "epoch", epoch, "seq", seq)
			q.places[seq-q.base] = place{}
		}
		return link.AppendReport(dst, &penstock.Report{Controller: b.o.Controller, Identity: penstock.SequenceIdentity(epoch, seq)}), true
	}
	return dst, false
}

// read appends the encoding that stands at p, if it is that of k and whole.
func (p place) read(k key, dst []byte) ([]byte, bool) {
	if p.segment == nil {
		return dst, false
	}
	frame := make([]byte, p.size)
	if _, err := p.segment.file.ReadAt(frame, p.at); err != nil {
		return dst, false
	}
	kind, payload, _, ok := nextFrame(frame)
	if !ok || kind != kindReport {
		return dst, false
	}
	found, encoded, ok := parseReport(payload)
	if !ok || found != k {
		return dst, false
	}
	return append(dst, encoded...), true
}

// Forget says that all reports of an epoch up to mark are settled in the record.
// Their space is given back with their segment.
func (b *Outbox) Forget(epoch, mark uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.queues {
		if q.epoch == epoch {
			q.settle(mark)
		}
	}
	for len(b.queues) > 1 && b.queues[0].low == b.queues[0].next() {
		b.queues = b.queues[1:]
	}
	b.sweep()
}

// sweep removes the segments of which nothing is waited for. The newest stays: it
// tells the next number. b.mu is held.
func (b *Outbox) sweep() {
	oldest := key{b.queues[0].epoch, b.queues[0].low}
	for len(b.segments) > 1 && b.segments[0].last.before(oldest) {
		b.remove(b.segments[0])
		b.segments = b.segments[1:]
	}
}

// remove deletes a segment's file; one that stays in spite of it is found and
// offered again at the next start, which does no harm.
func (b *Outbox) remove(s *segment) {
	b.stats.Bytes -= s.size
	if err := errors.Join(s.file.Close(), b.o.Files.Remove(segmentName(s.number))); err != nil {
		b.o.Log.Warn("a segment of the outbox could not be removed", "segment", segmentName(s.number), "error", err)
	}
}

// Stats returns what is in the outbox now.
func (b *Outbox) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	for _, q := range b.queues {
		s.Waiting += uint64(len(q.places))
	}
	return s
}

// Close ends the outbox; what it holds stays on the disk. It is legal twice.
func (b *Outbox) Close() error {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	var errs []error
	for _, s := range b.segments {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(errs...)
}
