// Package flat is a slog.Handler that flattens the attributes of a line into
// fields and has them encoded by a function: for formats that know no nesting.
package flat

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"time"
)

// Field is one attribute as text. Those of groups have the names of the groups
// before their own, with dots between.
type Field struct{ Key, Value string }

// Line is one line on its way to an [Encode].
type Line struct {
	Time    time.Time
	Level   slog.Level
	Message string
	Fields  []Field
}

// Encode appends the line to dst in a format.
type Encode func(dst []byte, l Line) []byte

// Handler is a slog.Handler that gives each encoded line to a writer in one call.
type Handler struct {
	encode Encode
	to     io.Writer
	fields []Field
	prefix string
}

// New returns a handler. The writer must be safe for concurrent use.
func New(to io.Writer, encode Encode) *Handler { return &Handler{encode: encode, to: to} }

// Enabled implements slog.Handler: levels are decided before.
func (h *Handler) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	fields := slices.Clip(h.fields)
	r.Attrs(func(a slog.Attr) bool {
		fields = appendFields(fields, h.prefix, a)
		return true
	})
	_, err := h.to.Write(h.encode(nil, Line{r.Time, r.Level, r.Message, fields}))
	return err
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(as []slog.Attr) slog.Handler {
	next := *h
	next.fields = slices.Clip(h.fields)
	for _, a := range as {
		next.fields = appendFields(next.fields, h.prefix, a)
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	next := *h
	if name != "" {
		next.prefix += name + "."
	}
	return &next
}

// appendFields appends an attribute, those of a group one by one.
func appendFields(fields []Field, prefix string, a slog.Attr) []Field {
	v := a.Value.Resolve()
	switch {
	case v.Kind() == slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			fields = appendFields(fields, prefix, inner)
		}
		return fields
	case a.Key == "":
		return fields
	case v.Kind() == slog.KindTime:
		return append(fields, Field{prefix + a.Key, v.Time().UTC().Format(time.RFC3339Nano)})
	}
	return append(fields, Field{prefix + a.Key, v.String()})
}
