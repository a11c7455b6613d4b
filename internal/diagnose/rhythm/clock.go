// Package rhythm learns how often a controller reports, and whether its clock is
// right, from the reports themselves.
package rhythm

import "math"

// LeastStep is how many seconds a clock has to step, or to be ahead, to be at fault.
const LeastStep = 1.0

// Clock follows the clock of a controller that numbers its reports. The way to us
// changes when reports come and never what they say: a clock stepped when the times
// in the reports are further apart, or closer, than their numbers say, and their age
// changed by as much.
type Clock struct {
	source int64   // source time of the newest number
	age    float64 // seconds, of the same
	Every  float64 // seconds from one number to the next, by its own clock
	uneven float64 // share of it by which numbers are off
	misses int     // in a row that did not fit
	Offset float64 // seconds that it stepped, added up since it was right
}

// Begin takes in the first report of a numbering: its time on the controller's clock,
// 0 for none, and when it was received, in nanoseconds since 1970 UTC.
func (c *Clock) Begin(source, received int64) {
	*c = Clock{Every: c.Every, uneven: c.uneven}
	c.note(source, received)
}

func (c *Clock) note(source, received int64) {
	if source != 0 {
		c.source, c.age = source, float64(received-source)/1e9
	}
}

// Step takes in the report that is advance numbers after the newest, and returns by
// how many seconds the clock stepped, 0 when it did not.
func (c *Clock) Step(source, received int64, advance float64) float64 {
	const (
		relearn = 8   // misses after which the rhythm is another
		even    = 0.3 // share: beyond it numbers say nothing of times
	)
	if source == 0 {
		return 0
	}
	defer c.note(source, received)
	if c.source == 0 {
		return 0
	}
	between := float64(source-c.source) / 1e9
	each := between / advance
	if c.Every == 0 {
		c.Every = each
		return 0
	}
	jump := between - c.Every*advance
	aged := float64(received-source)/1e9 - c.age
	if c.uneven < even && math.Abs(jump) >= math.Max(LeastStep, c.Every/2) && math.Abs(aged+jump) <= math.Abs(jump)/2 {
		if c.Offset += jump; math.Abs(c.Offset) < LeastStep {
			c.Offset = 0 // it was set right again
		}
		return jump
	}
	if each < c.Every/2 || each > 2*c.Every {
		if c.misses++; c.misses >= relearn {
			c.Every, c.misses = math.Max(each, 0), 0
		}
		return 0
	}
	c.misses = 0
	c.uneven += (math.Abs(each-c.Every)/c.Every - c.uneven) / 16
	c.Every += (each - c.Every) / 16
	return 0
}
