package syslog

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/topic"
)

// Config are the settings of a syslog source.
type Config struct {
	UDP         config.Address `yaml:"udp,omitempty" jsonschema_description:"address for datagrams; 514 is the usual port"`
	TCP         config.Address `yaml:"tcp,omitempty" jsonschema_description:"address for plain text over TCP; 601 or 514 are the usual ports"`
	TLS         config.Address `yaml:"tls,omitempty" jsonschema_description:"address for TLS 1.3 with the node's certificate; 6514 is the usual port"`
	Controllers []string       `yaml:"controllers" jsonschema_description:"names that may stand as controllers, with * for any run of characters: messages of others are refused"`
	Controller  string         `yaml:"controller,omitempty" jsonschema_description:"whose event it is: text with {host}, {app} or {peer} (the sender's address) in braces; {host} when left out"`
	Point       string         `yaml:"point,omitempty" jsonschema_description:"point of the event, likewise; syslog/{app} when left out"`
	Zone        string         `yaml:"zone,omitempty" jsonschema_description:"time zone of times without one, as in Europe/Berlin; UTC when left out"`
	Rules       []Rule         `yaml:"rules,omitempty" jsonschema_description:"what messages say about links"`
}

// Rule notes evidence for messages that match an expression.
type Rule struct {
	Match      string `yaml:"match" jsonschema_description:"regular expression (RE2) on the message; groups are named (?P<value>…)"`
	Controller string `yaml:"controller,omitempty" jsonschema_description:"whose link it is about: text with {host}, {app}, {peer} or a group of the expression in braces; the sender itself when left out"`
	Event      string `yaml:"event,omitempty" jsonschema_description:"event to count: lost, connected, checksum, framing, overrun, timeout …"`
	Signal     string `yaml:"signal,omitempty" jsonschema_description:"quantity to note from the group value: rssi, snr, attenuation or optical_power"`
}

// senderNames are what templates can use of every message.
var senderNames = []string{"host", "app", "peer"}

// The defaults.
const (
	defaultController = "{host}"
	defaultPoint      = "syslog/{app}"
)

// Validate returns all that is wrong, with code [penstock.Invalid].
func (c Config) Validate() error {
	_, err := c.compile()
	return err
}

// compiled is a Config made ready.
type compiled struct {
	Config
	controller, point topic.Template
	zone              *time.Location
	rules             []rule
}

type rule struct {
	match      *regexp.Regexp
	controller topic.Template
	event      evidence.Event
	counts     bool
	signal     evidence.Quantity
	value      int // group that holds the value of the signal
}

func (c Config) compile() (*compiled, error) {
	var problems []error
	note := func(key string, err error) {
		if err != nil {
			problems = append(problems, penstock.Errorf(penstock.Invalid, "%s: %w", key, err))
		}
	}
	if c.UDP.Off() && c.TCP.Off() && c.TLS.Off() {
		note("udp", errors.New("none of udp, tcp and tls has an address: where should messages come from?"))
	}
	if len(c.Controllers) == 0 {
		note("controllers", errors.New("say which names may stand as controllers; \"*\" allows all"))
	}
	out := &compiled{Config: c, zone: time.UTC}
	var err error
	out.controller, err = topic.ParseTemplate(or(c.Controller, defaultController), senderNames...)
	note("controller", err)
	out.point, err = topic.ParseTemplate(or(c.Point, defaultPoint), senderNames...)
	note("point", err)
	if c.Zone != "" {
		if out.zone, err = time.LoadLocation(c.Zone); err != nil {
			note("zone", err)
		}
	}
	for i, r := range c.Rules {
		made, err := r.compile()
		if err != nil {
			note("rules", penstock.Errorf(penstock.Invalid, "rule %d: %w", i+1, err))
		}
		out.rules = append(out.rules, made)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "%w", err)
	}
	return out, nil
}

func (r Rule) compile() (made rule, err error) {
	if made.match, err = regexp.Compile(r.Match); err != nil {
		return made, err
	}
	groups := slices.DeleteFunc(slices.Clone(made.match.SubexpNames()), func(s string) bool { return s == "" })
	if made.controller, err = topic.ParseTemplate(r.Controller, append(groups, senderNames...)...); err != nil {
		return made, err
	}
	if r.Event == "" && r.Signal == "" {
		return made, penstock.Errorf(penstock.Invalid, "it needs an event or a signal: otherwise it does nothing")
	}
	if r.Event != "" {
		i := slices.IndexFunc(evidence.Events(), func(e evidence.Event) bool { return e.String() == r.Event })
		if i < 0 {
			return made, penstock.Errorf(penstock.Invalid, "there is no event %q: write one of %s", r.Event, strings.Join(eventNames(), ", "))
		}
		made.event, made.counts = evidence.Events()[i], true
	}
	if r.Signal != "" {
		made.signal = evidence.Quantity(r.Signal)
		if made.signal.Unit() == "" {
			return made, penstock.Errorf(penstock.Invalid, "there is no signal %q: write rssi, snr, attenuation or optical_power", r.Signal)
		}
		if made.value = made.match.SubexpIndex("value"); made.value < 0 {
			return made, penstock.Errorf(penstock.Invalid, "the signal's value comes from a group of that name: write (?P<value>-?[0-9.]+) in match")
		}
	}
	return made, nil
}

// eventNames returns the words for events that a rule can count.
func eventNames() (names []string) {
	for _, e := range evidence.Events() {
		names = append(names, e.String())
	}
	return names
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
