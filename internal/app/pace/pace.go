// Package pace keeps the garbage collector's setting to the memory that is in use.
package pace

import (
	"context"
	"os"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"time"
)

// The garbage collector lets the heap double between two runs unless it is told
// otherwise. With few controllers that is a run every few milliseconds of work, for
// a few megabytes; with thousands of connections it is twice the memory that they
// need. So the room to grow is mostly the same for all.
const (
	roomToGrow = 64 << 20 // bytes
	roomShare  = 4        // and a fourth of what is in use
	mostGrowth = 400      // percent of what is in use, at most
	paceEvery  = time.Second
	leastTurn  = 10 // percent by which growth has to differ to be set anew
)

// growth returns by how many percent the heap may grow while live bytes are in use.
func growth(live uint64) int {
	return int(min(mostGrowth, (roomToGrow+live/roomShare)*100/max(live, 1)))
}

// Collector keeps the collector's setting to [growth] until ctx ends. Whoever
// sets GOGC or GOMEMLIMIT knows better.
func Collector(ctx context.Context) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	sample := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}}
	percent := mostGrowth
	before := debug.SetGCPercent(percent)
	defer func() { debug.SetGCPercent(before) }()
	tick := time.NewTicker(paceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		runtimemetrics.Read(sample)
		if wanted := growth(sample[0].Value.Uint64()); max(wanted-percent, percent-wanted) >= leastTurn {
			percent = wanted
			debug.SetGCPercent(percent)
		}
	}
}
