package framed

import (
	"errors"
	"net"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/framing"
	"github.com/penstock/penstock/internal/serialport"
)

// Config is one source of frames. Exactly one of Serial, Listen, Connect and UDP
// is set.
type Config struct {
	Serial      *serialport.Config `yaml:"serial,omitempty" jsonschema_description:"frames come over a serial line"`
	Listen      string             `yaml:"listen,omitempty" jsonschema_description:"devices connect by TCP to this address, host:port"`
	Connect     string             `yaml:"connect,omitempty" jsonschema_description:"the device is reached by TCP at this address, host:port"`
	UDP         string             `yaml:"udp,omitempty" jsonschema_description:"devices send datagrams to this address, host:port"`
	Framing     *framing.Config    `yaml:"framing,omitempty" jsonschema_description:"how frames are told; with udp each datagram is a frame when left out"`
	Mapping     string             `yaml:"mapping" jsonschema_description:"name of the mapping that decodes a frame"`
	Controllers []string           `yaml:"controllers" jsonschema_description:"the controllers that may come this way; * stands for any run of characters"`
	Answers     Answers            `yaml:"answers,omitempty" jsonschema_description:"what the device is told; nothing when left out"`
	Connections int                `yaml:"connections,omitempty" jsonschema_description:"with listen: devices at once; 256 when left out"`
	Silence     time.Duration      `yaml:"silence,omitempty" jsonschema_description:"with listen and connect: a connection on which nothing came for so long is closed; 15m when left out"`
	Gap         time.Duration      `yaml:"gap,omitempty" jsonschema_description:"pause that is longer than any within a frame, a hint for finding the next one; 250ms when left out"`
}

// Answers are what a device is told about a frame.
type Answers struct {
	Accepted *Answer `yaml:"accepted,omitempty" jsonschema_description:"its reports are durable, or were already"`
	Refused  *Answer `yaml:"refused,omitempty" jsonschema_description:"it was refused for good: sending it again does not help; as damaged when left out"`
	Later    *Answer `yaml:"later,omitempty" jsonschema_description:"nothing could be decided: to be sent again later"`
	Damaged  *Answer `yaml:"damaged,omitempty" jsonschema_description:"its checksum does not hold: to be sent again"`
}

// Answer is what is sent.
type Answer struct {
	Send     framing.Octets `yaml:"send,omitempty" jsonschema_description:"bytes, such as 0x06 or \"ACK\\r\\n\""`
	CopyAt   int            `yaml:"copy_at,omitempty" jsonschema_description:"first byte of the frame's content that is copied behind them, such as its number"`
	CopySize int            `yaml:"copy_size,omitempty" jsonschema_description:"how many are copied; none when left out"`
	Then     framing.Octets `yaml:"then,omitempty" jsonschema_description:"bytes behind the copy"`
	Checksum string         `yaml:"checksum,omitempty" jsonschema_description:"name of a checksum over all of it, sent last"`
	Order    string         `yaml:"order,omitempty" jsonschema_description:"order of the checksum's bytes: little (when left out) or big"`
}

const (
	defaultConnections = 256
	maxConnections     = 10_000
	defaultSilence     = 15 * time.Minute
	defaultGap         = 250 * time.Millisecond
	maxAnswer          = 256
)

// Mappings returns the names of the mappings that the source needs.
func (c *Config) Mappings() []string { return []string{c.Mapping} }

// withDefaults returns the configuration with nothing left out.
func (c Config) withDefaults() Config {
	if c.Connections == 0 {
		c.Connections = defaultConnections
	}
	if c.Silence == 0 {
		c.Silence = defaultSilence
	}
	if c.Gap == 0 {
		c.Gap = defaultGap
	}
	if c.Answers.Refused == nil {
		c.Answers.Refused = c.Answers.Damaged
	}
	return c
}

// Validate returns all that is wrong, each with its key. What is wrong with the
// line and the framing these say themselves.
func (c *Config) Validate() error {
	var problems []error
	refuse := func(format string, args ...any) {
		problems = append(problems, penstock.Errorf(penstock.Invalid, format, args...))
	}
	ways := 0
	for key, address := range map[string]string{"listen": c.Listen, "connect": c.Connect, "udp": c.UDP} {
		if address == "" {
			continue
		}
		ways++
		if _, _, err := net.SplitHostPort(address); err != nil {
			refuse("%s: %.80q is no address: write host:port", key, address)
		}
	}
	if c.Serial != nil {
		ways++
	}
	if ways != 1 {
		refuse("serial: exactly one of serial, listen, connect and udp says where frames come from; %d of them do", ways)
	}
	if c.Mapping == "" {
		refuse("mapping: the name of a mapping is missing: it decodes the frames")
	}
	if len(c.Controllers) == 0 {
		refuse("controllers: name those that may come this way; [\"*\"] for any")
	}
	if c.Framing == nil && c.UDP == "" {
		refuse("framing: is missing: how are frames told in the stream?")
	}
	if c.Connections < 0 || c.Connections > maxConnections {
		refuse("connections: %d is not within 1 to %d", c.Connections, maxConnections)
	}
	if c.Silence < 0 || c.Gap < 0 {
		refuse("silence: a time is not negative")
	}
	return errors.Join(append(problems, c.Answers.check())...)
}

func (a *Answers) check() error {
	var problems []error
	for _, one := range []struct {
		key string
		of  *Answer
	}{{"accepted", a.Accepted}, {"refused", a.Refused}, {"later", a.Later}, {"damaged", a.Damaged}} {
		if err := one.of.check(); err != nil {
			problems = append(problems, penstock.Errorf(penstock.Invalid, "answers.%s.%w", one.key, err))
		}
	}
	return errors.Join(problems...)
}
