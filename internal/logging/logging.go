// Package logging makes the logger of a program: text for a person at a
// terminal, JSON for everything else. It fixes the names of the attributes that
// lines are found by.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// The names of the attributes that tie a line to what it is about. A line has
// those that are known where it is written.
const (
	Stage      = "stage"      // step of the pipeline, or part of the gateway
	Source     = "source"     // configured name of the source
	Sink       = "sink"       // configured name of the sink
	Controller = "controller" // the controller's name
	Point      = "point"      // the point's name
	Epoch      = "epoch"      // of the report's identity
	Seq        = "seq"        // of the report's identity
	Peer       = "peer"       // the sender's network address or line
	Credential = "credential" // the credential's public id
	Reason     = "reason"     // why input was rejected
	Err        = "error"      // the error's text
)

// Format is how lines are written.
type Format string

// The formats.
const (
	Auto Format = "auto" // text on a terminal, JSON otherwise
	Text Format = "text" // key=value
	JSON Format = "json" // an object a line
)

// Config says what is logged and how.
type Config struct {
	Level  string `yaml:"level" jsonschema_description:"least severity that is logged: debug, info, warn or error" jsonschema:"enum=debug,enum=info,enum=warn,enum=error"`
	Format Format `yaml:"format" jsonschema_description:"auto (text on a terminal, JSON otherwise), text or json" jsonschema:"enum=auto,enum=text,enum=json"`
}

// Default returns level info and format auto.
func Default() Config { return Config{Level: "info", Format: Auto} }

// Validate refuses unknown levels and formats.
func (c Config) Validate() error {
	if _, err := ParseLevel(c.Level); err != nil {
		return fmt.Errorf("level: %w", err)
	}
	switch c.Format {
	case Auto, Text, JSON:
		return nil
	}
	return fmt.Errorf("format: %q is not a format: write auto, text or json", c.Format)
}

// ParseLevel reads debug, info, warn or error.
func ParseLevel(name string) (slog.Level, error) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.ToLower(level.String()) == name {
			return level, nil
		}
	}
	return 0, fmt.Errorf("%q is not a level: write debug, info, warn or error", name)
}

// New returns a logger that writes to w, and the level that it holds to, which
// may be changed at any time. terminal says whether a person reads w.
func New(c Config, w io.Writer, terminal bool) (*slog.Logger, *slog.LevelVar, error) {
	if err := c.Validate(); err != nil {
		return nil, nil, err
	}
	level := new(slog.LevelVar)
	parsed, err := ParseLevel(c.Level)
	if err != nil {
		return nil, nil, err
	}
	level.Set(parsed)
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: utc}
	if c.Format == Text || c.Format == Auto && terminal {
		options.ReplaceAttr = forPeople
		return slog.New(slog.NewTextHandler(w, options)), level, nil
	}
	return slog.New(slog.NewJSONHandler(w, options)), level, nil
}

// utc writes times in UTC, so that the lines of many machines can be merged.
func utc(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		a.Value = slog.TimeValue(a.Value.Time().UTC())
	}
	return a
}

// forPeople shortens the time to milliseconds.
func forPeople(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		a.Value = slog.StringValue(a.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	return a
}
