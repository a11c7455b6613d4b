package session

import "time"

// estimate is what was measured of a time span, weighed as TCP weighs round trips.
type estimate struct {
	smoothed, deviation time.Duration // 0 before the first measurement
}

// measure takes one more measurement.
func (e *estimate) measure(d time.Duration) {
	if e.smoothed == 0 {
		e.smoothed, e.deviation = max(d, 1), d/2
		return
	}
	e.deviation += ((e.smoothed - d).Abs() - e.deviation) / 4
	e.smoothed = max(e.smoothed+(d-e.smoothed)/8, 1)
}

// usually returns what it is on average: a second before the first measurement.
func (e *estimate) usually() time.Duration {
	if e.smoothed == 0 {
		return firstTimeout
	}
	return e.smoothed
}

// rarely returns what it is seldom longer than.
func (e *estimate) rarely() time.Duration { return e.usually() + 4*e.deviation }
