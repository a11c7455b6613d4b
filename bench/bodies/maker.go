package bodies

import (
	"fmt"
	"time"
)

// The shape of a generator's reports. Every connection speaks for controllers of
// its own in turn.
const (
	ControllersEach = 64
	pointsEach      = 25
)

// A Maker appends the next request's body to dst. It belongs to one connection.
type Maker func(dst []byte) []byte

// Empty returns a maker of bodies of nothing.
func Empty(int, int, uint64) Maker { return func(dst []byte) []byte { return dst } }

// inTurn returns a maker that fills the reports of a connection's controllers in turn,
// with the time and with noise for the values, and appends each. begin makes the report
// of a controller before its first turn.
func inTurn[R any](connection int, begin func(controller string) R, appendTo func(dst []byte, r *R, now, noise uint64) []byte) Maker {
	reports := make([]R, ControllersEach)
	for i := range reports {
		reports[i] = begin(fmt.Sprintf("bench-%03d-%03d", connection, i))
	}
	var n, noise uint64
	return func(dst []byte) []byte {
		r := &reports[n%ControllersEach]
		n++
		noise = noise*6364136223846793005 + 1442695040888963407
		return appendTo(dst, r, uint64(time.Now().UnixNano()), noise>>33)
	}
}

// timeOf returns the time of the i-th of n readings: they end at now, a microsecond
// apart.
func timeOf(i, n int, now uint64) uint64 { return now - uint64(n-i)*1000 }

// tenthsOf returns the value of the i-th reading in tenths: four digits.
func tenthsOf(i int, noise uint64) uint64 { return 1000 + (noise+uint64(i)*7)%9000 }

func pointName(i int) string { return fmt.Sprintf("line-%02d/flow", i%pointsEach) }
