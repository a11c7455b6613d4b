package sim_test

import (
	"testing"
	"time"

	"github.com/penstock/penstock/internal/sim"
)

func TestLatencyQuantiles(t *testing.T) {
	var l sim.Latency
	if got := l.Spread().Quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
	for i := range 10_000 {
		l.Add(time.Duration(i+1) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0.01: 100 * time.Microsecond, 0.5: 5 * time.Millisecond, 0.99: 9900 * time.Microsecond} {
		got := l.Spread().Quantile(q)
		if off := float64(got-want) / float64(want); off < -0.04 || off > 0.04 {
			t.Errorf("quantile %v is %v, not %v", q, got, want)
		}
	}
	l.Add(-1)
	l.Add(1 << 62)
	if got := l.Spread().Quantile(1 - 1e-9); got < 1<<61 {
		t.Errorf("the largest is %v", got)
	}
	before := l.Spread()
	l.Add(time.Second)
	if got := l.Spread().Since(before).Quantile(0.01); got < time.Second || got > 1040*time.Millisecond {
		t.Errorf("the only one since then is %v, not 1s", got)
	}
}
