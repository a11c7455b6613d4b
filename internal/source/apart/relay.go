package apart

import (
	"context"
	"log/slog"
	"slices"

	"github.com/penstock/penstock/internal/source/apart/wire"
)

// relay hands records of the log to the gateway.
type relay struct {
	guest  *guest
	attrs  []slog.Attr
	prefix string // the names of the groups, each with a dot behind it
}

// Enabled implements [slog.Handler].
func (r *relay) Enabled(_ context.Context, level slog.Level) bool {
	return level >= r.guest.level.Level()
}

// Handle implements [slog.Handler].
func (r *relay) Handle(_ context.Context, record slog.Record) error {
	sent := wire.Record{Time: record.Time, Level: record.Level, Text: record.Message, Attrs: slices.Clone(r.attrs)}
	record.Attrs(func(a slog.Attr) bool {
		sent.Attrs = flat(sent.Attrs, r.prefix, a)
		return true
	})
	var o wire.Out
	o.Record(sent)
	r.guest.say(wire.Log, o)
	return nil
}

// WithAttrs implements [slog.Handler].
func (r *relay) WithAttrs(attrs []slog.Attr) slog.Handler {
	inner := *r
	inner.attrs = slices.Clone(r.attrs)
	for _, a := range attrs {
		inner.attrs = flat(inner.attrs, r.prefix, a)
	}
	return &inner
}

// WithGroup implements [slog.Handler].
func (r *relay) WithGroup(name string) slog.Handler {
	inner := *r
	if name != "" {
		inner.prefix += name + "."
	}
	return &inner
}

// flat adds an attribute, and those of a group one by one.
func flat(to []slog.Attr, prefix string, a slog.Attr) []slog.Attr {
	v := a.Value.Resolve()
	if v.Kind() != slog.KindGroup {
		return append(to, slog.Attr{Key: prefix + a.Key, Value: v})
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, inner := range v.Group() {
		to = flat(to, prefix, inner)
	}
	return to
}
