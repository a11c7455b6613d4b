package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/penstock/penstock/bench/script"
)

// scripts measures the user's own script.
func (s settings) scripts(ctx context.Context) error {
	if !strings.Contains("script", s.only) {
		return nil
	}
	run := script.Run{Directory: s.directory, Length: s.length}
	costs, err := run.Costs(ctx)
	if err != nil {
		return err
	}
	t := newTable(fmt.Sprintf("A script on a report of %d samples: value and unit of each third one change", script.Readings), "what", "µs a report", "times Node.js")
	for _, c := range costs {
		t.row(c.What, fmt.Sprintf("%.1f", c.Report.Seconds()*1e6), fmt.Sprintf("%.3g", c.Report.Seconds()/costs[0].Report.Seconds()))
	}
	t.print()
	effects, err := run.Neighbours(ctx)
	if err != nil {
		return err
	}
	t = newTable(fmt.Sprintf("%d reports a second of others, beside one controller whose reports do harm (timeout %v, 4 workers); in turn alone, and beside one that only sends as fast as it can", script.PerSecond, script.Timeout),
		"harm", "harmful reports", "not run", "others", "median", "p99", "p99 alone", "p99 beside the busy", "over alone", "over busy")
	for _, e := range effects {
		over := func(base script.Times) string { return fmt.Sprintf("%.2f", e.Harmed.P99.Seconds()/base.P99.Seconds()) }
		t.row(e.Harm, number(float64(e.Harmful)), number(float64(e.Rested)), number(float64(e.Harmed.Reports)), duration(e.Harmed.Median), duration(e.Harmed.P99),
			duration(e.Alone.P99), duration(e.Busy.P99), over(e.Alone), over(e.Busy))
	}
	t.print()
	return nil
}
