package app

import (
	"crypto/rand"
	"path/filepath"
	"slices"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/app/views"
	"github.com/penstock/penstock/internal/delivery"
	"github.com/penstock/penstock/internal/delivery/keep"
	"github.com/penstock/penstock/internal/sink"
)

// sinkSpecs returns what the configuration asks to run, and the historian, which is
// always there and takes reports in their order. The configuration was validated.
func (n *node) sinkSpecs(c *settings.Config) []sink.Spec {
	specs := []sink.Spec{{
		Name: settings.HistorianName, Settings: sink.Settings{Order: sink.InOrder},
		NewRecord: func(sink.Env) (penstock.Record, error) { return views.Record{Historian: n.historian}, nil },
	}}
	return append(specs, c.SinkSpecs()...)
}

// openSinks makes the set of the node's sinks, which has not begun.
func (n *node) openSinks(o nodeOptions) error {
	n.sinks = delivery.NewSet(delivery.Options{
		Env:  sink.Env{Log: component(o.log, "delivery"), Now: o.now, Rand: rand.Reader, Files: filepath.Join(o.dir, "sinks")},
		Self: n.self, Log: n.spool, Store: n.store, Intake: n.intake, Feed: settled{n.feed, n.verdicts, n.traces}, Flow: n.flow, Main: o.config.RecordName(),
		Health: func(name string) (delivery.Health, func()) {
			component := "sink " + name
			if name == o.config.RecordName() {
				component = "record"
			}
			c := n.health.Watched(component)
			return c, c.Remove
		},
	})
	n.keeper = keep.New(keepOf(o.config.RecordName(), &o.config))
	specs := n.sinkSpecs(&o.config)
	n.record = specs[slices.IndexFunc(specs, func(s sink.Spec) bool { return s.Name == o.config.RecordName() })]
	return n.sinks.Apply(specs)
}

// keepOf returns for how long the spool keeps what the record has.
func keepOf(record string, c *settings.Config) time.Duration {
	if record == settings.HistorianName {
		return 0 // it stands on the same disk
	}
	return c.Spool.Keep.Std()
}

// reloadSinks takes over the sinks of a new configuration. The system of record stays
// the one that it was at the start.
func (n *node) reloadSinks(c *settings.Config) error {
	specs := n.sinkSpecs(c)
	i := slices.IndexFunc(specs, func(s sink.Spec) bool { return s.Name == n.record.Name })
	switch {
	case i < 0:
		specs = append(specs, n.record)
	case c.RecordName() != n.record.Name:
		specs[i] = n.record
	}
	return n.sinks.Apply(specs)
}

// checkpoint makes the next start short, and lets go of what nobody needs of the
// spool.
func (n *node) checkpoint(now time.Time) error {
	floor, err := n.sinks.Floor()
	if err != nil {
		return err
	}
	forgotten, err := n.intake.Checkpoint(min(floor, n.keeper.Floor(now, n.spool.Durable())))
	if err != nil {
		return err
	}
	n.sinks.Forget(forgotten)
	return nil
}

// press gives space back when the spool has no room for another segment: first what it
// kept to feed a record again, then what sinks other than the record are behind with.
func (n *node) press() error {
	s := n.spool.State()
	oldest, ok := n.spool.Oldest()
	if !ok || s.Quota == 0 || s.Used+n.spool.SegmentBytes() <= s.Quota {
		return nil
	}
	if past := n.intake.Past(); penstock.Position(past.Through(1)) < oldest {
		return nil // the record's backlog: new reports are refused
	}
	if free, err := n.sinks.Press(oldest); err != nil || !free {
		return err
	}
	for range 2 { // what is released both of the last two snapshots must cover
		if _, err := n.intake.Checkpoint(oldest); err != nil {
			return err
		}
	}
	return nil
}
