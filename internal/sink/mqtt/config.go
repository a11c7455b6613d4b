package mqtt

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/remote"
	"github.com/penstock/penstock/internal/sparkplug"
	"github.com/penstock/penstock/internal/tlsfiles"
	"github.com/penstock/penstock/internal/topic"
)

// Config are the settings of one broker.
type Config struct {
	Server    string          `yaml:"server" jsonschema_description:"broker: mqtts://host:8883, or mqtt://host:1883 without TLS"`
	PlainText bool            `yaml:"plain_text,omitempty" jsonschema_description:"allow a broker without TLS that is not on this machine"`
	TLS       tlsfiles.Client `yaml:"tls,omitempty" jsonschema_description:"whom to believe and what to show"`
	ClientID  string          `yaml:"client_id,omitempty" jsonschema_description:"name of the session at the broker, unique there; penstock-NAME-sink when left out"`
	User      string          `yaml:"user,omitempty" jsonschema_description:"user at the broker"`
	Password  config.Secret   `yaml:"password,omitempty" jsonschema_description:"password at the broker"`
	Topic     string          `yaml:"topic,omitempty" jsonschema_description:"topic of a message, from {controller} and {source}, and {point} with payload value; penstock/{controller}, or penstock/{controller}/{point}, when left out"`
	Payload   string          `yaml:"payload,omitempty" jsonschema_description:"what a message holds: report (a report in JSON; the default), binary (a report in binary), or value (the value of one sample)"`
	QoS       int             `yaml:"qos,omitempty" jsonschema_description:"1 (the default) or 2"`
	Retain    bool            `yaml:"retain,omitempty" jsonschema_description:"have the broker keep the latest message of each topic"`
	Window    int             `yaml:"window,omitempty" jsonschema_description:"messages that wait for the broker's acknowledgement, 1 to 65535, or fewer when the broker says so; 256 when left out"`
	Keepalive config.Duration `yaml:"keepalive,omitempty" jsonschema_description:"a silent connection is dead after one and a half times this, 5s to 18h; 30s when left out"`
	Sparkplug *Sparkplug      `yaml:"sparkplug,omitempty" jsonschema_description:"be an edge node of Sparkplug B: each controller is a device, each point a metric; topic, payload, qos, retain and window are then the specification's"`
}

// Sparkplug says which edge node the sink is.
type Sparkplug struct {
	Group string `yaml:"group" jsonschema_description:"group of the edge node"`
	Node  string `yaml:"node" jsonschema_description:"name of the edge node, unique in its group"`
}

// What the settings are when left out.
const (
	defaultReportTopic = "penstock/{controller}"
	defaultValueTopic  = "penstock/{controller}/{point}"
	defaultWindow      = 256
	defaultKeepalive   = 30 * time.Second
)

// The names that a topic is made of.
const (
	controllerName = "controller"
	sourceName     = "source"
	pointName      = "point"
)

// Validate returns an error of code [penstock.Invalid] when a setting breaks a
// rule. The sections below it have their own.
func (c *Config) Validate() error {
	_, err := newSettings(*c)
	return err
}

// settings is a configuration with everything filled in.
type settings struct {
	Config
	server    remote.Server
	topic     topic.Template
	keepalive time.Duration
}

func newSettings(c Config) (s settings, err error) {
	s.Config = c
	refuse := func(format string, args ...any) (settings, error) {
		return settings{}, penstock.Errorf(penstock.Invalid, format, args...)
	}
	if s.server, err = remote.Parse(c.Server, map[string]string{"mqtt": "1883", "mqtts": "8883"}, c.PlainText); err != nil {
		return refuse("server: %w", err)
	}
	if err := s.edge(); err != nil {
		return refuse("sparkplug: %w", err)
	}
	s.Payload = cmp.Or(s.Payload, topic.Reports)
	s.QoS = cmp.Or(s.QoS, 1)
	s.Window = cmp.Or(s.Window, defaultWindow)
	s.keepalive = cmp.Or(s.Keepalive.Std(), defaultKeepalive)
	names, usual := []string{controllerName, sourceName}, defaultReportTopic
	if s.Payload == topic.Value {
		names, usual = append(names, pointName), defaultValueTopic
	}
	s.Topic = cmp.Or(s.Topic, usual)
	if s.topic, err = topic.ParseTemplate(s.Topic, names...); err != nil {
		return refuse("topic: %w", err)
	}
	switch {
	case s.server.Path != "":
		return refuse("server: %s has a path, which MQTT does not know", c.Server)
	case !slices.Contains([]string{topic.Reports, topic.Binary, topic.Value}, s.Payload):
		return refuse("payload: %q is none of report, binary and value", s.Payload)
	case strings.ContainsAny(s.Topic, "+#") || strings.HasPrefix(s.Topic, "$"):
		return refuse("topic: %q has a wildcard, or begins with $: nothing can be published there", s.Topic)
	case s.QoS != 1 && s.QoS != 2:
		return refuse("qos: %d is neither 1 nor 2; with 0 nobody knows what arrived", s.QoS)
	case s.Window < 1 || s.Window > math.MaxUint16:
		return refuse("window: %d is not between 1 and 65535", s.Window)
	case s.keepalive < 5*time.Second || s.keepalive > 18*time.Hour:
		return refuse("keepalive: %v is not between 5s and 18h", s.keepalive)
	}
	return s, nil
}

// edge checks the settings of an edge node.
func (s *settings) edge() error {
	if s.Sparkplug == nil {
		return nil
	}
	if s.Topic != "" || s.Payload != "" || s.QoS != 0 || s.Retain || s.Window != 0 {
		return penstock.Errorf(penstock.Invalid, "topic, payload, qos, retain and window are those of the specification: leave them out")
	}
	_, err := sparkplug.NewEdge(s.Sparkplug.Group, s.Sparkplug.Node, 0)
	return err
}
