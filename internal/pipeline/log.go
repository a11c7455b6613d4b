package pipeline

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/intake"
)

// LogConfig are the settings of the step that logs.
type LogConfig struct {
	Every    int `yaml:"every" jsonschema_description:"one of so many envelopes is logged whatever becomes of it; 0 for none"`
	Refusals int `yaml:"refusals" jsonschema_description:"envelopes with something refused that are logged a second; the others are counted in the next line"`
}

func defaultLog() *LogConfig { return &LogConfig{Every: 100_000, Refusals: 5} }

// Validate returns an error of code [penstock.Invalid] when a setting breaks a rule.
func (c *LogConfig) Validate() error {
	if c.Every < 0 {
		return penstock.Errorf(penstock.Invalid, "every: %d is negative: 0 for none", c.Every)
	}
	if c.Refusals < 0 {
		return penstock.Errorf(penstock.Invalid, "refusals: %d is negative: 0 for none", c.Refusals)
	}
	return nil
}

// logging writes a line an envelope at most: for one in so many, and for those
// with something refused as long as they are few.
type logging struct {
	log      *slog.Logger
	every    uint64
	refusals *throttle
	seen     atomic.Uint64
}

func newLog(c LogConfig, log *slog.Logger) *logging {
	return &logging{log: log, every: uint64(c.Every), refusals: newThrottle(c.Refusals)}
}

// throttle lets so many lines a second into the log and counts the others.
type throttle struct {
	limiter    *rate.Limiter
	suppressed atomic.Uint64
}

func newThrottle(perSecond int) *throttle {
	return &throttle{limiter: rate.NewLimiter(rate.Limit(perSecond), perSecond)}
}

// allow tells whether a line may be written, and how many were not since the last.
func (t *throttle) allow(now time.Time) (suppressed uint64, ok bool) {
	if !t.limiter.AllowN(now, 1) {
		t.suppressed.Add(1)
		return 0, false
	}
	return t.suppressed.Swap(0), true
}

// onEnvelope lets everything pass: its line is written at the end.
func (s *logging) onEnvelope(context.Context, *passage) *refused { return nil }

func (s *logging) atEnd(ctx context.Context, w *passage) {
	first, count := firstRefused(w.items)
	if w.refused != nil || count > 0 {
		if suppressed, ok := s.refusals.allow(w.now); ok {
			list := append(attributes(w), slog.Uint64("suppressed", suppressed))
			s.log.LogAttrs(ctx, slog.LevelWarn, "refused", append(list, refusal(w, first, count)...)...)
		}
		return
	}
	if s.every > 0 && s.seen.Add(1)%s.every == 1%s.every {
		s.log.LogAttrs(ctx, slog.LevelInfo, "passed the pipeline", attributes(w)...)
	}
}

func attributes(w *passage) []slog.Attr {
	e := w.envelope
	list := []slog.Attr{
		slog.String("source", e.Source), slog.String("peer", e.Peer),
		slog.Int("bytes", len(e.Body)), slog.Int("reports", len(w.items)),
	}
	if e.Principal != nil {
		list = append(list, slog.String("credential", e.Principal.Credential))
	}
	return list
}

func refusal(w *passage, first *intake.Item, count int) []slog.Attr {
	if w.refused != nil {
		return []slog.Attr{slog.String("reason", string(w.refused.reason)), slog.String("detail", w.refused.err.Error())}
	}
	list := []slog.Attr{
		slog.Int("refused", count), slog.String("reason", string(first.Reason)), slog.String("detail", first.Detail),
		slog.String("controller", first.Report.Controller), slog.String("identity", first.Report.Identity.String()),
	}
	if id := first.Report.Identity; id.Form == penstock.Sequence {
		list = append(list, slog.Uint64("epoch", id.Epoch), slog.Uint64("seq", id.Seq))
	}
	return list
}

// firstRefused returns the first report that was refused and how many were.
func firstRefused(items []intake.Item) (first *intake.Item, count int) {
	for i := range items {
		if items[i].Reason == "" {
			continue
		}
		if first == nil {
			first = &items[i]
		}
		count++
	}
	return first, count
}
