package settings

import (
	"errors"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/diagnose"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/lineprotocol"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/internal/mapping"
	"github.com/penstock/penstock/internal/memory"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/internal/source/linkgate"
	"github.com/penstock/penstock/internal/source/mqttbroker"
	"github.com/penstock/penstock/internal/tracing"
)

// Config is the configuration of a node. Each part belongs to the package that
// uses it.
type Config struct {
	Data       string                    `yaml:"data" jsonschema_description:"directory that holds everything the node keeps, made with mode 0750"`
	Listen     Listen                    `yaml:"listen" jsonschema_description:"where the node listens"`
	TLS        TLS                       `yaml:"tls" jsonschema_description:"certificates of the HTTPS listener; without any the node makes its own in DATA/tls"`
	Log        logging.Config            `yaml:"log" jsonschema_description:"what the node logs, and how"`
	Unknown    string                    `yaml:"unknown" jsonschema_description:"what becomes of a controller that reports for the first time: register, hold (until a person admits it) or reject"`
	Points     []fleet.Declaration       `yaml:"points,omitempty" jsonschema_description:"what is known of points beforehand: type, unit and limits; the first that matches holds"`
	Middleware pipeline.Config           `yaml:"middleware,omitempty" jsonschema_description:"the steps of the pipeline, in order; all of them with their defaults when left out"`
	Link       linkgate.Config           `yaml:"link" jsonschema_description:"the link protocol at listen.link and listen.link_udp"`
	Mappings   map[string]mapping.Config `yaml:"mappings,omitempty" jsonschema_description:"how payloads that are not ours become reports, by name; see mapping.md"`
	MQTT       mqttbroker.Config         `yaml:"mqtt" jsonschema_description:"the MQTT broker at listen.mqtt"`
	Sources    []Source                  `yaml:"sources,omitempty" jsonschema_description:"where reports come from beside the listeners: lines, devices that are polled, brokers; each has a name and exactly one kind"`
	Sinks      []Sink                    `yaml:"sinks,omitempty" jsonschema_description:"where reports go beside the historian: databases, brokers, another Penstock; each has a name and exactly one kind, and one of them may be the system of record"`
	Lines      lineprotocol.Config       `yaml:"line_protocol" jsonschema_description:"how samples in the line protocol of InfluxDB, POST /api/v2/write and /write, get their names"`
	Diagnose   diagnose.Config           `yaml:"diagnose" jsonschema_description:"where faults are looked for: what counts as now, and what signal is good enough"`
	Spool      Spool                     `yaml:"spool" jsonschema_description:"the durable log"`
	Keys       string                    `yaml:"keys,omitempty" jsonschema_description:"directory of the key-encryption key; DATA/keys when left out; better a place that backups of DATA do not hold"`
	Trace      tracing.Config            `yaml:"trace" jsonschema_description:"which envelopes are followed step by step, and the collector of OpenTelemetry that is told"`
	Memory     memory.Config             `yaml:"memory" jsonschema_description:"how much memory the gateway may use, and what it does without to keep below that"`
	Historian  Historian                 `yaml:"historian" jsonschema_description:"the embedded historian, the system of record of a node without a database"`
}

// TLS says which certificates the HTTPS listener uses.
type TLS struct {
	Cert     string `yaml:"cert,omitempty" jsonschema_description:"file with the certificate chain (PEM); read again when it changes"`
	Key      string `yaml:"key,omitempty" jsonschema_description:"file with the private key (PEM)"`
	ClientCA string `yaml:"client_ca,omitempty" jsonschema_description:"file with the authorities that sign client certificates (PEM)"`
	Require  bool   `yaml:"require_client,omitempty" jsonschema_description:"refuse clients without a certificate"`
}

// Spool is the configuration of the log.
type Spool struct {
	Segment config.Size `yaml:"segment" jsonschema_description:"bytes of one segment file, 64KiB to 1GiB"`
	Quota   config.Size `yaml:"quota" jsonschema_description:"most bytes that the log may hold on disk; when the record is down for so long that they are used up, new reports are refused"`
	// Keep counts where the system of record stands elsewhere.
	Keep config.Duration `yaml:"keep" jsonschema_description:"how long reports stay in the log after a system of record elsewhere has them, to feed it again when it comes back from a failover without its last transactions; given up first when the quota presses"`
}

// Historian is the configuration of the historian.
type Historian struct {
	Retention config.Duration `yaml:"retention,omitempty" jsonschema_description:"how long samples are kept, in whole days; 0 keeps them for ever"`
}

// Default is what a node runs with when it is told nothing.
func Default() Config {
	return Config{
		Data:     "penstock-data",
		Listen:   Listen{HTTPS: ":8080", Health: "127.0.0.1:3000", MQTT: config.AddressOff, Link: config.AddressOff, LinkUDP: config.AddressOff},
		Log:      logging.Default(),
		Unknown:  string(fleet.RegisterUnknown),
		Link:     linkgate.Default(),
		MQTT:     mqttbroker.Default(),
		Lines:    lineprotocol.DefaultConfig(),
		Diagnose: diagnose.Default(),
		Spool:    Spool{Segment: 64 << 20, Quota: 10 << 30, Keep: config.Duration(time.Hour)},
	}
}

// Validate returns all that is wrong with the values themselves.
func (c *Config) Validate() error {
	var problems []error
	refuse := func(format string, args ...any) {
		problems = append(problems, penstock.Errorf(penstock.Invalid, format, args...))
	}
	switch fleet.Policy(c.Unknown) {
	case fleet.RegisterUnknown, fleet.HoldUnknown, fleet.RejectUnknown:
	default:
		refuse("unknown: %q is none of register, hold and reject", c.Unknown)
	}
	if c.Data == "" {
		refuse("data: a node needs a directory")
	}
	if c.Listen.HTTPS == config.AddressOff {
		refuse("listen.https: a node without its API could not be reached; it cannot be off")
	}
	if err := c.MQTT.CheckAddress(c.Listen.MQTT); err != nil {
		refuse("mqtt.%w", err)
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		refuse("tls: cert and key go together; only one of them is set")
	}
	if c.TLS.Require && c.TLS.ClientCA == "" {
		refuse("tls.require_client: needs tls.client_ca, which says whose certificates count")
	}
	problems = append(problems, c.Listen.check()...)
	problems = append(problems, checkSources(c.Sources)...)
	problems = append(problems, checkSinks(c.Sinks)...)
	problems = append(problems, c.checkMappings()...)
	if c.Spool.Quota < 3*c.Spool.Segment {
		refuse("spool.quota: %s holds less than three segments of %s", c.Spool.Quota, c.Spool.Segment)
	}
	if r := c.Historian.Retention.Std(); r != 0 && r < 24*time.Hour {
		refuse("historian.retention: is counted in whole days; %s is less than one", c.Historian.Retention)
	}
	return errors.Join(problems...)
}
