package flow

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram counts durations in classes of a fourth of an octave: every class
// ends at 5/4, 6/4, 7/4 or 8/4 of a power of two, so a quantile is known to a
// fifth of its value.
const (
	quarters = 4
	lowest   = 10 // 2^10 ns, a microsecond: what is shorter is in the first class
	highest  = 36 // 2^36 ns, 69 s: what is longer is in the last
	classes  = (highest-lowest)*quarters + 2
)

// histogram is safe for concurrent use.
type histogram [classes]atomic.Uint64

// class returns where a duration is counted.
func class(d time.Duration) int {
	if d < 1<<lowest {
		return 0
	}
	if d >= 1<<highest {
		return classes - 1
	}
	octave := bits.Len64(uint64(d)) - 1
	quarter := int(uint64(d)>>(octave-2)) & (quarters - 1)
	return 1 + (octave-lowest)*quarters + quarter
}

// end returns the upper end of a class.
func end(class int) time.Duration {
	if class == 0 {
		return 1 << lowest
	}
	class = min(class, classes-2) // the last has no end; its begin tells as much
	octave, quarter := (class-1)/quarters+lowest, (class-1)%quarters
	return time.Duration(quarters+quarter+1) << (octave - 2)
}

// counts is a histogram at one moment.
type counts [classes]uint64

func (h *histogram) read() (c counts) {
	for i := range h {
		c[i] = h[i].Load()
	}
	return c
}

// total returns how many durations there are.
func (c *counts) total() (n uint64) {
	for _, k := range c {
		n += k
	}
	return n
}

// quantile returns the end of the class in which the quantile lies, 0 when there
// is nothing.
func (c *counts) quantile(q float64) time.Duration {
	n := c.total()
	if n == 0 {
		return 0
	}
	rank := uint64(q * float64(n-1))
	for i, k := range c {
		if rank < k {
			return end(i)
		}
		rank -= k
	}
	return end(classes - 1)
}

// octaves returns how many durations lie below each power of two, in seconds.
func (c *counts) octaves() map[float64]uint64 {
	below := make(map[float64]uint64, highest-lowest+1)
	n := c[0]
	below[(time.Duration(1) << lowest).Seconds()] = n
	for i := 1; i < classes-1; i++ {
		n += c[i]
		if (i-1)%quarters == quarters-1 {
			below[end(i).Seconds()] = n
		}
	}
	return below
}
