// Package scripts runs the script that the configuration names, and puts another one in
// its place while the gateway runs.
package scripts

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/internal/script"
)

// Options are what a script needs beside its configuration.
type Options struct {
	Table  script.Table // for what it keeps of the controllers
	Log    *slog.Logger
	Now    func() time.Time
	Failed func(how script.Kind) // called for each fault
}

// Scripts runs the script of the configuration that holds now. It is safe for
// concurrent use.
type Scripts struct {
	o      Options
	states *script.States // nil when no script is configured

	mu     sync.RWMutex
	engine *script.Engine
}

var _ pipeline.Script = (*Scripts)(nil)

// Open loads the script of the pipeline's steps. Without one there is nothing to run.
func Open(steps pipeline.Config, o Options) (*Scripts, error) {
	s := &Scripts{o: o}
	settings := Of(steps)
	if settings == nil {
		return s, nil
	}
	var err error
	if s.states, err = script.OpenStates(o.Table); err != nil {
		return nil, err
	}
	commit, _, err := s.Prepare(settings)
	if err != nil {
		return nil, err
	}
	commit()
	return s, nil
}

// Of returns the settings of the script among the steps, nil when there is none.
func Of(steps pipeline.Config) *script.Config {
	for i := range steps {
		if steps[i].Script != nil {
			return steps[i].Script
		}
	}
	return nil
}

// Examine loads what the configuration names: the error says in which line and column it
// does not load.
func Examine(c *settings.Config) error {
	if s := Of(c.Middleware); s != nil {
		return script.Check(s)
	}
	return nil
}

// Prepare loads a script, and returns what puts it to work and what gives it up. An
// error leaves the one before at work.
func (s *Scripts) Prepare(settings *script.Config) (commit, discard func(), err error) {
	nothing := func() {}
	if s.states == nil || settings == nil {
		return nothing, nothing, nil // a step that comes or goes takes hold at the next start
	}
	fresh, err := script.New(script.Options{Config: *settings, States: s.states, Log: s.o.Log, Now: s.o.Now})
	if err != nil {
		return nil, nil, err
	}
	closing := func(e *script.Engine) {
		if e == nil {
			return
		}
		if err := e.Close(); err != nil {
			s.o.Log.Warn("the script before left something behind", "error", err)
		}
	}
	commit = func() {
		s.mu.Lock()
		before := s.engine
		s.engine = fresh
		s.mu.Unlock()
		closing(before)
	}
	return commit, func() { closing(fresh) }, nil
}

// Run implements [pipeline.Script].
func (s *Scripts) Run(ctx context.Context, r *penstock.Report) (script.Outcome, error) {
	for {
		engine := s.current()
		out, err := engine.Run(ctx, r)
		if penstock.CodeOf(err) == penstock.Closed && engine != s.current() {
			continue // it was replaced at this moment
		}
		if out.Fault != nil {
			s.o.Failed(out.Fault.Kind)
		}
		return out, err
	}
}

func (s *Scripts) current() *script.Engine {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.engine
}

// Stuck returns how many workers cannot be stopped.
func (s *Scripts) Stuck() int {
	if engine := s.current(); engine != nil {
		return engine.Stuck()
	}
	return 0
}

// Flush writes what the script keeps of the controllers.
func (s *Scripts) Flush() error {
	if s.states == nil {
		return nil
	}
	return s.states.Flush()
}

// Close ends the script. Nothing is submitted any more by then.
func (s *Scripts) Close() error {
	var err error
	if engine := s.current(); engine != nil {
		err = engine.Close()
	}
	return errors.Join(err, s.Flush())
}
