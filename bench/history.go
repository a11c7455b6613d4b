package main

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock/penstock/bench/history"
)

// clocks are what the source times of a day are rounded down to: those of the demo
// are milliseconds, the time of a poll has seconds.
var clocks = []time.Duration{time.Millisecond, time.Second}

// history keeps a day of the water network and tells what it has on disk.
func (s settings) history(ctx context.Context) error {
	t := newTable("A day of the demo's water network in the historian, flushed and compacted",
		"a report every", "clock", "samples", "series", "chunks", "bytes a sample, blocks alone", "with keys and seals", "all on disk", "floor", "of the floor")
	const every = 10 * time.Second
	for _, clock := range clocks {
		d, err := history.Keep(ctx, s.directory, every, clock)
		if err != nil {
			return fmt.Errorf("a day in the historian: %w", err)
		}
		const floor = 3
		each := func(n float64) string { return fmt.Sprintf("%.2f", n/float64(d.Samples)) }
		t.row(every.String(), clock.String(), number(float64(d.Samples)), fmt.Sprint(d.Series), fmt.Sprint(d.Chunks), each(float64(d.Blocks)), each(float64(d.Seals)),
			each(float64(d.Disk)), fmt.Sprint(floor), ratio(floor*float64(d.Samples), float64(d.Disk)))
	}
	t.print()
	return nil
}
