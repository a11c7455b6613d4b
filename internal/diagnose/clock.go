package diagnose

import "math"

// clock follows the clock of a controller that numbers its reports. The way to us
// changes when reports come and never what they say: a clock stepped when the times
// in the reports are further apart, or closer, than their numbers say, and their age
// changed by as much.
type clock struct {
	source int64   // source time of the newest number
	age    float64 // seconds, of the same
	every  float64 // seconds from one number to the next, by its own clock
	uneven float64 // share of it by which numbers are off
	misses int     // in a row that did not fit
	offset float64 // seconds that it stepped, added up since it was right
}

func (c *clock) begin(a *Arrival) {
	*c = clock{every: c.every, uneven: c.uneven}
	c.note(a)
}

func (c *clock) note(a *Arrival) {
	if a.SourceTime != 0 {
		c.source, c.age = a.SourceTime, float64(seconds(a.Received-a.SourceTime))
	}
}

// step takes in the report that is advance numbers after the newest, and returns by
// how many seconds the clock stepped, 0 when it did not.
func (c *clock) step(a *Arrival, advance float64) float64 {
	const (
		relearn = 8   // misses after which the rhythm is another
		even    = 0.3 // share: beyond it numbers say nothing of times
	)
	if a.SourceTime == 0 {
		return 0
	}
	defer c.note(a)
	if c.source == 0 {
		return 0
	}
	between := float64(seconds(a.SourceTime - c.source))
	each := between / advance
	if c.every == 0 {
		c.every = each
		return 0
	}
	jump := between - c.every*advance
	aged := float64(seconds(a.Received-a.SourceTime)) - c.age
	if c.uneven < even && math.Abs(jump) >= math.Max(leastStep, c.every/2) && math.Abs(aged+jump) <= math.Abs(jump)/2 {
		if c.offset += jump; math.Abs(c.offset) < leastStep {
			c.offset = 0 // it was set right again
		}
		return jump
	}
	if each < c.every/2 || each > 2*c.every {
		if c.misses++; c.misses >= relearn {
			c.every, c.misses = math.Max(each, 0), 0
		}
		return 0
	}
	c.misses = 0
	c.uneven += (math.Abs(each-c.every)/c.every - c.uneven) / 16
	c.every += (each - c.every) / 16
	return 0
}
