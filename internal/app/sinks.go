package app

import (
	"crypto/rand"
	"path/filepath"
	"slices"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/views"
	"github.com/penstock/penstock/internal/delivery"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/postgres"
)

// Sink is one entry of the list of sinks: a name and exactly one kind, with its
// settings below it.
type Sink struct {
	Name          string `yaml:"name" jsonschema_description:"name of the sink in logs, counts and commands; unique"`
	Record        bool   `yaml:"record,omitempty" jsonschema_description:"it is the system of record, which decides what is committed; at most one sink, and the historian when it is none"`
	sink.Settings `yaml:",inline"`

	Postgres *postgres.Config `yaml:"postgres,omitempty" jsonschema_description:"a PostgreSQL database; fit to be the system of record of many nodes"`
}

// sinkKind is what the node needs to know of one kind of sink.
type sinkKind struct {
	name   string
	config settings // nil unless the entry is of this kind
	sink   func(sink.Env) (penstock.Sink, error)
	record func(sink.Env) (penstock.Record, error) // nil where the kind is no record
}

// kinds returns every kind of sink there is, with the settings of this entry.
func (s *Sink) kinds() []sinkKind {
	return []sinkKind{
		recordKindOf("postgres", s.Postgres, postgres.New),
	}
}

// sinkKindOf returns the kind of a plain sink of that name, made by an adapter's
// constructor from its settings, which are nil unless the entry is of this kind.
func sinkKindOf[C any, P interface {
	*C
	settings
}, S penstock.Sink](name string, c P, construct func(C, sink.Env) (S, error)) sinkKind {
	if c == nil {
		return sinkKind{name: name}
	}
	return sinkKind{name: name, config: c, sink: func(env sink.Env) (penstock.Sink, error) { return construct(*c, env) }}
}

// recordKindOf is sinkKindOf for a record.
func recordKindOf[C any, P interface {
	*C
	settings
}, R penstock.Record](name string, c P, construct func(C, sink.Env) (R, error)) sinkKind {
	if c == nil {
		return sinkKind{name: name}
	}
	return sinkKind{name: name, config: c, record: func(env sink.Env) (penstock.Record, error) { return construct(*c, env) }}
}

// chosen returns the kinds whose settings the entry has.
func (s *Sink) chosen() []sinkKind {
	return slices.DeleteFunc(s.kinds(), func(k sinkKind) bool { return k.config == nil })
}

// checkSinks returns all that is wrong with the list. What is wrong with the settings
// of a kind they say themselves.
func checkSinks(list []Sink) []error {
	var problems []error
	refuse := func(format string, args ...any) {
		problems = append(problems, penstock.Errorf(penstock.Invalid, format, args...))
	}
	seen := map[string]bool{}
	record := ""
	for i := range list {
		s := &list[i]
		if err := penstock.CheckControllerName(s.Name); err != nil || len(s.Name) > sink.MaxName {
			refuse("sinks[%d].name: a sink needs a name of 1 to %d bytes without '/'", i, sink.MaxName)
			continue
		}
		switch {
		case s.Name == views.HistorianName:
			refuse("sinks[%d].name: %q is the embedded historian, which is always there; choose another name", i, s.Name)
		case seen[s.Name]:
			refuse("sinks[%d].name: %q is taken: each sink has its own", i, s.Name)
		}
		seen[s.Name] = true
		set := s.chosen()
		if len(set) != 1 {
			refuse("sinks[%d]: %s has the settings of %d kinds: exactly one says what it is", i, s.Name, len(set))
			continue
		}
		if !s.Record {
			continue
		}
		switch {
		case set[0].record == nil:
			refuse("sinks[%d].record: %s cannot be the system of record: it does not know a report again", i, set[0].name)
		case record != "":
			refuse("sinks[%d].record: %s is the system of record already: there is one", i, record)
		case s.WhenFull == sink.DropOldest:
			refuse("sinks[%d].when_full: a system of record never drops reports: leave it out", i)
		}
		record = s.Name
	}
	return problems
}

// record returns the name of the system of record.
func (c *Config) record() string {
	for i := range c.Sinks {
		if c.Sinks[i].Record {
			return c.Sinks[i].Name
		}
	}
	return views.HistorianName
}

// sinkSpecs returns what the configuration asks to run, and the historian, which is
// always there and takes reports in their order. The configuration was validated.
func (n *node) sinkSpecs(c *Config) []sink.Spec {
	specs := []sink.Spec{{
		Name: views.HistorianName, Settings: sink.Settings{Order: sink.InOrder},
		NewRecord: func(sink.Env) (penstock.Record, error) { return views.Record{Historian: n.historian}, nil },
	}}
	for i := range c.Sinks {
		s := &c.Sinks[i]
		for _, k := range s.chosen() {
			specs = append(specs, sink.Spec{Name: s.Name, Settings: s.Settings, Config: k.config, NewSink: k.sink, NewRecord: k.record})
		}
	}
	return specs
}

// openSinks makes the set of the node's sinks, which has not begun.
func (n *node) openSinks(o nodeOptions) error {
	n.sinks = delivery.NewSet(delivery.Options{
		Env:  sink.Env{Log: o.log, Now: o.now, Rand: rand.Reader, Files: filepath.Join(o.dir, "sinks")},
		Self: n.self, Log: n.spool, Store: n.store, Intake: n.intake, Feed: n.feed, Main: o.config.record(),
		Health: func(name string) (delivery.Health, func()) {
			component := "sink " + name
			if name == o.config.record() {
				component = "record"
			}
			c := n.health.Watched(component)
			return c, c.Remove
		},
	})
	keep := o.config.Spool.Keep.Std()
	if o.config.record() == views.HistorianName {
		keep = 0 // it stands on the same disk
	}
	n.keeper = delivery.NewKeeper(keep)
	specs := n.sinkSpecs(&o.config)
	n.record = specs[slices.IndexFunc(specs, func(s sink.Spec) bool { return s.Name == o.config.record() })]
	return n.sinks.Apply(specs)
}

// reloadSinks takes over the sinks of a new configuration. The system of record stays
// the one that it was at the start.
func (n *node) reloadSinks(c *Config) error {
	specs := n.sinkSpecs(c)
	i := slices.IndexFunc(specs, func(s sink.Spec) bool { return s.Name == n.record.Name })
	switch {
	case i < 0:
		specs = append(specs, n.record)
	case c.record() != n.record.Name:
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
