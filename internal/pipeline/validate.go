package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/intake"
)

// ValidateConfig are the settings of the step that checks samples.
type ValidateConfig struct {
	SkewAhead    Span `yaml:"skew_ahead" jsonschema_description:"source times this far in the future are taken and marked as of a skewed clock"`
	SkewBehind   Span `yaml:"skew_behind" jsonschema_description:"source times this far in the past are taken and marked, unless the sample says that it is historical"`
	RefuseAhead  Span `yaml:"refuse_ahead" jsonschema_description:"source times this far in the future are refused, since nothing newer would be the latest for so long"`
	RefuseBehind Span `yaml:"refuse_behind" jsonschema_description:"source times this far in the past are refused"`
}

func defaultValidate() *ValidateConfig {
	return &ValidateConfig{
		SkewAhead: Span(time.Minute), SkewBehind: Span(7 * day), RefuseAhead: Span(day), RefuseBehind: Span(3650 * day),
	}
}

// maxBound keeps the bounds within the times that 64 bits of nanoseconds hold.
const maxBound = Span(100 * 365 * day)

// Validate returns an error of code [penstock.Invalid] when a setting breaks a rule.
func (c *ValidateConfig) Validate() error {
	switch {
	case c.SkewAhead <= 0:
		return penstock.Errorf(penstock.Invalid, "skew_ahead: %v is not positive", c.SkewAhead)
	case c.SkewBehind <= 0:
		return penstock.Errorf(penstock.Invalid, "skew_behind: %v is not positive", c.SkewBehind)
	case c.RefuseAhead < c.SkewAhead:
		return penstock.Errorf(penstock.Invalid, "refuse_ahead: %v is less than skew_ahead, %v", c.RefuseAhead, c.SkewAhead)
	case c.RefuseBehind < c.SkewBehind:
		return penstock.Errorf(penstock.Invalid, "refuse_behind: %v is less than skew_behind, %v", c.RefuseBehind, c.SkewBehind)
	case c.RefuseAhead > maxBound:
		return penstock.Errorf(penstock.Invalid, "refuse_ahead: %v is more than 100 years", c.RefuseAhead)
	case c.RefuseBehind > maxBound:
		return penstock.Errorf(penstock.Invalid, "refuse_behind: %v is more than 100 years", c.RefuseBehind)
	}
	return nil
}

// validate checks status and time of each sample, and lets the fleet check type,
// unit and range. Steps that change samples must come before it.
type validate struct {
	config ValidateConfig
	fleet  *fleet.Fleet
}

func newValidate(c ValidateConfig, f *fleet.Fleet) *validate { return &validate{c, f} }

func (s *validate) onReport(_ context.Context, w *passage, item *intake.Item) *fleet.Refusal {
	r := item.Report
	b := s.boundsAt(r.ReceivedTime)
	for i := range r.Samples {
		sample := &r.Samples[i]
		if sample.Value.Kind() == penstock.None && !sample.Status.IsBad() {
			return &fleet.Refusal{Reason: penstock.ReasonStatus, Detail: fmt.Sprintf(
				"point %q of controller %q has no value, and the status %s, which is not bad", sample.Point, r.Controller, sample.Status)}
		}
		if b.plain(sample.SourceTime) || isUntimed(sample) {
			continue
		}
		if sample.SourceTime < b.oldest || sample.SourceTime > b.newest {
			return &fleet.Refusal{Reason: penstock.ReasonTime, Detail: fmt.Sprintf(
				"point %q of controller %q has the time %s, which cannot be true: it came at %s; look at the controller's clock",
				sample.Point, r.Controller, timeText(sample.SourceTime), timeText(r.ReceivedTime))}
		}
		if sample.SourceTime > b.ahead || sample.Flags&penstock.Historical == 0 {
			sample.Flags |= penstock.SkewedClock
		}
	}
	found, refusal := s.fleet.Check(r)
	w.fresh = w.fresh || found.Fresh
	w.signals = w.signals || found.Signals
	return refusal
}

// bounds are the source times of one moment: outside oldest to newest they are
// refused, outside behind to ahead they are marked.
type bounds struct{ oldest, behind, ahead, newest int64 }

func (s *validate) boundsAt(received int64) bounds {
	c := &s.config
	return bounds{
		oldest: received - int64(c.RefuseBehind), behind: received - int64(c.SkewBehind),
		ahead: received + int64(c.SkewAhead), newest: received + int64(c.RefuseAhead),
	}
}

func (b *bounds) plain(t int64) bool { return t >= b.behind && t <= b.ahead }

func timeText(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
