package mqttbroker

import (
	"errors"
	"math"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/source/mqttbroker/fanout"
	"github.com/penstock/penstock/internal/sparkplug"
	"github.com/penstock/penstock/internal/topic"
)

// Config is the configuration of the broker. Where it listens is said apart.
type Config struct {
	TLS            string          `yaml:"tls" jsonschema_description:"on (TLS 1.3), legacy (down to TLS 1.2, for old equipment) or off (plain text)"`
	PlainText      bool            `yaml:"plain_text,omitempty" jsonschema_description:"allow tls: off on an address that other machines reach: whoever listens on the way can read every password"`
	MaxPacket      config.Size     `yaml:"max_packet" jsonschema_description:"bytes of the longest packet that is taken, 1KiB to 4MiB"`
	MaxClients     int             `yaml:"max_clients" jsonschema_description:"clients that are connected or have a session that waits for them"`
	Admit          int             `yaml:"admit" jsonschema_description:"new connections a second; when all clients come back at once the others wait, and their addresses take turns"`
	ReceiveMaximum int             `yaml:"receive_maximum" jsonschema_description:"publishes of one client that may wait for their acknowledgement; beyond them nothing more is read from it"`
	SessionExpiry  config.Duration `yaml:"session_expiry" jsonschema_description:"longest time that the session of a client which is away is kept, at most 100 years"`
	Retry          config.Duration `yaml:"retry" jsonschema_description:"how long a publish that was refused for now is tried again before its client is disconnected, so that it sends again later"`
	Subscriptions  int             `yaml:"subscriptions" jsonschema_description:"filters that one client may subscribe to"`
	Queue          int             `yaml:"queue" jsonschema_description:"messages that wait for one subscriber; beyond them its oldest is dropped"`
	QueueBytes     config.Size     `yaml:"queue_bytes" jsonschema_description:"bytes of the messages that wait for all subscribers together; beyond them new ones are dropped"`
	Retained       int             `yaml:"retained" jsonschema_description:"retained messages that are kept; 0 keeps none"`
	RetainedBytes  config.Size     `yaml:"retained_bytes" jsonschema_description:"bytes of the retained messages together"`
	Topics         []topic.Route   `yaml:"topics,omitempty" jsonschema_description:"which topics carry reports, and in which form; the first that matches holds; reports/{controller} and values/{controller}/{point...} when left out"`

	Sparkplug *sparkplug.Config `yaml:"sparkplug,omitempty" jsonschema_description:"for topics with payload: sparkplug"`
}

// The ways of TLS.
const (
	TLSOn     = "on"
	TLSLegacy = "legacy"
	TLSOff    = "off"
)

// Default returns the settings of a broker that is told nothing.
func Default() Config {
	return Config{
		TLS: TLSOn, MaxPacket: 1 << 20, MaxClients: 10_000, Admit: 300, ReceiveMaximum: 256,
		SessionExpiry: config.Duration(time.Hour), Retry: config.Duration(30 * time.Second),
		Subscriptions: 100, Queue: 1000, QueueBytes: 64 << 20, Retained: 10_000, RetainedBytes: 16 << 20,
	}
}

// defaultTopics hold when none are configured.
func defaultTopics() []topic.Route {
	return []topic.Route{
		{Topic: "reports/{controller}", Payload: topic.Reports},
		{Topic: "values/{controller}/{point...}", Payload: topic.Value},
	}
}

// longestReorder bounds how long a message waits for those before it: what a
// client sent is decided about before it may connect again.
const longestReorder = connectPatience / 2

const century = 100 * 365 * 24 * time.Hour

// Validate returns all that is wrong with the settings, each with its key.
func (c *Config) Validate() error {
	var problems []error
	refuse := func(format string, args ...any) {
		problems = append(problems, penstock.Errorf(penstock.Invalid, format, args...))
	}
	within := func(key string, value, low, high int64) {
		if value < low || value > high {
			refuse("%s: %d is outside of %d to %d", key, value, low, high)
		}
	}
	if c.TLS != TLSOn && c.TLS != TLSLegacy && c.TLS != TLSOff {
		refuse("tls: %q is none of on, legacy and off", c.TLS)
	}
	within("max_packet", int64(c.MaxPacket), 1<<10, 4<<20)
	within("max_clients", int64(c.MaxClients), 1, 1<<20)
	within("admit", int64(c.Admit), 1, 1<<20)
	within("receive_maximum", int64(c.ReceiveMaximum), 1, math.MaxUint16)
	within("subscriptions", int64(c.Subscriptions), 1, 10_000)
	within("queue", int64(c.Queue), 1, 1<<20)
	within("retained", int64(c.Retained), 0, 1<<20)
	if e := c.SessionExpiry.Std(); e > century {
		refuse("session_expiry: %s is more than 100 years", c.SessionExpiry)
	}
	if r, err := c.router(); err != nil {
		problems = append(problems, err)
	} else if c.Sparkplug != nil && !r.Has(topic.Sparkplug) {
		refuse("sparkplug: no topic has payload: sparkplug")
	}
	if c.Sparkplug != nil && c.Sparkplug.Reorder.Std() > longestReorder {
		refuse("sparkplug.reorder: %s is more than %s, for which an edge node that comes back would have to wait", c.Sparkplug.Reorder, longestReorder)
	}
	return errors.Join(problems...)
}

// CheckAddress returns an error when passwords would travel in plain text to
// where that was not allowed by name.
func (c *Config) CheckAddress(a config.Address) error {
	if c.TLS == TLSOff && !c.PlainText && !a.Off() && !a.Loopback() {
		return penstock.Errorf(penstock.Invalid, "tls: off leaves passwords readable on the way to %s: write on, listen on 127.0.0.1, or allow it with plain_text: true", a)
	}
	return nil
}

func (c *Config) limits() fanout.Limits {
	return fanout.Limits{
		Queue: c.Queue, QueueBytes: int64(c.QueueBytes), Retained: c.Retained, RetainedBytes: int64(c.RetainedBytes),
	}
}

// Mappings returns the names of the mappings that the topics use.
func (c *Config) Mappings() []string {
	r, err := c.router()
	if err != nil {
		return nil // Validate says what is wrong
	}
	return r.Mappings()
}

// router returns what finds out what a topic carries.
func (c *Config) router() (*topic.Router, error) {
	routes := c.Topics
	if len(routes) == 0 {
		routes = defaultTopics()
	}
	r, err := topic.NewRouter(routes, topic.MQTT)
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "topics: %w", err)
	}
	return r, nil
}
