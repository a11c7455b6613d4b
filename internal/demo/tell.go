package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/penstock/penstock/internal/sim"
)

// welcome tells where the gateway is and what to try.
func (d *demo) welcome(ctx context.Context, e sim.Endpoint) {
	model := d.fleet.Model()
	mishaps := d.Impair
	d.say("%d controllers of a water network report every %v to %s\n", model.Controllers(), model.Interval(), e.URL)
	d.say("loss %g%%, duplicate %g%%, reorder %g%%, corrupt %g%%", 100*mishaps.Loss, 100*mishaps.Duplicate, 100*mishaps.Reorder, 100*mishaps.Corrupt)
	if d.KillEvery > 0 {
		d.say(", gateway killed every %v", d.KillEvery)
	}
	token := filepath.Join(d.directory, "admin.token")
	d.say("\n\n")
	d.invite(ctx, e, token)
	d.say("\nTry in another terminal:\n")
	d.say("  curl --cacert %s -H \"Authorization: Bearer $(cat %s)\" '%s/v1/latest?controller=%s'\n", d.certificate(), token, e.URL, model.Name(0))
	program := filepath.Base(d.Program[0])
	if path, err := os.Executable(); err == nil && path == d.Program[0] {
		program = path
	}
	d.say("  %s query --data %s %s\n", program, d.directory, model.Name(0))
	d.say("  %s tail --data %s\n", program, d.directory)
	if d.drill == nil {
		d.say("\nChange its configuration, %s, and have it read again:\n  %s reload --data %s\n", d.configFile(), program, d.directory)
	}
	d.say("\n")
}

// tell writes a line a second until ctx ends: counts since the start, latencies of
// the last second.
func (d *demo) tell(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	started := time.Now()
	var stored int64
	earlier := d.fleet.Latency().Spread()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if books, err := d.ask(ctx); err == nil {
			stored = books.Total.Committed
		}
		s, all := d.fleet.Stats(), d.fleet.Latency().Spread()
		second := all.Since(earlier)
		earlier = all
		line := fmt.Sprintf("%4.0fs  sent %d  accepted %d  duplicate %d  corrupt refused %d  stored %d  ack p50 %.1fms p99 %.1fms",
			time.Since(started).Seconds(), s.Reports, s.Accepted, s.Duplicate, s.CorruptRefused, stored,
			milliseconds(second.Quantile(0.5)), milliseconds(second.Quantile(0.99)))
		if d.KillEvery > 0 {
			line += fmt.Sprintf("  restarts %d", d.gateway.restarts.Load())
		}
		if err := errors.Join(d.fleet.Err(), d.fleet.Trouble()); err != nil && s.Accepted == 0 {
			line += fmt.Sprintf("  (%v)", err)
		}
		d.say("%s\n", line)
	}
}

// ask reads the books, unless the gateway is dead just now.
func (d *demo) ask(ctx context.Context) (ledger, error) {
	ctx, cancel := context.WithTimeout(ctx, 800*time.Millisecond)
	defer cancel()
	return readLedger(ctx, d.reader)
}

// say tells something under way.
func (d *demo) say(format string, args ...any) {
	d.saying.Lock()
	defer d.saying.Unlock()
	fmt.Fprintf(d.Messages, format, args...)
}
