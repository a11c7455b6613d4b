// Package logging makes the logger of a program and carries its lines to several
// places at once: standard error as text or JSON, syslog servers, the journal. No
// line ever waits for one of them. It fixes the names of the attributes that lines
// are found by.
package logging

import (
	"fmt"
	"log/slog"
	"strings"
)

// The names of the attributes that tie a line to what it is about. A line has
// those that are known where it is written.
const (
	Component  = "component"  // part of the gateway that says it; has a level of its own
	Stage      = "stage"      // step of the pipeline, or stage behind it
	Source     = "source"     // configured name of the source
	Sink       = "sink"       // configured name of the sink
	Controller = "controller" // the controller's name
	Point      = "point"      // the point's name
	Line       = "line"       // the serial line or other shared path
	Epoch      = "epoch"      // of the report's identity
	Seq        = "seq"        // of the report's identity
	Peer       = "peer"       // the sender's network address or line
	Credential = "credential" // the credential's public id
	Reason     = "reason"     // why input was rejected
	Err        = "error"      // the error's text
	Repeated   = "repeated"   // how many lines like this one were held back
)

// ParseLevel reads debug, info, warn or error.
func ParseLevel(name string) (slog.Level, error) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if LevelName(level) == name {
			return level, nil
		}
	}
	return 0, fmt.Errorf("%q is not a level: write debug, info, warn or error", name)
}

// LevelName returns the name that [ParseLevel] reads.
func LevelName(l slog.Level) string { return strings.ToLower(l.String()) }

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
