package settings

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/amqp"
	"github.com/penstock/penstock/internal/source/framed"
	"github.com/penstock/penstock/internal/source/linkgate"
	"github.com/penstock/penstock/internal/source/modbus"
	"github.com/penstock/penstock/internal/source/mqttbroker"
	"github.com/penstock/penstock/internal/source/mqttclient"
	"github.com/penstock/penstock/internal/source/opcua"
	"github.com/penstock/penstock/internal/source/syslog"
)

// Source is one entry of the list of sources: a name and exactly one kind, with
// its settings below it.
type Source struct {
	Name  string `yaml:"name" jsonschema_description:"name of the source in logs, counts and reports; unique"`
	Lease *bool  `yaml:"lease,omitempty" jsonschema_description:"among the nodes that share a record one at a time reads this origin: those whose source has this name and the same settings; true for modbus, opcua, and mqtt without share when left out, and of no effect with a record that nodes do not share"`
	Apart bool   `yaml:"apart,omitempty" jsonschema_description:"run the source in a process of its own, which may die without the gateway; sources of the kind opcua always do"`

	Link   *linkgate.SerialConfig `yaml:"link,omitempty" jsonschema_description:"controllers that speak the link protocol on a serial line"`
	Syslog *syslog.Config         `yaml:"syslog,omitempty" jsonschema_description:"syslog messages from switches, modems and other devices, as events and as evidence about links"`
	Framed *framed.Config         `yaml:"framed,omitempty" jsonschema_description:"devices that send frames of their own over serial lines, TCP and UDP"`
	Modbus *modbus.Config         `yaml:"modbus,omitempty" jsonschema_description:"devices that are polled over Modbus TCP, Modbus RTU or RTU over TCP"`
	AMQP   *amqp.Config           `yaml:"amqp,omitempty" jsonschema_description:"a queue of an AMQP 0.9.1 broker that is consumed"`
	MQTT   *mqttclient.Config     `yaml:"mqtt,omitempty" jsonschema_description:"an MQTT 5 broker that is subscribed"`
	OPCUA  *opcua.Config          `yaml:"opcua,omitempty" jsonschema_description:"an OPC UA server whose variables are subscribed"`
}

// kinds returns every kind of source there is, with the settings of this entry.
func (s *Source) kinds() []kind {
	return []kind{
		kindOf("amqp", s.AMQP, amqp.New),
		kindOf("framed", s.Framed, framed.New),
		kindOf("link", s.Link, linkgate.NewSerial),
		kindOf("modbus", s.Modbus, modbus.New),
		kindOf("mqtt", s.MQTT, mqttclient.New),
		kindOf("opcua", s.OPCUA, opcua.New),
		kindOf("syslog", s.Syslog, syslog.New),
	}
}

// kind is what the node needs to know of one kind of source.
type kind struct {
	name   string
	config validated // nil unless the entry is of this kind
	make   func(source.Env) (penstock.Source, error)
}

type validated interface{ Validate() error }

// kindOf returns the kind of that name, made by an adapter's constructor from its
// settings, which are nil unless the entry is of this kind.
func kindOf[C any, P interface {
	*C
	validated
}, S penstock.Source](name string, c P, construct func(C, source.Env) (S, error)) kind {
	if c == nil {
		return kind{name: name}
	}
	return kind{name: name, config: c, make: func(env source.Env) (penstock.Source, error) { return construct(*c, env) }}
}

// chosen returns the kinds whose settings the entry has.
func (s *Source) chosen() []kind {
	var set []kind
	for _, k := range s.kinds() {
		if k.config != nil {
			set = append(set, k)
		}
	}
	return set
}

// checkSources returns all that is wrong with the list. What is wrong with the
// settings of a kind they say themselves.
func checkSources(list []Source) []error {
	var problems []error
	refuse := func(format string, args ...any) {
		problems = append(problems, penstock.Errorf(penstock.Invalid, format, args...))
	}
	seen := map[string]bool{"https": true, "link": true, "link_udp": true, "mqtt": true} // the listeners' own
	for i := range list {
		s := &list[i]
		if err := penstock.CheckControllerName(s.Name); err != nil {
			refuse("sources[%d].name: a source needs a name of 1 to %d bytes without '/'", i, penstock.MaxName)
			continue
		}
		if seen[s.Name] {
			refuse("sources[%d].name: %q is taken: each source has its own", i, s.Name)
		}
		seen[s.Name] = true
		if set := s.chosen(); len(set) != 1 {
			refuse("sources[%d]: %s has the settings of %d kinds: exactly one says what it is", i, s.Name, len(set))
		}
		if s.Apart && s.Syslog != nil && !s.Syslog.TLS.Off() {
			refuse("sources[%d].apart: syslog.tls needs the key of the node's certificate, which stays in the gateway's process: leave one of them out", i)
		}
	}
	return problems
}

// SourceSpecs returns what the configuration asks to run. The configuration was
// validated.
func (c *Config) SourceSpecs() []source.Spec {
	specs := c.listening()
	for i := range c.Sources {
		s := &c.Sources[i]
		for _, k := range s.chosen() {
			spec := source.Spec{Name: s.Name, Config: k.config, New: k.make, Lease: s.lease(k)}
			if s.runsApart() {
				spec.Config, spec.New = []any{k.config}, s.newApart
			}
			specs = append(specs, spec)
		}
	}
	return specs
}

// lease returns the lease of the entry, nil when every node may read its origin.
func (s *Source) lease(k kind) *source.Lease {
	polled := s.Modbus != nil || s.OPCUA != nil
	wanted := polled || s.MQTT != nil && s.MQTT.Share == ""
	if s.Lease != nil {
		wanted = *s.Lease
	}
	if !wanted {
		return nil
	}
	// The settings are part of the name: a line of another machine that happens to have
	// this name is another origin.
	text, err := json.Marshal(k.config)
	if err != nil {
		text = nil // never: it was read from YAML
	}
	sum := sha256.Sum256(text)
	return &source.Lease{Name: "source/" + s.Name + "/" + hex.EncodeToString(sum[:8]), Alone: polled}
}

// listening returns the sources that the node offers once, at addresses of its
// own.
func (c *Config) listening() []source.Spec {
	var specs []source.Spec
	listen := func(name string, address config.Address, settings any, make func(source.Env) (penstock.Source, error)) {
		if !address.Off() {
			specs = append(specs, source.Spec{Name: name, Config: []any{address, settings}, New: make})
		}
	}
	tcp, udp, linked := c.Listen.Link, c.Listen.LinkUDP, c.Link
	listen("link", tcp, linked, func(env source.Env) (penstock.Source, error) { return linkgate.NewTCP(tcp, linked, env) })
	listen("link_udp", udp, linked, func(env source.Env) (penstock.Source, error) { return linkgate.NewUDP(udp, linked, env) })
	broker, settings := c.Listen.MQTT, c.MQTT
	listen("mqtt", broker, settings, func(env source.Env) (penstock.Source, error) { return mqttbroker.New(broker, settings, env) })
	return specs
}

// Settings returns the settings of the entry's kind, nil when it has none.
func (s *Source) Settings() any {
	for _, k := range s.chosen() {
		return k.config
	}
	return nil
}
