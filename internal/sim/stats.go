package sim

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Stats counts what a fleet did. Reports are distinct; messages are what was
// put on the wire, with every resend and copy.
type Stats struct {
	Reports   int64 // reports that were sent at least once
	Messages  int64 // messages put on the wire
	Accepted  int64 // reports acknowledged, by an answer of accepted or duplicate
	Duplicate int64 // answers of duplicate
	Rejected  int64 // reports that the gateway said it will never store

	Lost            int64 // tries that never left, or whose answer was thrown away
	Copies          int64 // copies sent on purpose
	Held            int64 // reports held back behind later ones
	Corrupted       int64 // damaged messages put on the wire
	CorruptRefused  int64 // of these, refused because of it
	CorruptAccepted int64 // of these, taken for good: the checksum did not do its work

	Retries int64 // tries after the first
	Unknown int64 // messages that got no answer: refused connections, timeouts, a gateway that died
	Busy    int64 // answers that asked to try again later
}

// counters are the Stats while a fleet runs.
type counters struct {
	reports, messages, accepted, duplicate, rejected atomic.Int64
	lost, copies, held                               atomic.Int64
	corrupted, corruptRefused, corruptAccepted       atomic.Int64
	retries, unknown, busy                           atomic.Int64
}

func (c *counters) snapshot() Stats {
	return Stats{
		Reports: c.reports.Load(), Messages: c.messages.Load(), Accepted: c.accepted.Load(),
		Duplicate: c.duplicate.Load(), Rejected: c.rejected.Load(),
		Lost: c.lost.Load(), Copies: c.copies.Load(), Held: c.held.Load(),
		Corrupted: c.corrupted.Load(), CorruptRefused: c.corruptRefused.Load(), CorruptAccepted: c.corruptAccepted.Load(),
		Retries: c.retries.Load(), Unknown: c.unknown.Load(), Busy: c.busy.Load(),
	}
}

// Each power of two of a Latency has this many buckets: an error of 3 %.
const subBuckets = 32

// A Latency is a histogram of durations, exact to 3 %. The zero Latency is
// empty and ready. It is safe for concurrent use.
type Latency struct {
	buckets [64 * subBuckets]atomic.Int64
}

// Add counts one duration.
func (l *Latency) Add(d time.Duration) { l.buckets[bucketOf(uint64(max(d, 0)))].Add(1) }

// Quantile returns the duration below which the share q, 0 to 1, of all those
// counted since the beginning lies; 0 when there are none.
func (l *Latency) Quantile(q float64) time.Duration {
	var counts [len(l.buckets)]int64
	var total int64
	for i := range l.buckets {
		counts[i] = l.buckets[i].Load()
		total += counts[i]
	}
	rank := int64(q * float64(total))
	for i, n := range counts {
		if rank -= n; n > 0 && rank < 0 {
			return time.Duration(bucketEnd(i))
		}
	}
	return 0
}

// Reset forgets everything counted so far.
func (l *Latency) Reset() {
	for i := range l.buckets {
		l.buckets[i].Store(0)
	}
}

// bucketOf maps small numbers to themselves and larger ones to their power of
// two and the five bits below its highest.
func bucketOf(n uint64) int {
	if n < subBuckets {
		return int(n)
	}
	shift := bits.Len64(n) - 6
	return (shift+1)*subBuckets + int(n>>shift)&(subBuckets-1)
}

func bucketEnd(i int) uint64 {
	if i < subBuckets {
		return uint64(i)
	}
	shift := i/subBuckets - 1
	return (uint64(i%subBuckets+subBuckets)+1)<<shift - 1
}
