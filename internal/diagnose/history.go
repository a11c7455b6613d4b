package diagnose

import (
	"math"

	"github.com/penstock/penstock/internal/diagnose/signal"
	"github.com/penstock/penstock/internal/evidence"
)

// The history of a controller or a port: now, and as long before it.
const (
	nowBuckets = 5
	allBuckets = 2 * nowBuckets
)

// bucket is what came in a stretch of time.
type bucket struct {
	start int64 // nanoseconds since 1970 UTC; 0 for a bucket that was never filled
	arrivals
	frameCounts
	ages
	signal [len(signal.Quantities)]float32
}

// arrivals are the reports of a bucket, by what they were.
type arrivals struct {
	reports                                  uint32 // all that arrived, refused ones too
	fresh, again, skipped, refused, restarts uint32
}

// frameCounts are what the evidence counted.
type frameCounts struct {
	frames, damaged, line, overrun        uint32
	malformed, timeouts, exceptions, lost uint32
}

// ages are how long things took, in seconds.
type ages struct {
	aged   uint32 // reports whose age is known
	minAge float32
	maxAge float32
	sumAge float32
	dwell  float32 // longest from received to admitted
	store  float32 // longest from accepted to stored
	jump   float32 // furthest step of the controller's clock
}

func newBucket(start int64) bucket {
	b := bucket{start: start, ages: ages{minAge: math.MaxFloat32}}
	for q := range b.signal {
		b.signal[q] = float32(math.NaN())
	}
	return b
}

// add takes the sums of another bucket in. The signal of o counts where b has none.
func (b *bucket) add(o *bucket) {
	b.fresh += o.fresh
	b.again += o.again
	b.skipped += o.skipped
	b.refused += o.refused
	b.restarts += o.restarts
	b.reports += o.reports
	b.frames += o.frames
	b.damaged += o.damaged
	b.line += o.line
	b.overrun += o.overrun
	b.malformed += o.malformed
	b.timeouts += o.timeouts
	b.exceptions += o.exceptions
	b.lost += o.lost
	b.aged += o.aged
	b.sumAge += o.sumAge
	b.minAge = min(b.minAge, o.minAge)
	b.maxAge = max(b.maxAge, o.maxAge)
	b.dwell = max(b.dwell, o.dwell)
	b.store = max(b.store, o.store)
	if math.Abs(float64(o.jump)) > math.Abs(float64(b.jump)) {
		b.jump = o.jump
	}
	for q := range b.signal {
		if isNaN(b.signal[q]) {
			b.signal[q] = o.signal[q]
		}
	}
}

func isNaN(v float32) bool { return v != v }

// ring is the buckets of a history; at is the one that is being filled.
type ring struct {
	buckets [allBuckets]bucket
	at      int
}

func (r *ring) open(now int64) *bucket {
	if r.buckets[r.at].start == 0 {
		r.buckets[r.at] = newBucket(now)
	}
	return &r.buckets[r.at]
}

// turn begins a new bucket when the open one has lasted for span.
func (r *ring) turn(now, span int64) bool {
	if now-r.open(now).start < span {
		return false
	}
	r.at = (r.at + 1) % allBuckets
	r.buckets[r.at] = newBucket(now)
	return true
}

// sum adds n buckets up, beginning with the skip-th newest.
func (r *ring) sum(skip, n int) bucket {
	total := newBucket(0)
	for i := range n {
		b := &r.buckets[(r.at-skip-i+2*allBuckets)%allBuckets]
		if b.start == 0 {
			break
		}
		total.add(b)
		total.start = b.start // the oldest
	}
	return total
}

// counter follows the counts of a page of the evidence.
type counter struct {
	seen  [counted]uint64
	begun bool
}

// watched are the events that are followed.
//
//lint:table
var watched = [...]evidence.Event{
	evidence.Received, evidence.Checksum, evidence.Framing, evidence.Parity, evidence.Break, evidence.Overrun,
	evidence.Malformed, evidence.Timeout, evidence.Exception, evidence.Lost,
}

const counted = len(watched)

// take adds to the bucket what was counted on the page since the last call. What a
// page had before it was first seen is not news.
func (c *counter) take(p *evidence.Page, b *bucket) {
	var delta [counted]uint32
	for i, e := range watched {
		n := p.Counted(e)
		if c.begun {
			delta[i] = uint32(min(n-min(n, c.seen[i]), math.MaxUint32/allBuckets))
		}
		c.seen[i] = n
	}
	c.begun = true
	b.frames += delta[0]
	b.damaged += delta[1]
	b.line += delta[2] + delta[3] + delta[4]
	b.overrun += delta[5]
	b.malformed += delta[6]
	b.timeouts += delta[7]
	b.exceptions += delta[8]
	b.lost += delta[9]
}
