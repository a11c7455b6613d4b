package main

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock/penstock/bench/drain"
)

// outage measures an outage of a record in PostgreSQL, and what follows.
func (s settings) outage(ctx context.Context) error {
	if s.drained.Outage == 0 {
		return nil
	}
	s.drained.Gateway, s.drained.Directory = s.gateway, s.directory
	r, err := drain.Run(ctx, s.drained)
	if err != nil {
		return fmt.Errorf("outage of the record: %w", err)
	}
	const floor = 5
	p99, memory := 20*float64(time.Millisecond), float64(r.Before.Memory)
	t := newTable(fmt.Sprintf("PostgreSQL down while the reports of %v come in, then drained: %d controllers, %s samples/s live", s.drained.Outage, s.drained.Controllers, number(r.Live)),
		"phase", "length", "live reports", "p50", "p99", "of the floor (20 ms)", "peak memory", "of that before", "gateway, processors", "PostgreSQL, processors")
	for i, p := range []drain.Phase{r.Before, r.Filling, r.Down, r.Draining} {
		t.row([]string{"before", "down, the backlog comes in", "down, live reports alone", "back, the backlog is drained"}[i], duration(p.Length), number(float64(p.Reports)),
			duration(p.P50), duration(p.P99), ratio(p99, float64(p.P99)), size(p.Memory), fmt.Sprintf("%.2f", float64(p.Memory)/memory), share(p.Gateway, p.Length), share(p.Database, p.Length))
	}
	t.print()
	b := &r.Books
	t = newTable("The backlog", "what", "value", "floor", "of the floor")
	t.row("reports, samples, bytes in the spool", fmt.Sprintf("%d, %d, %s", r.Backlog.Reports, r.Backlog.Samples, size(r.Backlog.Bytes)), "", "")
	t.row("resident memory of the gateway with a tenth of it in; most while it came in; and after", size(r.Tenth)+"; "+size(r.Filling.Memory)+"; "+size(r.Down.Memory), "", "")
	t.row("from the first answer of PostgreSQL to the first report in it", duration(r.Resumed), "", "")
	t.row("drained after, samples/s of the backlog", duration(r.Draining.Length)+", "+number(r.PerSecond()), "", "")
	t.row("times the live rate", fmt.Sprintf("%.1f", r.PerSecond()/r.Live), fmt.Sprint(floor), ratio(r.PerSecond()/r.Live, floor))
	t.row("ledger: received = accepted + duplicate; committed", fmt.Sprintf("%d = %d + %d; %d", b.Received, b.Accepted, b.Resent, b.Committed), "", "")
	t.row("reports acknowledged to the fleet, in PostgreSQL once and whole, wrong, missing", fmt.Sprintf("%d, %d, %d, %d", b.Acknowledged, b.Whole, b.Wrong, b.Missing), "all", "")
	t.row("samples acknowledged, rows", fmt.Sprintf("%d, %d", b.Samples, b.Rows), "all", "")
	t.print()
	return nil
}

func share(used, of time.Duration) string { return fmt.Sprintf("%.2f", used.Seconds()/of.Seconds()) }
