package scan

import (
	"math"
)

// The orders of words and bytes, in the order in which they are preferred.
var orders = [...]string{"ABCD", "CDAB", "BADC", "DCBA"}

// A float is plausible as a measured value when it is neither tiny nor huge.
const (
	leastPlausible = 1e-3
	mostPlausible  = 1e7
	leastFloats    = 2    // pairs that must look like floats
	leastShare     = 0.75 // of the pairs that are not zero
)

// guess returns the order in which most pairs of words from the first or the
// second on are plausible floats, and where the pairs begin; "" when the words
// look like whole numbers.
func guess(words []uint16) (order string, start int) {
	best := 0.0
	for begin := range min(2, len(words)) {
		for _, o := range orders {
			plausible, used := 0, 0
			for i := begin; i+1 < len(words); i += 2 {
				if words[i] == 0 && words[i+1] == 0 {
					continue
				}
				used++
				if f := math.Abs(float(o, words[i], words[i+1])); f >= leastPlausible && f <= mostPlausible {
					plausible++
				}
			}
			share := float64(plausible) / float64(max(used, 1))
			// What looks right in two orders is the one that comes first.
			if plausible >= leastFloats && share >= leastShare && share > best {
				order, start, best = o, begin, share
			}
		}
	}
	return order, start
}

// float reads two words in an order.
func float(order string, a, b uint16) float64 {
	swap := func(w uint16) uint16 { return w<<8 | w>>8 }
	switch order {
	case "CDAB":
		a, b = b, a
	case "BADC":
		a, b = swap(a), swap(b)
	case "DCBA":
		a, b = swap(b), swap(a)
	}
	return float64(math.Float32frombits(uint32(a)<<16 | uint32(b)))
}
