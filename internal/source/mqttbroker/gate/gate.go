// Package gate bounds the connections that have not shown who they are. A storm
// of senders that come back is taken in as fast as the handshakes go, and those
// who say nothing do not keep the others out.
package gate

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Gate has places for connections. It is safe for concurrent use.
type Gate struct {
	limit    int
	patience time.Duration
	moved    chan struct{} // a place may be free

	mu      sync.Mutex // guards everything below
	waiting []*Place   // the oldest first
}

// Place is that of one connection.
type Place struct {
	gate  *Gate
	since time.Time
	evict func()
}

// New returns a gate with a number of places. When all are taken and others wait,
// the connection that came first has to leave once it had its patience.
func New(limit int, patience time.Duration) *Gate {
	return &Gate{limit: limit, patience: patience, moved: make(chan struct{}, 1)}
}

// Wait blocks until there is a place or ctx ends. Only one caller at a time may
// wait, who then calls Enter.
func (g *Gate) Wait(ctx context.Context) error {
	for {
		free, oldest := g.look()
		if free {
			return ctx.Err()
		}
		left := time.Until(oldest.since.Add(g.patience))
		if left <= 0 {
			oldest.evict()
			oldest.Leave()
			continue
		}
		t := time.NewTimer(left)
		select {
		case <-g.moved:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// look tells whether there is a place; if not, whose turn to leave is next.
func (g *Gate) look() (free bool, oldest *Place) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) < g.limit {
		return true, nil
	}
	return false, g.waiting[0]
}

// Enter takes a place. Evict is called, at most once, when the connection has to
// go; it must not block.
func (g *Gate) Enter(evict func()) *Place {
	p := &Place{gate: g, since: time.Now(), evict: evict}
	g.mu.Lock()
	g.waiting = append(g.waiting, p)
	g.mu.Unlock()
	return p
}

// Leave gives the place back. It may be called twice.
func (p *Place) Leave() {
	g := p.gate
	g.mu.Lock()
	if i := slices.Index(g.waiting, p); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
	g.mu.Unlock()
	select {
	case g.moved <- struct{}{}:
	default: // told already
	}
}
