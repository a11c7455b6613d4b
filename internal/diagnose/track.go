package diagnose

import (
	"math"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/diagnose/rhythm"
	"github.com/penstock/penstock/internal/diagnose/signal"
	"github.com/penstock/penstock/internal/evidence"
)

// track is what is kept of one controller.
type track struct {
	name string

	mu      sync.Mutex // guards everything below
	known   Known
	ring    ring
	counter counter
	heard   int64 // when its page last had a whole frame
	link    signal.Link
	decayed bool // the link got worse before the controller fell silent, which it is

	last    int64 // when its newest report was received
	clock   rhythm.Clock
	epoch   uint64
	seq     uint64
	pace    rhythm.Pace
	floor   float64 // seconds: lower envelope of the age of its reports
	floored bool
	reason  penstock.Reason // of the newest refusal
	hops    Hops
	gone    bool // it was silent when last judged: the gap that ends that is no rhythm

	standing standing
}

// arrive takes a report in.
func (t *track) arrive(a *Arrival) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.ring.open(a.Received)
	b.reports++
	b.dwell = max(b.dwell, seconds(a.Admitted-a.Received))
	if a.Reason != "" {
		b.refused++
		t.reason = a.Reason
		return
	}
	since := t.last
	t.last = max(t.last, a.Received)
	if a.Identity.Form != penstock.Sequence {
		b.fresh++
		t.paced(since, a.Received, 1)
		t.age(b, a)
		return
	}
	t.sequence(b, a, since)
}

// sequence follows the numbers of the reports.
func (t *track) sequence(b *bucket, a *Arrival, since int64) {
	id := a.Identity
	switch {
	case id.Epoch > t.epoch:
		if t.epoch != 0 {
			b.restarts++
		}
		t.epoch, t.seq = id.Epoch, id.Seq
		t.clock.Begin(a.SourceTime, a.Received)
		b.fresh++
		t.age(b, a)
		return
	case id.Epoch < t.epoch || id.Seq <= t.seq:
		b.again++
		return
	}
	advance := id.Seq - t.seq
	if advance > 1 && t.seq != 0 {
		b.skipped += uint32(min(advance-1, 1<<20))
	}
	b.fresh++
	if t.seq != 0 {
		if jump := t.clock.Step(a.SourceTime, a.Received, float64(advance)); jump != 0 {
			t.floor -= jump
			if math.Abs(jump) > math.Abs(float64(b.jump)) {
				b.jump = float32(jump)
			}
		}
		t.paced(since, a.Received, float64(advance))
	}
	t.seq = id.Seq
	t.age(b, a)
}

// paced learns how often the controller reports. A gap that was an outage is no
// rhythm.
func (t *track) paced(since, now int64, advance float64) {
	if since != 0 && !t.gone {
		t.pace.Learn(float64(seconds(now-since)), advance, float64(now)/1e9)
	}
}

// longest returns the seconds between two reports, at most as a rule; also when a
// backlog came at once.
func (t *track) longest() float64 { return max(t.pace.Longest, t.clock.Every) }

// age notes how old the report was when it came.
func (t *track) age(b *bucket, a *Arrival) {
	if a.SourceTime == 0 {
		return
	}
	age := seconds(a.Received - a.SourceTime)
	b.aged++
	b.sumAge += age
	b.minAge = min(b.minAge, age)
	b.maxAge = max(b.maxAge, age)
	if !t.floored || float64(age) < t.floor {
		t.floor, t.floored = float64(age), true
	}
}

// settle notes when a report passed the stages.
func (t *track) settle(h Hops) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.ring.open(h.Stored)
	b.store = max(b.store, seconds(h.Stored-h.Accepted))
	t.hops = h
}

// sample takes in what others know, and begins a new bucket when it is time. A
// controller that reports seldom has longer buckets.
func (t *track) sample(k Known, f *Facts, step int64) {
	t.known = k
	now := f.Now.UnixNano()
	span := max(step, int64(t.pace.Usual/2*1e9))
	t.floor += float64(step) / 1e9 * drift
	b := t.ring.open(now)
	if p, ok := f.Book.FindController(k.Name); ok {
		before := b.frames
		t.counter.take(p, b)
		if b.frames > before {
			t.heard = now
		}
		t.sense(p, b)
	}
	t.ring.turn(now, span)
}

// drift is how far the lower envelope of the age may rise a second: no clock of the
// field runs further away.
const drift = 200e-6

// sense notes the signal of the page where it is news.
func (t *track) sense(p *evidence.Page, b *bucket) {
	for q, quantity := range signal.Quantities {
		if r, ok := p.Newest(quantity); ok && r.Time.UnixNano() >= b.start {
			b.signal[q] = float32(r.Value)
			t.link.Tell(q, r)
		}
	}
}

func seconds(ns int64) float32 { return float32(float64(ns) / 1e9) }
