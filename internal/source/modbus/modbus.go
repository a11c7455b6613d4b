package modbus

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source"
)

// Source polls the devices of one configuration.
type Source struct {
	config Config
	env    source.Env
	open   opener
}

// New returns a source that polls what the configuration says.
func New(c Config, env source.Env) (*Source, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Source{config: c, env: env, open: open}, nil
}

// Run polls until ctx ends. A line that cannot be reached is no error: its
// devices are reported as out of reach, and it is tried again.
func (s *Source) Run(ctx context.Context, next penstock.Handler) error {
	whole := ctx
	ctx, fail := context.WithCancelCause(whole)
	defer fail(nil)
	var work sync.WaitGroup
	lines := s.lines()
	for _, l := range lines {
		work.Go(func() { s.guarded(fail, func() { l.run(ctx) }) })
		work.Go(func() { s.guarded(fail, func() { l.out.run(ctx, next) }) })
	}
	work.Wait()
	if whole.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}

// guarded ends the whole source when one of its lines panics: its runner then
// starts it again.
func (s *Source) guarded(fail context.CancelCauseFunc, run func()) {
	defer func() {
		if fault := recover(); fault != nil {
			s.env.Log.Error("a source panicked", "panic", fault, "stack", string(debug.Stack()))
			fail(penstock.Errorf(penstock.Internal, "a fault of the gateway: %s", fmt.Sprint(fault)))
		}
	}()
	run()
}

func (s *Source) lines() []*line {
	owner := source.Own(s.env.Name, s.controllers())
	b := &board{status: s.env.Status, lines: len(s.config.Lines), problems: map[string]string{}, seen: map[string]bool{}}
	lines := make([]*line, len(s.config.Lines))
	for i := range s.config.Lines {
		c := &s.config.Lines[i]
		name := s.env.Name
		if c.Name != "" {
			name += "/" + c.Name
		}
		l := &line{
			config: c, source: s.env.Name, owner: owner, open: s.open, now: s.env.Now, log: s.env.Log, board: b,
			port: s.env.Evidence.Port(name), out: newOutbox(cmp.Or(s.config.Buffer, defaultBuffer), s.env.Log),
			byUnit: map[int]*member{}, again: firstOpen,
		}
		for j := range c.Devices {
			d := &c.Devices[j]
			m := newMember(d, s.model(d), c, s.env.Evidence.Controller(d.Controller), s.env.Now())
			l.members = append(l.members, m)
			l.byUnit[int(d.Unit)] = m
		}
		lines[i] = l
	}
	return lines
}

func (s *Source) model(d *Device) *Model {
	if m, ok := s.config.Models[d.Model]; ok {
		return &m
	}
	return d.own()
}

func (s *Source) controllers() []string {
	var names []string
	for i := range s.config.Lines {
		for j := range s.config.Lines[i].Devices {
			names = append(names, s.config.Lines[i].Devices[j].Controller)
		}
	}
	return names
}

// board tells the node whether all lines can be used.
type board struct {
	status source.Status
	lines  int

	mu       sync.Mutex        // guards everything below
	problems map[string]string // by line
	seen     map[string]bool   // lines that were up
}

func (b *board) ok(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.problems, line)
	b.seen[line] = true
	b.tell()
}

func (b *board) failing(line, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems[line] = why
	b.tell()
}

// tell tells the state; b.mu is held.
func (b *board) tell() {
	if len(b.problems) == 0 {
		if len(b.seen) == b.lines {
			b.status.OK()
		}
		return
	}
	first := ""
	for line := range b.problems {
		if first == "" || line < first {
			first = line
		}
	}
	why := first + ": " + b.problems[first]
	if n := len(b.problems); n > 1 {
		why += fmt.Sprintf(" (and %d more lines)", n-1)
	}
	b.status.Failing(why)
}
