package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxWindows bounds what is remembered of lines that came: beyond it, lines are
// told apart by their message alone.
const maxWindows = 4096

// repeats holds back lines that say the same of the same thing too often.
type repeats struct {
	burst int // 0 lets all pass
	every time.Duration
	now   func() time.Time

	mu      sync.Mutex // guards windows
	windows map[sameness]*window
}

// sameness is what lines have in common that count as one.
type sameness struct {
	level            slog.Level
	message, subject string
}

// window counts the lines that are the same, for a while.
type window struct {
	began    time.Time
	passed   int
	held     int
	by       *handler // that the last one came by
	subjects []slog.Attr
}

// subjectOf returns what an attribute adds to that which a line is about: nothing
// for most.
func subjectOf(a slog.Attr) string {
	switch a.Key {
	case Component, Controller, Source, Sink, Line, Stage:
		return a.Key + "=" + a.Value.String() + " "
	}
	return ""
}

// holds tells whether a line is to be held back, and counts it.
func (p *repeats) holds(h *handler, r *slog.Record) bool {
	if p.burst == 0 || r.Level < slog.LevelInfo {
		return false
	}
	key := sameness{r.Level, r.Message, h.subject}
	var subjects []slog.Attr
	r.Attrs(func(a slog.Attr) bool {
		if s := subjectOf(a); s != "" {
			key.subject += s
			subjects = append(subjects, slog.String(a.Key, a.Value.String()))
		}
		return true
	})
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.windows[key] == nil && len(p.windows) >= maxWindows {
		key.subject, subjects = "", nil
	}
	w := p.windows[key]
	if w == nil {
		w = &window{began: now}
		p.windows[key] = w
	}
	if w.passed < p.burst {
		w.passed++
		return false
	}
	w.held++
	w.by, w.subjects = h, subjects
	return true
}

// say passes, for every window that is over, how many lines it held back. All
// ends every window.
func (p *repeats) say(all bool) {
	type due struct {
		sameness
		window
	}
	var over []due
	now := p.now()
	p.mu.Lock()
	for key, w := range p.windows {
		if !all && now.Sub(w.began) < p.every {
			continue
		}
		delete(p.windows, key)
		if w.held > 0 {
			over = append(over, due{key, *w})
		}
	}
	p.mu.Unlock()
	for _, d := range over {
		r := slog.NewRecord(now, d.level, d.message, 0)
		r.AddAttrs(d.subjects...)
		r.AddAttrs(slog.Int(Repeated, d.held))
		d.by.pass(context.Background(), r)
	}
}
