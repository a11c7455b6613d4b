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

// Config are the settings of one broker.
type Config struct {
	Server     string          `yaml:"server" jsonschema_description:"broker and virtual host: amqps://host:5671/vhost, or amqp://host:5672/vhost without TLS; the virtual host is / when left out"`
	PlainText  bool            `yaml:"plain_text,omitempty" jsonschema_description:"allow a broker without TLS that is not on this machine"`
	TLS        tlsfiles.Client `yaml:"tls,omitempty" jsonschema_description:"whom to believe and what to show"`
	User       string          `yaml:"user,omitempty" jsonschema_description:"user at the broker; with a client certificate and no user, EXTERNAL is used"`
	Password   config.Secret   `yaml:"password,omitempty" jsonschema_description:"password at the broker"`
	Exchange   string          `yaml:"exchange,omitempty" jsonschema_description:"exchange to publish to, which must be there; when left out, messages go to the queue"`
	RoutingKey string          `yaml:"routing_key,omitempty" jsonschema_description:"with exchange: routing key of a report, from {controller} and {source}; {controller} when left out"`
	Queue      string          `yaml:"queue,omitempty" jsonschema_description:"queue to publish to without an exchange, or to bind to the exchange with declare"`
	Declare    bool            `yaml:"declare,omitempty" jsonschema_description:"make the queue as a quorum queue when it is not there; a queue that is there must be just such a one"`
	Bind       []string        `yaml:"bind,omitempty" jsonschema_description:"with declare and exchange: routing keys with which the queue is bound; # when left out"`
	Payload    string          `yaml:"payload,omitempty" jsonschema_description:"what a message holds: report (a report in JSON; the default) or binary (a report in binary)"`
	Window     int             `yaml:"window,omitempty" jsonschema_description:"messages that wait for the broker's confirmation, 1 to 65535; 1024 when left out"`
	MaxMessage config.Size     `yaml:"max_message,omitempty" jsonschema_description:"largest message that the broker takes, 1KiB to 128MiB; a report that makes a larger one goes to quarantine. 16MiB when left out"`
	Heartbeat  config.Duration `yaml:"heartbeat,omitempty" jsonschema_description:"a silent connection is dead after three times this, 1s to 10m; 10s when left out"`
}

// What the settings are when left out.
const (
	defaultRoutingKey = "{controller}"
	defaultWindow     = 1024
	defaultMaxMessage = 16 << 20
)

// The names that a routing key is made of.
const (
	controllerName = "controller"
	sourceName     = "source"
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
	server     remote.Server
	vhost      string
	key        topic.Template // with an exchange
	maxMessage int
	heartbeat  time.Duration
}

func newSettings(c Config) (s settings, err error) {
	s.Config = c
	refuse := func(format string, args ...any) error { return penstock.Errorf(penstock.Invalid, format, args...) }
	if s.server, s.vhost, err = amqpconn.Parse(c.Server, c.PlainText); err != nil {
		return settings{}, refuse("server: %w", err)
	}
	if err := s.way(refuse); err != nil {
		return settings{}, err
	}
	if s.key, err = topic.ParseTemplate(s.RoutingKey, controllerName, sourceName); err != nil {
		return settings{}, refuse("routing_key: %w", err)
	}
	s.Payload = cmp.Or(s.Payload, topic.Reports)
	s.Window = cmp.Or(s.Window, defaultWindow)
	s.maxMessage = cmp.Or(int(s.MaxMessage), defaultMaxMessage)
	s.heartbeat = cmp.Or(s.Heartbeat.Std(), amqpconn.DefaultHeartbeat)
	switch {
	case s.Payload != topic.Reports && s.Payload != topic.Binary:
		return settings{}, refuse("payload: %q is neither report nor binary", s.Payload)
	case s.Window < 1 || s.Window > math.MaxUint16:
		return settings{}, refuse("window: %d is not between 1 and 65535", s.Window)
	case s.maxMessage < 1<<10 || s.maxMessage > 128<<20:
		return settings{}, refuse("max_message: %s is not between 1KiB and 128MiB", s.MaxMessage)
	case s.heartbeat < time.Second || s.heartbeat > 10*time.Minute:
		return settings{}, refuse("heartbeat: %v is not between 1s and 10m", s.heartbeat)
	}
	return s, nil
}

// way checks and fills in where messages go.
func (s *settings) way(refuse func(format string, args ...any) error) error {
	switch {
	case s.Exchange+s.Queue == "":
		return refuse("exchange, queue: name one of them, or nobody gets the messages")
	case s.Exchange == "" && s.RoutingKey != "":
		return refuse("routing_key goes with exchange: without one the name of the queue is the key")
	case s.Exchange != "" && s.Queue != "" && !s.Declare:
		return refuse("queue: with an exchange the queue gets what is bound to it: set declare: true to bind it, or leave it out")
	case s.Declare && s.Queue == "":
		return refuse("declare: name the queue")
	case len(s.Bind) > 0 && !s.Declare, len(s.Bind) > 0 && s.Exchange == "":
		return refuse("bind goes with declare: true and an exchange")
	case s.Exchange == "":
		return nil
	}
	s.RoutingKey = cmp.Or(s.RoutingKey, defaultRoutingKey)
	if s.Declare && len(s.Bind) == 0 {
		s.Bind = []string{"#"}
	}
	return nil
}

// routingKey returns the key of a report. Errors have code [penstock.Invalid].
func (s *settings) routingKey(r *penstock.Report) (string, error) {
	if s.Exchange == "" {
		return s.Queue, nil
	}
	key := s.key.Expand([]string{controllerName, sourceName}, []string{r.Controller, r.Source})
	if len(key) > maxKey {
		return "", penstock.Errorf(penstock.Invalid, "its routing key %.40q… has %d bytes; AMQP has room for %d: make routing_key shorter", key, len(key), maxKey)
	}
	return key, nil
}

// maxKey is the bytes of a routing key.
const maxKey = 255
