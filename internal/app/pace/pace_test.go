package pace

import (
	"context"
	"runtime/debug"
	"testing"
)

func TestGrowth(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 400}, {12 * mb, 400}, {64 * mb, 125}, {256 * mb, 50}, {1 << 40, 25}} {
		if got := growth(c.live); got != c.want {
			t.Errorf("with %d bytes in use: %d %%, want %d %%", c.live, got, c.want)
		}
	}
}

func TestTheCollectorIsGivenBack(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	const own = 123
	defer debug.SetGCPercent(debug.SetGCPercent(own))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	Collector(ctx)
	if got := debug.SetGCPercent(own); got != own {
		t.Errorf("the setting is %d %% afterwards, was %d %%", got, own)
	}
	t.Setenv("GOGC", "50")
	Collector(t.Context()) // returns at once
}
