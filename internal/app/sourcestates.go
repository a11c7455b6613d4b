package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/api"
	"github.com/penstock/penstock/internal/health"
)

// The start tells where the sources listen, and therefore waits a moment for those
// that begin.
const (
	beginTime  = time.Second
	beginEvery = 5 * time.Millisecond
)

// sourceHealth begins the names of the sources' components.
const sourceHealth = "source "

// sourceStates returns how each source is.
func (g *gateway) sourceStates() (states []api.SourceState) {
	for _, c := range g.health.Snapshot().Components {
		name, is := strings.CutPrefix(c.Name, sourceHealth)
		if !is {
			continue
		}
		s := api.SourceState{Name: name, State: string(c.Status), Since: c.Since, Why: c.Why, Addresses: g.bound.Of(name)}
		if c.Status == health.OK {
			s.State = "running"
		}
		states = append(states, s)
	}
	return states
}

// tell calls Started when every source has begun or failed, and after a moment in
// any case. When ctx ends before, the gateway stops, and nobody is told.
func (g *gateway) tell(ctx context.Context, started Started) {
	ctx, cancel := context.WithTimeout(ctx, beginTime)
	defer cancel()
	tick := time.NewTicker(beginEvery)
	defer tick.Stop()
	for !g.sourcesBegan() {
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		break
	}
	if ctx.Err() != nil && context.Cause(ctx) != context.DeadlineExceeded {
		return
	}
	started.Addresses = g.bound.List(started.Addresses)
	g.Started(started)
}

// sourcesBegan tells whether every source that is configured runs or has failed. One
// that nobody has started yet has no state.
func (g *gateway) sourcesBegan() bool {
	states := g.sourceStates()
	for _, spec := range g.Config.SourceSpecs() {
		if !slices.ContainsFunc(states, func(s api.SourceState) bool { return s.Name == spec.Name }) {
			return false
		}
	}
	return !slices.ContainsFunc(states, func(s api.SourceState) bool { return s.State == string(health.Starting) })
}
