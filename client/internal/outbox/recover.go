package outbox

import (
	"slices"

	"github.com/penstock/penstock"
)

// maxMissing bounds the reports that a damaged part may have held.
const maxMissing = 1 << 20

// recovery brings an outbox back from its directory.
type recovery struct {
	b       *Outbox
	found   []*foundSegment // by number
	damaged bool
	tail    int // from here on, the segments are written anew as one
	rewrite []byte
	first   key // the lowest report in rewrite
}

func (r *recovery) run() (err error) {
	b := r.b
	if r.found, err = b.scan(); err != nil {
		return err
	}
	r.void()
	r.judge()
	if err := r.adopt(); err != nil {
		return err
	}
	if len(b.queues) == 0 {
		epoch, err := b.o.NewEpoch()
		if err != nil {
			return err
		}
		b.queues = []*queue{{epoch: epoch, low: 1, base: 1}}
	}
	if len(r.found) == 0 {
		return nil // the first report makes the first segment
	}
	if err := r.writeTail(); err != nil {
		return err
	}
	if r.damaged {
		if err := r.beginEpoch(); err != nil {
			return err
		}
	}
	if err := b.o.Files.Sync(); err != nil {
		return err
	}
	return r.clear()
}

// void takes out the reports that a later header says do not count, and the spans
// that were dropped for them: the write of both failed.
func (r *recovery) void() {
	for i, s := range r.found {
		counts := false // the report behind
		kept := s.frames[:0:0]
		for _, f := range slices.Backward(s.frames) {
			if f.key != (key{}) {
				counts = !r.voided(i, f.key)
			}
			if counts {
				kept = append(kept, f)
			}
		}
		slices.Reverse(kept)
		s.frames = kept
		for _, f := range s.frames {
			if s.last.before(f.key) {
				s.last = f.key
			}
		}
	}
}

// voided tells whether a header after segment i says that k does not count.
func (r *recovery) voided(i int, k key) bool {
	return slices.ContainsFunc(r.found[i+1:], func(later *foundSegment) bool {
		return !later.aside && !k.before(later.begin())
	})
}

func (s *foundSegment) begin() key { return key{s.header.epoch, s.header.first} }

// judge finds the first segment that misses something. Bytes left over are no
// loss where the next segment goes on with the very next number: a write failed
// there, and nothing of it was acknowledged.
func (r *recovery) judge() {
	r.tail = max(0, len(r.found)-1)
	for i, s := range r.found {
		if !s.aside && s.broken && i+1 < len(r.found) {
			next := r.found[i+1]
			if !next.aside && !(key{s.last.epoch, s.last.seq + 1}).before(next.begin()) {
				s.broken = false
			}
		}
		if (s.aside || s.broken) && !r.damaged {
			r.damaged, r.tail = true, i
		}
	}
}

// adopt builds the queues, and gathers what is written anew.
func (r *recovery) adopt() error {
	b := r.b
	tail := &segment{number: b.number + 1}
	var spans []span
	for i, s := range r.found {
		if i < r.tail {
			b.segments = append(b.segments, s.segment)
			b.stats.Bytes += s.size
		}
		if !s.aside && !r.voided(i, s.begin()) {
			if err := b.reach(s.begin()); err != nil {
				return err
			}
		}
		for _, f := range s.frames {
			p := place{segment: s.segment, at: f.at, size: f.size}
			if i >= r.tail {
				p.segment, p.at = tail, int64(headerSize+len(r.rewrite))
				if err := r.copy(s, f); err != nil {
					return err
				}
			}
			if f.key == (key{}) {
				spans = append(spans, f.dropped)
			} else if err := b.take(f.key, p); err != nil {
				return err
			}
		}
	}
	for _, s := range spans {
		b.takeSpan(s)
	}
	if len(r.found) > 0 {
		b.segments = append(b.segments, tail)
	}
	return nil
}

// copy adds a frame to what is written anew.
func (r *recovery) copy(s *foundSegment, f foundFrame) error {
	at := len(r.rewrite)
	r.rewrite = append(r.rewrite, make([]byte, f.size)...)
	if _, err := s.file.ReadAt(r.rewrite[at:], f.at); err != nil {
		return err
	}
	if f.key != (key{}) && (r.first == (key{}) || f.key.before(r.first)) {
		r.first = f.key
	}
	return nil
}

// reach sees that the queue of an epoch goes up to k. What is missing before it
// was in a damaged part: it is taken for dropped.
func (b *Outbox) reach(k key) error {
	q := b.queueOf(k.epoch)
	if q == nil {
		q = &queue{epoch: k.epoch, low: k.seq, base: k.seq}
		b.insert(q)
	}
	missing := int64(k.seq) - int64(q.next())
	if missing > maxMissing {
		return penstock.Errorf(penstock.Corrupt, "%d reports are missing before report %d/%d: the directory is not one outbox", missing, k.epoch, k.seq)
	}
	for range missing {
		q.places = append(q.places, place{})
		b.stats.Damaged++
	}
	return nil
}

func (b *Outbox) take(k key, p place) error {
	if err := b.reach(k); err != nil {
		return err
	}
	if q := b.queueOf(k.epoch); k.seq == q.next() {
		q.places = append(q.places, p)
	}
	return nil
}

// takeSpan takes reports for dropped that may still be asked for.
func (b *Outbox) takeSpan(s span) {
	q := b.queueOf(s.epoch)
	if q == nil {
		q = &queue{epoch: s.epoch, low: s.from, base: s.to + 1}
		b.insert(q)
	}
	q.low = min(q.low, s.from)
	if s.to >= q.next() {
		q.places, q.base = nil, s.to+1
	}
	q.drop(s.to)
}

func (b *Outbox) queueOf(epoch uint64) *queue {
	i := slices.IndexFunc(b.queues, func(q *queue) bool { return q.epoch == epoch })
	if i < 0 {
		return nil
	}
	return b.queues[i]
}

func (b *Outbox) insert(q *queue) {
	i, _ := slices.BinarySearchFunc(b.queues, q.epoch, func(o *queue, epoch uint64) int {
		if o.epoch < epoch {
			return -1
		}
		return int(min(o.epoch-epoch, 1))
	})
	b.queues = slices.Insert(b.queues, i, q)
}

// writeTail writes what is in the last segments as one, syncs it and gives it
// its name: only then may anything of it be sent.
func (r *recovery) writeTail() error {
	b := r.b
	q := b.queues[len(b.queues)-1]
	if r.first == (key{}) {
		r.first = key{q.epoch, q.next()}
	}
	tail := b.segments[len(b.segments)-1]
	tail.last = key{q.epoch, q.next() - 1}
	if err := b.writeSegment(tail, header{r.first.epoch, r.first.seq}, r.rewrite); err != nil {
		return err
	}
	r.rewrite = nil
	return nil
}

// writeSegment makes a whole segment. Its name is durable after the next sync of
// the directory.
func (b *Outbox) writeSegment(s *segment, h header, frames []byte) error {
	name := segmentName(s.number)
	f, err := b.o.Files.Open(name+halfSuffix, true)
	if err != nil {
		return err
	}
	s.file = f
	data := append(h.append(nil), frames...)
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := b.o.Files.Rename(name+halfSuffix, name); err != nil {
		return err
	}
	b.number = s.number
	s.size = int64(len(data))
	b.stats.Bytes += s.size
	return nil
}

// beginEpoch gives the reports to come an epoch of their own, durably, since a
// number of the old one might be given out twice.
func (r *recovery) beginEpoch() error {
	b := r.b
	epoch, err := b.o.NewEpoch()
	if err != nil {
		return err
	}
	last := b.queues[len(b.queues)-1]
	epoch = max(epoch, last.epoch+1)
	b.o.Log.Warn("a part of the outbox could not be read: a new epoch begins", "epoch", epoch, "reports_lost", b.stats.Damaged)
	s := &segment{number: b.number + 1, last: key{epoch, 0}}
	b.segments = append(b.segments, s)
	b.queues = slices.DeleteFunc(b.queues, func(q *queue) bool { return q.low == q.next() })
	b.insert(&queue{epoch: epoch, low: 1, base: 1})
	return b.writeSegment(s, header{epoch, 1}, nil)
}

// clear removes the segments that were written anew, and sets those aside that
// are damaged.
func (r *recovery) clear() error {
	b := r.b
	for _, s := range r.found[r.tail:] {
		if err := s.file.Close(); err != nil {
			return err
		}
		var err error
		if name := segmentName(s.number); s.aside || s.broken {
			err = b.o.Files.Rename(name, name+asideSuffix)
		} else {
			err = b.o.Files.Remove(name)
		}
		if err != nil {
			return err
		}
	}
	r.found = nil
	return nil
}
