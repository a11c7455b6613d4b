package settings

import (
	"cmp"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/amqp"
	"github.com/penstock/penstock/internal/sink/mongo"
	"github.com/penstock/penstock/internal/sink/mqtt"
	"github.com/penstock/penstock/internal/sink/postgres"
	"github.com/penstock/penstock/internal/sink/upstream"
)

// Sink is one entry of the list of sinks: a name and exactly one kind, with its
// settings below it.
type Sink struct {
	Name          string `yaml:"name" jsonschema_description:"name of the sink in logs, counts and commands; unique"`
	Record        bool   `yaml:"record,omitempty" jsonschema_description:"it is the system of record, which decides what is committed; at most one sink, and the historian when it is none"`
	sink.Settings `yaml:",inline"`

	Postgres *postgres.Config `yaml:"postgres,omitempty" jsonschema_description:"a PostgreSQL database; fit to be the system of record of many nodes"`
	MongoDB  *mongo.Config    `yaml:"mongodb,omitempty" jsonschema_description:"a MongoDB database; fit to be the system of record of many nodes"`
	AMQP     *amqp.Config     `yaml:"amqp,omitempty" jsonschema_description:"a broker of AMQP 0.9.1 such as RabbitMQ"`
	MQTT     *mqtt.Config     `yaml:"mqtt,omitempty" jsonschema_description:"a broker of MQTT 5 such as Mosquitto"`
	Upstream *upstream.Config `yaml:"upstream,omitempty" jsonschema_description:"another Penstock, at the centre: reports keep their identities, and stay in the spool here until its record has them. when_full is refuse and tries 1 unless said otherwise"`
}

// HistorianName is the name of the embedded historian among the sinks.
const HistorianName = "historian"

// sinkKind is what the node needs to know of one kind of sink.
type sinkKind struct {
	name   string
	config validated // nil unless the entry is of this kind
	sink   func(sink.Env) (penstock.Sink, error)
	record func(sink.Env) (penstock.Record, error) // nil where the kind is no record
	// usual fills in settings that the kind has otherwise than others; nil for none.
	usual    func(*sink.Settings)
	forwards bool // see [sink.Spec]
}

// kinds returns every kind of sink there is, with the settings of this entry.
func (s *Sink) kinds() []sinkKind {
	return []sinkKind{
		recordKindOf("postgres", s.Postgres, postgres.New),
		recordKindOf("mongodb", s.MongoDB, mongo.New),
		sinkKindOf("amqp", s.AMQP, amqp.New),
		sinkKindOf("mqtt", s.MQTT, mqtt.New),
		forwarding(sinkKindOf("upstream", s.Upstream, upstream.New)),
	}
}

// forwarding returns the kind of a sink that hands reports on to another gateway.
// Nothing is dropped before that one has it, and what it refuses of a report is final:
// its reason would be another one the second time.
func forwarding(k sinkKind) sinkKind {
	k.forwards = true
	k.usual = func(s *sink.Settings) {
		s.WhenFull, s.Tries = cmp.Or(s.WhenFull, sink.Refuse), cmp.Or(s.Tries, 1)
	}
	return k
}

// sinkKindOf returns the kind of a plain sink of that name, made by an adapter's
// constructor from its settings, which are nil unless the entry is of this kind.
func sinkKindOf[C any, P interface {
	*C
	validated
}, S penstock.Sink](name string, c P, construct func(C, sink.Env) (S, error)) sinkKind {
	if c == nil {
		return sinkKind{name: name}
	}
	return sinkKind{name: name, config: c, sink: func(env sink.Env) (penstock.Sink, error) { return construct(*c, env) }}
}

// recordKindOf is sinkKindOf for a record.
func recordKindOf[C any, P interface {
	*C
	validated
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

// Connecting returns the settings of the entry's kind, nil when it has none.
func (s *Sink) Connecting() any {
	for _, k := range s.chosen() {
		return k.config
	}
	return nil
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
		case s.Name == HistorianName:
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

// RecordName returns the name of the system of record.
func (c *Config) RecordName() string {
	for i := range c.Sinks {
		if c.Sinks[i].Record {
			return c.Sinks[i].Name
		}
	}
	return HistorianName
}

// SinkSpecs returns the sinks that the configuration asks to run. It was validated.
func (c *Config) SinkSpecs() []sink.Spec {
	var specs []sink.Spec
	for i := range c.Sinks {
		s := &c.Sinks[i]
		for _, k := range s.chosen() {
			spec := sink.Spec{Name: s.Name, Settings: s.Settings, Config: k.config, NewSink: k.sink, NewRecord: k.record, Forwards: k.forwards}
			if k.usual != nil {
				k.usual(&spec.Settings)
			}
			specs = append(specs, spec)
		}
	}
	return specs
}
