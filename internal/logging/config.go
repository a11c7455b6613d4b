package logging

import (
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/logging/rfc5424"
	"github.com/penstock/penstock/internal/tlsfiles"
)

// Format is how lines are written to standard error.
type Format string

// The formats.
const (
	Auto Format = "auto" // text on a terminal, JSON otherwise
	Text Format = "text" // key=value
	JSON Format = "json" // an object a line
	Off  Format = "off"  // nothing: other outputs have the lines
)

// Config says what is logged, how and where to.
type Config struct {
	Level   string            `yaml:"level" jsonschema_description:"least severity that is logged: debug, info, warn or error" jsonschema:"enum=debug,enum=info,enum=warn,enum=error"`
	Levels  map[string]string `yaml:"levels,omitempty" jsonschema_description:"levels of components that differ from level, by the component's name: pipeline, spool, 'source line-3'; see penstock log level"`
	Format  Format            `yaml:"format" jsonschema_description:"how standard error is written: auto (text on a terminal, JSON otherwise), text, json or off" jsonschema:"enum=auto,enum=text,enum=json,enum=off"`
	Repeats Repeats           `yaml:"repeats" jsonschema_description:"how often the same line may come; what is held back is counted and said"`
	Outputs []Output          `yaml:"outputs,omitempty" jsonschema_description:"where lines go beside standard error; one that is down is an alarm, and delays nothing"`
}

// Repeats bounds lines that say the same of the same thing.
type Repeats struct {
	Burst int             `yaml:"burst" jsonschema_description:"lines with the same message about the same controller, source or sink that pass in every; 0 lets all pass; lines of level debug always do"`
	Every config.Duration `yaml:"every" jsonschema_description:"after how long the lines that were held back are said as one, with their count"`
}

// Output is one more place that lines go to: a name and exactly one kind.
type Output struct {
	Name     string    `yaml:"name" jsonschema_description:"name of the output in health, metrics and penstock log outputs; unique"`
	Level    string    `yaml:"level,omitempty" jsonschema_description:"least severity for this output; what the components let pass when left out" jsonschema:"enum=debug,enum=info,enum=warn,enum=error"`
	Syslog   *Syslog   `yaml:"syslog,omitempty" jsonschema_description:"a syslog server, in the format of RFC 5424 with structured data"`
	Journald *Journald `yaml:"journald,omitempty" jsonschema_description:"the journal of systemd, in its own protocol with a field for each attribute"`
}

// Syslog is an output to a syslog server.
type Syslog struct {
	To       string          `yaml:"to" jsonschema_description:"udp://HOST:514, tcp://HOST:514 or tls://HOST:6514 (octet counting, TLS 1.3), or unix:///dev/log"`
	Facility string          `yaml:"facility,omitempty" jsonschema_description:"daemon (the default), user, auth or local0 to local7"`
	TLS      tlsfiles.Client `yaml:"tls,omitempty" jsonschema_description:"whom to believe, and what to show, with tls://"`
}

// Journald is an output to the journal of systemd.
type Journald struct {
	Socket string `yaml:"socket,omitempty" jsonschema_description:"socket of the journal; /run/systemd/journal/socket when left out"`
}

// Default returns level info, format auto, and repeats bounded.
func Default() Config {
	return Config{Level: "info", Format: Auto, Repeats: Repeats{Burst: 100, Every: config.Duration(10 * time.Second)}}
}

// maxOutputs bounds the list of outputs.
const maxOutputs = 16

// Validate refuses unknown levels, formats and kinds, and names the key.
func (c Config) Validate() error {
	var problems []error
	refuse := func(key string, err error) {
		if err != nil {
			problems = append(problems, penstock.Errorf(penstock.Invalid, "%s: %w", key, err))
		}
	}
	_, err := ParseLevel(c.Level)
	refuse("level", err)
	for component, level := range c.Levels {
		_, err := ParseLevel(level)
		refuse("levels."+component, err)
	}
	switch c.Format {
	case Auto, Text, JSON, Off:
	default:
		refuse("format", fmt.Errorf("%q is not a format: write auto, text, json or off", c.Format))
	}
	if c.Repeats.Burst < 0 || c.Repeats.Burst > 0 && c.Repeats.Every.Std() < time.Second {
		refuse("repeats", errors.New("burst is 0 or more, and every at least 1s"))
	}
	if len(c.Outputs) > maxOutputs {
		refuse("outputs", fmt.Errorf("there are %d, and may be %d", len(c.Outputs), maxOutputs))
	}
	seen := map[string]bool{"stderr": true}
	for i := range c.Outputs {
		key := fmt.Sprintf("outputs[%d]", i)
		refuse(key, c.Outputs[i].check())
		if seen[c.Outputs[i].Name] {
			refuse(key+".name", fmt.Errorf("%q is taken: each output has its own", c.Outputs[i].Name))
		}
		seen[c.Outputs[i].Name] = true
	}
	return errors.Join(problems...)
}

// check returns the first thing that is wrong with an output.
func (o *Output) check() error {
	if err := penstock.CheckControllerName(o.Name); err != nil {
		return errors.New("name: an output needs a name of 1 to 128 bytes without '/'")
	}
	if _, err := ParseLevel(o.Level); o.Level != "" && err != nil {
		return fmt.Errorf("level: %w", err)
	}
	if (o.Syslog == nil) == (o.Journald == nil) {
		return fmt.Errorf("%s needs exactly one of syslog and journald, which says what it is", o.Name)
	}
	if o.Syslog == nil {
		return nil
	}
	if _, err := rfc5424.ParseTarget(o.Syslog.To); err != nil {
		return fmt.Errorf("syslog.to: %w", err)
	}
	if _, err := rfc5424.ParseFacility(o.Syslog.Facility); err != nil {
		return fmt.Errorf("syslog.facility: %w", err)
	}
	if o.Syslog.TLS.MinVersion == "1.2" {
		return errors.New("syslog.tls.min_version: logs go over TLS 1.3 only: take it out")
	}
	return nil
}
