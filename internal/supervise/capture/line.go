package capture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Severity is that of syslog (RFC 5424, 6.2.1): the lower, the worse.
type Severity uint8

// The severities.
const (
	Emergency Severity = iota
	Alert
	Critical
	Error
	Warning
	Notice
	Info
	Debug
)

var severityNames = [...]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

// String returns the name as syslog has it.
func (s Severity) String() string { return severityNames[min(int(s), len(severityNames)-1)] }

// MarshalText writes the name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name, those of log libraries too.
func (s *Severity) UnmarshalText(text []byte) error {
	got, ok := named(string(text))
	if !ok {
		return fmt.Errorf("%q is no severity: write one of %s", text, strings.Join(severityNames[:], ", "))
	}
	*s = got
	return nil
}

// named returns the severity that log libraries call so.
func named(name string) (Severity, bool) {
	switch strings.ToLower(name) {
	case "trace", "debug":
		return Debug, true
	case "info", "information":
		return Info, true
	case "notice":
		return Notice, true
	case "warn", "warning":
		return Warning, true
	case "err", "error":
		return Error, true
	case "crit", "critical", "fatal", "dpanic", "panic":
		return Critical, true
	case "alert":
		return Alert, true
	case "emerg", "emergency":
		return Emergency, true
	}
	return 0, false
}

func ofSlog(l slog.Level) Severity {
	switch {
	case l < slog.LevelInfo:
		return Debug
	case l < slog.LevelWarn:
		return Info
	case l < slog.LevelError:
		return Warning
	}
	return Error
}

// Line is one line that a program printed.
type Line struct {
	Time     time.Time `json:"time"`
	Severity Severity  `json:"severity"`
	Program  string    `json:"program"`
	Instance int       `json:"instance,omitempty"` // from 1 on; 0 for the manager itself
	PID      int       `json:"pid"`
	Text     string    `json:"text"`
}

// Name returns the program with its instance: web/2.
func (l *Line) Name() string {
	if l.Instance == 0 {
		return l.Program
	}
	return fmt.Sprintf("%s/%d", l.Program, l.Instance)
}

// judge returns the severity that a line says it has, or else the given one, and
// the line without a prefix that only said that: "<3>text" (sd-daemon(3)), a JSON
// object with a level, or level=warn.
func judge(line []byte, otherwise Severity) (Severity, []byte) {
	if len(line) >= 3 && line[0] == '<' && line[2] == '>' && line[1] >= '0' && line[1] <= '7' {
		return Severity(line[1] - '0'), line[3:]
	}
	if len(line) > 0 && line[0] == '{' {
		return levelOf(line, otherwise), line
	}
	if _, rest, ok := bytes.Cut(line, []byte("level=")); ok {
		word, _, _ := bytes.Cut(rest, []byte(" "))
		if s, known := named(string(bytes.Trim(word, `"`))); known {
			return s, line
		}
	}
	return otherwise, line
}

// levelOf returns the severity of a line in JSON.
func levelOf(line []byte, otherwise Severity) Severity {
	var said struct {
		Level    json.RawMessage `json:"level"`
		Severity json.RawMessage `json:"severity"`
	}
	if json.Unmarshal(line, &said) != nil {
		return otherwise // it only begins like an object
	}
	for _, raw := range []json.RawMessage{said.Level, said.Severity} {
		var name string
		var number float64
		if json.Unmarshal(raw, &name) == nil {
			if s, ok := named(name); ok {
				return s
			}
		} else if json.Unmarshal(raw, &number) == nil {
			return ofNumber(number)
		}
	}
	return otherwise
}

// ofNumber reads the levels of pino and bunyan: 10 is trace, 60 is fatal.
func ofNumber(n float64) Severity {
	switch {
	case n < 30:
		return Debug
	case n < 40:
		return Info
	case n < 50:
		return Warning
	case n < 60:
		return Error
	}
	return Critical
}
