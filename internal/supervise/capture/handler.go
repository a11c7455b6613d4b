package capture

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// Handler returns a handler of slog that adds records to the log as lines of the
// program.
func (l *Log) Handler(program string) slog.Handler { return handler{log: l, program: program} }

type handler struct {
	log     *Log
	program string
	attrs   string
}

// Enabled implements [slog.Handler].
func (h handler) Enabled(_ context.Context, level slog.Level) bool {
	return ofSlog(level) <= h.log.least
}

// Handle implements [slog.Handler].
func (h handler) Handle(_ context.Context, r slog.Record) error {
	var text strings.Builder
	text.WriteString(r.Message)
	text.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		text.WriteString(attr(a))
		return true
	})
	h.log.Add(Line{Severity: ofSlog(r.Level), Program: h.program, PID: os.Getpid(), Text: text.String()})
	return nil
}

func attr(a slog.Attr) string {
	value := a.Value.Resolve().String()
	if value == "" || strings.ContainsAny(value, " \t\n\"=") {
		value = fmt.Sprintf("%q", value)
	}
	return " " + a.Key + "=" + value
}

// WithAttrs implements [slog.Handler].
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.attrs += attr(a)
	}
	return h
}

// WithGroup implements [slog.Handler]; the manager's own lines have no groups.
func (h handler) WithGroup(string) slog.Handler { return h }
