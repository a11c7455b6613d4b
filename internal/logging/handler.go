package logging

import (
	"context"
	"log/slog"
)

// handler lets lines of a component pass by its level, holds back repeats, and
// gives each line to all outputs.
type handler struct {
	levels  *Levels
	repeats *repeats
	gate    *gate
	outputs []slog.Handler
	subject string // what the lines of this logger are about, see subjectOf
	grouped bool   // attributes belong to a group from here on
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return h.gate.lets(l) }

// Handle implements slog.Handler. Its error would be lost: an output that fails
// says so in its own state.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if h.repeats.holds(h, &r) {
		return nil
	}
	h.pass(ctx, r)
	return nil
}

// pass gives the line to the outputs.
func (h *handler) pass(ctx context.Context, r slog.Record) {
	for _, o := range h.outputs {
		if o.Enabled(ctx, r.Level) {
			_ = o.Handle(ctx, r) // it queues, or counts what it drops
		}
	}
}

// WithAttrs implements slog.Handler. The attribute that names a component or a
// source chooses the level.
func (h *handler) WithAttrs(as []slog.Attr) slog.Handler {
	next := *h
	next.outputs = make([]slog.Handler, len(h.outputs))
	for i, o := range h.outputs {
		next.outputs[i] = o.WithAttrs(as)
	}
	if h.grouped {
		return &next
	}
	for _, a := range as {
		switch a.Key {
		case Component:
			next.gate = h.levels.gate(a.Value.String())
		case Source:
			next.gate = h.levels.gate(Source + " " + a.Value.String())
		}
		next.subject += subjectOf(a)
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.grouped = true
	next.outputs = make([]slog.Handler, len(h.outputs))
	for i, o := range h.outputs {
		next.outputs[i] = o.WithGroup(name)
	}
	return &next
}

// atLevel is an output with a least severity of its own.
type atLevel struct {
	slog.Handler
	least slog.Level
}

// Enabled implements slog.Handler.
func (a atLevel) Enabled(_ context.Context, l slog.Level) bool { return l >= a.least }

// WithAttrs implements slog.Handler.
func (a atLevel) WithAttrs(as []slog.Attr) slog.Handler {
	return atLevel{a.Handler.WithAttrs(as), a.least}
}

// WithGroup implements slog.Handler.
func (a atLevel) WithGroup(name string) slog.Handler {
	return atLevel{a.Handler.WithGroup(name), a.least}
}
