package rhythm_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/diagnose/rhythm"
)

const second = int64(1e9)

// Whatever the way does to reports, delay, loss or a backlog, it is no step of the
// clock; and a step that is large enough is found, at once and by its size, when the
// way is quiet.
func TestAWayIsNoClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		every := rapid.Int64Range(1, 900).Draw(t, "every") * second
		var c rhythm.Clock
		source, received := 1_000_000*second, int64(0)
		c.Begin(source, source+second/5)
		for range 30 {
			advance := rapid.Int64Range(1, 4).Draw(t, "advance")
			source += advance * every
			received = max(received, source+rapid.Int64Range(0, 3*every).Draw(t, "delay"))
			if jump := c.Step(source, received, float64(advance)); jump != 0 {
				t.Fatalf("the way was taken for a step of %.1f s", jump)
			}
		}
		for range 3 {
			source += every
			c.Step(source, source+second/5, 1)
		}
		by := rapid.Int64Range(1, 5000).Draw(t, "by") * every * rapid.SampledFrom([]int64{-1, 1}).Draw(t, "sign")
		source += every
		jump := c.Step(source+by, source+second/5, 1)
		if math.Abs(jump-float64(by)/1e9) > 0.01 || c.Offset != jump {
			t.Fatalf("a step of %.1f s was seen as %.1f s, offset %.1f", float64(by)/1e9, jump, c.Offset)
		}
		source += every
		if jump = c.Step(source, source+second/5, 1); jump == 0 || c.Offset != 0 {
			t.Fatalf("back by %.1f s, offset %.1f", jump, c.Offset)
		}
	})
}

func TestAnotherRhythmIsNoClock(t *testing.T) {
	var c rhythm.Clock
	source := 1000 * second
	c.Begin(source, source)
	for _, every := range []int64{10, 60, 5} {
		for range 40 {
			source += every * second
			if jump := c.Step(source, source, 1); jump != 0 {
				t.Fatalf("a report every %d s was taken for a step of %.0f s", every, jump)
			}
		}
		if math.Abs(c.Every-float64(every)) > 1 {
			t.Errorf("learned %.1f s and not %d", c.Every, every)
		}
	}
}

func TestPace(t *testing.T) {
	var p rhythm.Pace
	now := 1000.0
	for i := range 20 {
		if now += 10; p.Known() != (i > 4) {
			t.Errorf("after %d gaps known is %v", i, p.Known())
		}
		p.Learn(10, 1, now)
	}
	if p.Usual != 10 || p.Longest != 10 {
		t.Errorf("%+v", p)
	}
	p.Learn(-5, 1, now) // a clock that was set back
	for range 1000 {    // a backlog
		now += 0.01
		p.Learn(0.01, 1, now)
	}
	if p.Usual != 10 {
		t.Errorf("a backlog is no rhythm: %+v", p)
	}
	for range 1000 { // it goes on
		now += 0.5
		p.Learn(0.5, 1, now)
	}
	if math.Abs(p.Usual-0.5) > 0.1 || !p.Known() {
		t.Errorf("another rhythm was not learned: %+v", p)
	}
}
