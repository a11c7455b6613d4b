package script

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock"
)

// What a script may write into the gateway's log.
const (
	linesASecond  = 10
	linesAtOnce   = 50
	faultsASecond = 2
)

// console writes what scripts say, and what they do wrong, into the log. What is
// too much is counted in the next line.
type console struct {
	log    *slog.Logger
	script string
	now    func() time.Time

	lines, faults            *rate.Limiter
	missed, suppressedFaults atomic.Int64
}

func newConsole(log *slog.Logger, script string, now func() time.Time) *console {
	return &console{
		log: log, script: script, now: now,
		lines: rate.NewLimiter(linesASecond, linesAtOnce), faults: rate.NewLimiter(faultsASecond, faultsASecond),
	}
}

// lines returns what the console said, and in a last line how much it left out.
func (a *answer) lines() []Line {
	var all []Line
	for _, l := range a.Lines {
		all = append(all, Line{levelOf(l[0]), clipLine(l[1])})
	}
	if a.Missed > 0 {
		all = append(all, Line{slog.LevelWarn, "… and more lines than a report may write"})
	}
	return all
}

// maxLine bounds a line of the console in bytes.
const maxLine = 4 << 10

func clipLine(s string) string {
	if len(s) > maxLine {
		s = s[:maxLine] + "…"
	}
	return s
}

func levelOf(name string) slog.Level {
	switch name {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

func (c *console) write(ctx context.Context, r *penstock.Report, out *Outcome, rest time.Duration) {
	for _, l := range out.Lines {
		if !c.log.Enabled(ctx, l.Level) {
			continue
		}
		if !c.lines.AllowN(c.now(), 1) {
			c.missed.Add(1)
			continue
		}
		c.log.LogAttrs(ctx, l.Level, l.Text, slog.String("script", c.script), slog.String("controller", r.Controller),
			slog.Int64("suppressed", c.missed.Swap(0)))
	}
	if rest > 0 { // once for all the reports that come meanwhile
		c.log.LogAttrs(ctx, slog.LevelWarn, "the script is not run on a controller's reports for a while: it was stopped on too many of them",
			slog.String("script", c.script), slog.String("controller", r.Controller), slog.String("rest", rest.Round(time.Second).String()),
			slog.String("reports", out.fate()))
	}
	if out.Fault == nil {
		return
	}
	if !c.faults.AllowN(c.now(), 1) {
		c.suppressedFaults.Add(1)
		return
	}
	c.log.LogAttrs(ctx, slog.LevelError, "the script failed on a report", slog.String("error", out.Fault.Error()),
		slog.String("kind", string(out.Fault.Kind)), slog.String("controller", r.Controller),
		slog.String("identity", r.Identity.String()), slog.String("report", out.fate()),
		slog.Int64("suppressed", c.suppressedFaults.Swap(0)))
}

// fate says what becomes of the report on which the script failed.
func (o *Outcome) fate() string {
	switch {
	case o.Quarantine:
		return "goes to quarantine"
	case o.Rejected:
		return "is rejected"
	}
	return "goes on unchanged"
}
