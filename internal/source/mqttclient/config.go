package mqttclient

import (
	"math"
	"slices"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/remote"
	"github.com/penstock/penstock/internal/sparkplug"
	"github.com/penstock/penstock/internal/tlsfiles"
	"github.com/penstock/penstock/internal/topic"
)

// Config are the settings of one connection to a broker.
type Config struct {
	Server         string            `yaml:"server" jsonschema_description:"broker: mqtts://host:8883, or mqtt://host:1883 without TLS"`
	PlainText      bool              `yaml:"plain_text,omitempty" jsonschema_description:"allow a broker without TLS that is not on this machine"`
	TLS            tlsfiles.Client   `yaml:"tls,omitempty" jsonschema_description:"whom to believe and what to show"`
	Version        string            `yaml:"version,omitempty" jsonschema_description:"of MQTT: 5, or 3.1.1 for brokers that know nothing else; when left out 5, and 3.1.1 where the broker refuses that"`
	ClientID       string            `yaml:"client_id,omitempty" jsonschema_description:"name of the session at the broker, unique there; penstock-NAME when left out"`
	User           string            `yaml:"user,omitempty" jsonschema_description:"user at the broker"`
	Password       config.Secret     `yaml:"password,omitempty" jsonschema_description:"password at the broker"`
	Controllers    []string          `yaml:"controllers" jsonschema_description:"controllers that this broker may speak for; * stands for any run of characters"`
	Topics         []topic.Route     `yaml:"topics" jsonschema_description:"what is subscribed; the first that matches a message holds"`
	Share          string            `yaml:"share,omitempty" jsonschema_description:"group of gateways that share the subscriptions"`
	Retained       bool              `yaml:"retained,omitempty" jsonschema_description:"take the retained messages too, once, when the subscription is new"`
	Session        config.Duration   `yaml:"session,omitempty" jsonschema_description:"how long the broker keeps the session while the gateway is away; 7d when left out"`
	Keepalive      config.Duration   `yaml:"keepalive,omitempty" jsonschema_description:"a silent connection is dead after one and a half times this, 5s to 18h; 30s when left out"`
	ReceiveMaximum int               `yaml:"receive_maximum,omitempty" jsonschema_description:"messages that wait for their acknowledgement, 1 to 65535; 256 when left out"`
	MaxPacket      config.Size       `yaml:"max_packet,omitempty" jsonschema_description:"largest packet that is taken; 1MiB when left out"`
	Sparkplug      *sparkplug.Config `yaml:"sparkplug,omitempty" jsonschema_description:"for topics with payload: sparkplug"`
}

// The versions of MQTT.
const (
	Version5   = "5"
	Version311 = "3.1.1"
)

// What the settings are when left out.
const (
	defaultSession        = 7 * 24 * time.Hour
	defaultKeepalive      = 30 * time.Second
	defaultReceiveMaximum = 256
	defaultMaxPacket      = 1 << 20
)

// Validate returns an error of code [penstock.Invalid] when a setting breaks a
// rule. The sections below it have their own.
func (c *Config) Validate() error {
	_, err := newSettings(*c)
	return err
}

// Mappings returns the names of the mappings that the topics use.
func (c *Config) Mappings() []string {
	r, err := topic.NewRouter(c.Topics, topic.MQTT)
	if err != nil {
		return nil // Validate says why
	}
	return r.Mappings()
}

// settings is a configuration with everything filled in.
type settings struct {
	Config
	server    remote.Server
	router    *topic.Router
	keepalive uint16 // seconds
	session   uint32 // seconds
}

func newSettings(c Config) (s settings, err error) {
	s.Config = c
	refuse := func(format string, args ...any) (settings, error) {
		return settings{}, penstock.Errorf(penstock.Invalid, format, args...)
	}
	if s.server, err = remote.Parse(c.Server, map[string]string{"mqtt": "1883", "mqtts": "8883"}, c.PlainText); err != nil {
		return refuse("server: %w", err)
	}
	if s.server.Path != "" {
		return refuse("server: %s has a path, which MQTT does not know", c.Server)
	}
	if len(c.Controllers) == 0 {
		return refuse("controllers: name those that the broker may speak for; %q is all of them", "*")
	}
	if len(c.Topics) == 0 {
		return refuse("topics: nothing is subscribed")
	}
	if s.router, err = topic.NewRouter(c.Topics, topic.MQTT); err != nil {
		return refuse("topics: %w", err)
	}
	if err := c.checkSparkplug(s.router); err != nil {
		return refuse("%w", err)
	}
	if err := s.fill(); err != nil {
		return settings{}, err
	}
	return s, nil
}

// fill sets what was left out, and checks the numbers.
func (s *settings) fill() error {
	keepalive, session := orElse(s.Keepalive, defaultKeepalive), orElse(s.Session, defaultSession)
	s.keepalive, s.session = uint16(keepalive.Seconds()), uint32(session.Seconds())
	if s.ReceiveMaximum == 0 {
		s.ReceiveMaximum = defaultReceiveMaximum
	}
	if s.MaxPacket == 0 {
		s.MaxPacket = defaultMaxPacket
	}
	switch {
	case s.Version != "" && s.Version != Version5 && s.Version != Version311:
		return penstock.Errorf(penstock.Invalid, "version: %q is neither %s nor %s", s.Version, Version5, Version311)
	case keepalive < 5*time.Second || keepalive > 18*time.Hour:
		return penstock.Errorf(penstock.Invalid, "keepalive: %v is not between 5s and 18h", keepalive)
	case session < time.Minute || session.Seconds() >= math.MaxUint32:
		return penstock.Errorf(penstock.Invalid, "session: %v is less than a minute, or for ever; without a session messages are lost at every disconnection", session)
	case s.ReceiveMaximum < 1 || s.ReceiveMaximum > math.MaxUint16:
		return penstock.Errorf(penstock.Invalid, "receive_maximum: %d is not between 1 and 65535", s.ReceiveMaximum)
	case s.MaxPacket < 1<<10 || s.MaxPacket > 64<<20:
		return penstock.Errorf(penstock.Invalid, "max_packet: %s is not between 1KiB and 64MiB", s.MaxPacket)
	}
	return nil
}

func (c *Config) checkSparkplug(r *topic.Router) error {
	switch {
	case c.Sparkplug != nil && !r.Has(topic.Sparkplug):
		return penstock.Errorf(penstock.Invalid, "sparkplug: no topic has payload: sparkplug")
	case r.Has(topic.Sparkplug) && c.Share != "":
		return penstock.Errorf(penstock.Invalid, "share: the messages of an edge node belong together; Sparkplug B cannot be shared")
	}
	return nil
}

func orElse(d config.Duration, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d.Std()
}

// filters returns what is subscribed, as the broker wants it.
func (s *settings) filters() []string {
	filters := slices.Clone(s.router.Filters())
	if s.Share != "" {
		for i := range filters {
			filters[i] = "$share/" + s.Share + "/" + filters[i]
		}
	}
	return filters
}
