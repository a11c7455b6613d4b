package sink

import (
	"errors"
	"slices"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
)

// Settings are what every sink can be told, whatever its kind. What is left out
// has the default that [Settings.WithDefaults] gives.
type Settings struct {
	Batch    int             `yaml:"batch,omitempty" jsonschema_description:"samples that are written at once, at most; a report is never split (65536)"`
	Linger   config.Duration `yaml:"linger,omitempty" jsonschema_description:"how long the first report of a batch waits for others (20ms)"`
	Timeout  config.Duration `yaml:"timeout,omitempty" jsonschema_description:"how long one write may take before it counts as failed (1m)"`
	Tries    int             `yaml:"tries,omitempty" jsonschema_description:"how often a report that the sink refuses is tried before it goes to quarantine (3)"`
	WhenFull Policy          `yaml:"when_full,omitempty" jsonschema_description:"what happens when this sink's backlog fills the spool: drop_oldest (counted and alarmed) or refuse (new reports are refused); a system of record always refuses"`
	Order    Order           `yaml:"order,omitempty" jsonschema_description:"live_first: after an outage new reports go first and the backlog follows, marked as historical; in_order: strictly as accepted"`
	Backfill int             `yaml:"backfill,omitempty" jsonschema_description:"samples of the backlog that are written a second, at most; 0 for as many as live reports leave room for"`
}

// Policy says what a sink does whose backlog fills the spool.
type Policy string

// The policies.
const (
	DropOldest Policy = "drop_oldest"
	Refuse     Policy = "refuse"
)

// Order says in which order a sink gets what waited during an outage.
type Order string

// The orders.
const (
	LiveFirst Order = "live_first"
	InOrder   Order = "in_order"
)

// Defaults and bounds of the settings.
const (
	defaultBatch   = 64 << 10
	defaultLinger  = 20 * time.Millisecond
	defaultTimeout = time.Minute
	defaultTries   = 3
	mostBatch      = 1 << 20
	mostTries      = 1000
	mostLinger     = time.Minute
	mostTimeout    = time.Hour
)

// WithDefaults returns the settings with what was left out filled in.
func (s Settings) WithDefaults() Settings {
	fill(&s.Batch, defaultBatch)
	fill(&s.Linger, config.Duration(defaultLinger))
	fill(&s.Timeout, config.Duration(defaultTimeout))
	fill(&s.Tries, defaultTries)
	fill(&s.WhenFull, DropOldest)
	fill(&s.Order, LiveFirst)
	return s
}

func fill[T comparable](v *T, with T) {
	var none T
	if *v == none {
		*v = with
	}
}

// Validate returns all that is wrong with the settings.
func (s Settings) Validate() error {
	var problems []error
	check := func(holds bool, format string, args ...any) {
		if !holds {
			problems = append(problems, penstock.Errorf(penstock.Invalid, format, args...))
		}
	}
	linger, timeout := s.Linger.Std(), s.Timeout.Std()
	check(s.Batch >= 0 && s.Batch <= mostBatch, "batch: %d is outside 1 to %d samples", s.Batch, mostBatch)
	check(linger >= 0 && linger <= mostLinger, "linger: %s is outside 0s to %s", s.Linger, mostLinger)
	check(timeout >= 0 && timeout <= mostTimeout, "timeout: %s is outside 0s to %s", s.Timeout, mostTimeout)
	check(s.Tries >= 0 && s.Tries <= mostTries, "tries: %d is outside 1 to %d", s.Tries, mostTries)
	check(s.Backfill >= 0, "backfill: %d is less than none; 0 sets no limit", s.Backfill)
	check(slices.Contains([]Policy{"", DropOldest, Refuse}, s.WhenFull), "when_full: %.40q is neither drop_oldest nor refuse", s.WhenFull)
	check(slices.Contains([]Order{"", LiveFirst, InOrder}, s.Order), "order: %.40q is neither live_first nor in_order", s.Order)
	return errors.Join(problems...)
}
