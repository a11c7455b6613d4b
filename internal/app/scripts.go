package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/metrics"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/internal/script"
)

// scripts runs the script of the configuration that holds now.
type scripts struct {
	states *script.States // nil when no script is configured
	log    *slog.Logger
	now    func() time.Time
	failed func(how script.Kind) // called for each fault

	mu     sync.RWMutex
	engine *script.Engine
}

var _ pipeline.Script = (*scripts)(nil)

// openScripts loads the script of the configuration, if it has one.
func (n *node) openScripts(o nodeOptions) (err error) {
	settings := scriptOf(o.config.Middleware)
	if settings == nil {
		return nil
	}
	s := &n.scripts
	s.log, s.now = o.log, o.now
	s.failed = func(how script.Kind) { n.metrics.Add(metrics.ScriptFaults, 1, string(how)) }
	if s.states, err = script.OpenStates(n.store.Table("script")); err != nil {
		return err
	}
	n.closers = append(n.closers, s.close)
	return s.replace(settings)
}

// scriptOf returns the settings of the script, nil when there is none.
func scriptOf(steps pipeline.Config) *script.Config {
	for i := range steps {
		if steps[i].Script != nil {
			return steps[i].Script
		}
	}
	return nil
}

// Examine looks at the script that a configuration names: the error says in which
// line and column it does not load.
func Examine(c *settings.Config) error {
	if s := scriptOf(c.Middleware); s != nil {
		return script.Check(s)
	}
	return nil
}

// replace loads the script again. An error leaves the one before at work.
func (s *scripts) replace(settings *script.Config) error {
	commit, _, err := s.prepare(settings)
	if err == nil {
		commit()
	}
	return err
}

// prepare loads a script, and returns what puts it to work and what gives it up.
func (s *scripts) prepare(settings *script.Config) (commit, discard func(), err error) {
	nothing := func() {}
	if s.states == nil || settings == nil {
		return nothing, nothing, nil // a step that comes or goes takes hold at the next start
	}
	fresh, err := script.New(script.Options{Config: *settings, States: s.states, Log: s.log, Now: s.now})
	if err != nil {
		return nil, nil, err
	}
	closing := func(e *script.Engine) {
		if e == nil {
			return
		}
		if err := e.Close(); err != nil {
			s.log.Warn("the script before left something behind", "error", err)
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
func (s *scripts) Run(ctx context.Context, r *penstock.Report) (script.Outcome, error) {
	for {
		engine := s.current()
		out, err := engine.Run(ctx, r)
		if penstock.CodeOf(err) == penstock.Closed && engine != s.current() {
			continue // it was replaced at this moment
		}
		if out.Fault != nil {
			s.failed(out.Fault.Kind)
		}
		return out, err
	}
}

func (s *scripts) current() *script.Engine {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.engine
}

// stuck returns how many workers cannot be stopped.
func (s *scripts) stuck() int {
	if engine := s.current(); engine != nil {
		return engine.Stuck()
	}
	return 0
}

// flush writes what the script keeps of the controllers.
func (s *scripts) flush() error {
	if s.states == nil {
		return nil
	}
	return s.states.Flush()
}

// close ends the script. Nothing is submitted any more by then.
func (s *scripts) close() error {
	var err error
	if engine := s.current(); engine != nil {
		err = engine.Close()
	}
	return errors.Join(err, s.flush())
}
