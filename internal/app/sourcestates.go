package app

import (
	"context"
	"maps"
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
		s := api.SourceState{Name: name, State: string(c.Status), Since: c.Since, Why: c.Why, Addresses: g.bound.of(name)}
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
	started.Addresses = g.bound.list(started.Addresses)
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

// of returns where a source listens.
func (b *bound) of(source string) (addresses []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := listenKey(source)
	for _, k := range slices.Sorted(maps.Keys(b.addresses)) {
		if k == key || strings.HasPrefix(k, key+".") {
			addresses = append(addresses, b.addresses[k])
		}
	}
	return addresses
}

// list returns every address there is: those given first, in their order.
func (b *bound) list(first []Address) []Address {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Clone(first)
	for _, k := range slices.Sorted(maps.Keys(b.addresses)) {
		if a := (Address{k, b.addresses[k]}); !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}
