package sim

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Each power of two of a Latency has this many buckets: an error of 3 %.
const subBuckets = 32

const buckets = 64 * subBuckets

// A Latency is a histogram of durations, exact to 3 %. The zero Latency is
// empty and ready. It is safe for concurrent use.
type Latency struct {
	counts [buckets]atomic.Int64
}

// Add counts one duration.
func (l *Latency) Add(d time.Duration) { l.counts[bucketOf(uint64(max(d, 0)))].Add(1) }

// Spread returns how the durations counted so far are spread.
func (l *Latency) Spread() *Spread {
	var s Spread
	for i := range l.counts {
		s[i] = l.counts[i].Load()
	}
	return &s
}

// A Spread is how the durations of a time are spread.
type Spread [buckets]int64

// Since returns the spread of what was counted after an earlier spread.
func (s *Spread) Since(earlier *Spread) *Spread {
	var since Spread
	for i := range s {
		since[i] = s[i] - earlier[i]
	}
	return &since
}

// Count returns how many durations were counted.
func (s *Spread) Count() (total int64) {
	for _, n := range s {
		total += n
	}
	return total
}

// Quantile returns the duration below which the share q, 0 to 1, of all those
// counted lies; 0 when there are none.
func (s *Spread) Quantile(q float64) time.Duration {
	rank := int64(q * float64(s.Count()))
	for i, n := range s {
		if rank -= n; n > 0 && rank < 0 {
			return time.Duration(bucketEnd(i))
		}
	}
	return 0
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
