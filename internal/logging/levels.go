package logging

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock"
)

// sources is the component whose level the single sources have unless they have
// their own.
const sources = "sources"

// maxComponents bounds the components that have a gate of their own; further ones
// have that of their parents.
const maxComponents = 4096

// Levels holds the level of each component. A component is known once somebody
// logs in its name. It is safe for concurrent use.
type Levels struct {
	mu     sync.Mutex // guards all but the gates' levels, which are read without it
	base   gate
	gates  map[string]*gate
	wanted map[string]slog.Level // of components that have their own, known or not yet
}

// gate is the level of one component as its handlers read it.
type gate struct {
	name   string
	parent *gate // nil for the base
	level  atomic.Int64
}

func (g *gate) lets(l slog.Level) bool { return l >= slog.Level(g.level.Load()) }

// ComponentLevel is the level that a component has.
type ComponentLevel struct {
	Component string
	Level     slog.Level
	Own       bool // it does not follow the level of all
}

func newLevels() *Levels {
	return &Levels{gates: map[string]*gate{}, wanted: map[string]slog.Level{}}
}

// replace takes over the levels of a configuration, which was validated.
func (l *Levels) replace(c Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if base, err := ParseLevel(c.Level); err == nil {
		l.base.level.Store(int64(base))
	}
	clear(l.wanted)
	for component, name := range c.Levels {
		if level, err := ParseLevel(name); err == nil {
			l.wanted[component] = level
		}
	}
	l.settle()
}

// settle gives every gate the level that it should have. l.mu is held.
func (l *Levels) settle() {
	for _, name := range slices.Sorted(maps.Keys(l.gates)) {
		l.settleOne(l.gates[name])
	}
}

func (l *Levels) settleOne(g *gate) {
	for at := g; at.parent != nil; at = at.parent {
		if level, ok := l.wanted[at.name]; ok {
			g.level.Store(int64(level))
			return
		}
	}
	g.level.Store(l.base.level.Load())
}

// gate returns the gate of a component, below that of all sources for one of them.
func (l *Levels) gate(name string) *gate {
	l.mu.Lock()
	defer l.mu.Unlock()
	parent := &l.base
	if strings.HasPrefix(name, Source+" ") {
		parent = l.get(sources, &l.base)
	}
	return l.get(name, parent)
}

// get returns the gate of that name, made when it is new. l.mu is held.
func (l *Levels) get(name string, parent *gate) *gate {
	if g := l.gates[name]; g != nil {
		return g
	}
	if len(l.gates) >= maxComponents {
		return parent
	}
	g := &gate{name: strings.Clone(name), parent: parent}
	l.gates[g.name] = g
	l.settleOne(g)
	return g
}

// Base returns the level of all components that have none of their own.
func (l *Levels) Base() slog.Level { return slog.Level(l.base.level.Load()) }

// SetBase changes the level of all components that have none of their own.
func (l *Levels) SetBase(level slog.Level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.base.level.Store(int64(level))
	l.settle()
}

// Set gives a component a level of its own. A component that nobody logged in the
// name of is refused with code [penstock.NotFound].
func (l *Levels) Set(component string, level slog.Level) error {
	return l.change(component, func() { l.wanted[component] = level })
}

// Reset has a component follow the level of all again. It returns the errors of
// [Levels.Set].
func (l *Levels) Reset(component string) error {
	return l.change(component, func() { delete(l.wanted, component) })
}

func (l *Levels) change(component string, do func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, wanted := l.wanted[component]; l.gates[component] == nil && !wanted {
		return penstock.Errorf(penstock.NotFound, "There is no component %.60q. There are: %s.", component, strings.Join(slices.Sorted(maps.Keys(l.gates)), ", "))
	}
	do()
	l.settle()
	return nil
}

// Components returns the level of every component that is known, by name.
func (l *Levels) Components() []ComponentLevel {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]ComponentLevel, 0, len(l.gates))
	for name, g := range l.gates {
		_, own := l.wanted[name]
		all = append(all, ComponentLevel{name, slog.Level(g.level.Load()), own})
	}
	slices.SortFunc(all, func(a, b ComponentLevel) int { return cmp.Compare(a.Component, b.Component) })
	return all
}
