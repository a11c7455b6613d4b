package amqp

import (
	"cmp"
	"math"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/remote"
	"github.com/penstock/penstock/internal/remote/amqpconn"
	"github.com/penstock/penstock/internal/tlsfiles"
	"github.com/penstock/penstock/internal/topic"
)

// Config are the settings of one queue.
type Config struct {
	Server      string          `yaml:"server" jsonschema_description:"broker and virtual host: amqps://host:5671/vhost, or amqp://host:5672/vhost without TLS; the virtual host is / when left out"`
	PlainText   bool            `yaml:"plain_text,omitempty" jsonschema_description:"allow a broker without TLS that is not on this machine"`
	TLS         tlsfiles.Client `yaml:"tls,omitempty" jsonschema_description:"whom to believe and what to show"`
	User        string          `yaml:"user,omitempty" jsonschema_description:"user at the broker; with a client certificate and no user, EXTERNAL is used"`
	Password    config.Secret   `yaml:"password,omitempty" jsonschema_description:"password at the broker"`
	Controllers []string        `yaml:"controllers" jsonschema_description:"controllers that this queue may speak for; * stands for any run of characters"`
	Queue       string          `yaml:"queue" jsonschema_description:"queue that is consumed"`
	Declare     bool            `yaml:"declare,omitempty" jsonschema_description:"make the queue as a quorum queue when it is not there; a queue that is there must be just such a one"`
	Exchange    string          `yaml:"exchange,omitempty" jsonschema_description:"with declare: exchange to which the queue is bound"`
	Bind        []string        `yaml:"bind,omitempty" jsonschema_description:"with declare: routing keys with which it is bound"`
	DeadLetter  string          `yaml:"dead_letter,omitempty" jsonschema_description:"dead-letter exchange of the queue: what is refused for good goes there. Without declare the queue must have it already, or what is refused is dropped by the broker"`
	Topics      []topic.Route   `yaml:"topics,omitempty" jsonschema_description:"what messages hold, by their routing key: plant.{controller}.{point...}; reports in JSON under any key when left out; the first that matches holds"`
	MessageID   bool            `yaml:"message_id,omitempty" jsonschema_description:"the message-id of a message is its own for ever: use it as idempotency key"`
	Prefetch    int             `yaml:"prefetch,omitempty" jsonschema_description:"messages that wait for their acknowledgement, 1 to 65535; 256 when left out"`
	MaxMessage  config.Size     `yaml:"max_message,omitempty" jsonschema_description:"largest message that is taken, 1KiB to 16MiB; a larger one is refused for good. 1MiB when left out; prefetch times this is the memory that messages under way may take"`
	Heartbeat   config.Duration `yaml:"heartbeat,omitempty" jsonschema_description:"a silent connection is dead after three times this, 1s to 10m; 10s when left out"`
}

// What the settings are when left out.
const (
	defaultPrefetch   = 256
	defaultMaxMessage = 1 << 20
)

// Validate returns an error of code [penstock.Invalid] when a setting breaks a
// rule. The sections below it have their own.
func (c *Config) Validate() error {
	_, err := newSettings(*c)
	return err
}

// Mappings returns the names of the mappings that the topics use.
func (c *Config) Mappings() []string {
	r, err := topic.NewRouter(c.Topics, topic.AMQP)
	if err != nil {
		return nil // Validate says why
	}
	return r.Mappings()
}

// settings is a configuration with everything filled in.
type settings struct {
	Config
	server     remote.Server
	vhost      string
	router     *topic.Router
	maxMessage int
	heartbeat  time.Duration
}

func newSettings(c Config) (s settings, err error) {
	s = settings{Config: c, heartbeat: c.Heartbeat.Std()}
	refuse := func(format string, args ...any) (settings, error) {
		return settings{}, penstock.Errorf(penstock.Invalid, format, args...)
	}
	if s.server, s.vhost, err = amqpconn.Parse(c.Server, c.PlainText); err != nil {
		return refuse("server: %w", err)
	}
	if len(c.Topics) == 0 {
		s.Topics = []topic.Route{{Topic: "#"}}
	}
	if s.router, err = topic.NewRouter(s.Topics, topic.AMQP); err != nil {
		return refuse("topics: %w", err)
	}
	if err := s.fill(); err != nil {
		return settings{}, err
	}
	return s, nil
}

// fill sets what was left out, and checks the rest.
func (s *settings) fill() error {
	s.Prefetch = cmp.Or(s.Prefetch, defaultPrefetch)
	s.maxMessage = cmp.Or(int(s.MaxMessage), defaultMaxMessage)
	s.heartbeat = cmp.Or(s.heartbeat, amqpconn.DefaultHeartbeat)
	refuse := func(format string, args ...any) error { return penstock.Errorf(penstock.Invalid, format, args...) }
	switch {
	case len(s.Controllers) == 0:
		return refuse("controllers: name those that the queue may speak for; %q is all of them", "*")
	case s.Queue == "":
		return refuse("queue: it needs a name")
	case !s.Declare && (s.Exchange != "" || len(s.Bind) > 0):
		return refuse("exchange and bind go with declare: true; a queue that is there has its bindings")
	case (s.Exchange == "") != (len(s.Bind) == 0):
		return refuse("exchange and bind go together: what is bound, and to what")
	case s.router.Has(topic.Sparkplug):
		return refuse("topics: Sparkplug B comes over MQTT")
	}
	return s.bounds(refuse)
}

// bounds checks the settings that are numbers.
func (s *settings) bounds(refuse func(format string, args ...any) error) error {
	switch {
	case s.Prefetch < 1 || s.Prefetch > math.MaxUint16:
		return refuse("prefetch: %d is not between 1 and 65535", s.Prefetch)
	case s.maxMessage < 1<<10 || s.maxMessage > 16<<20:
		return refuse("max_message: %s is not between 1KiB and 16MiB", s.MaxMessage)
	case s.heartbeat < time.Second || s.heartbeat > 10*time.Minute:
		return refuse("heartbeat: %v is not between 1s and 10m", s.heartbeat)
	}
	return nil
}
