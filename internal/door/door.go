// Package door lets connections in to a listener that many senders share, so that a
// storm of them, all back at once after an outage, is taken in at a rate that the
// handshakes bear, in turns, and nobody is kept out by others.
package door

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds of the handshakes.
const (
	handshakes   = 128 // side by side: more of them only make each other late
	leastOutside = 64  // connections before their handshake that any address may have
)

// Doorman lets connections in to their handshake: a number a second, with one
// second's worth at once after a quiet time, and a number side by side. Addresses
// take turns, and none holds more slots than are free; so whoever floods the
// listener, or stalls in his handshakes, holds up himself.
type Doorman struct {
	each  time.Duration // between two that come in
	limit int           // connections of one address before or in their handshake
	wake  chan struct{} // told when somebody came or left

	mu     sync.Mutex // guards everything below
	free   time.Time  // when the next may come in
	inside int        // handshakes under way
	houses map[netip.Prefix]*house
	turns  []netip.Prefix // houses of which somebody waits, the next first
}

// house is where connections come from: an IPv4 address, or the part of an IPv6
// address that its owner cannot change.
type house struct {
	outside int             // connections that are not through their handshake
	inside  int             // of those, how many are in it
	waiting []chan struct{} // closed when its turn has come
}

// New returns a doorman who lets so many connections in a second. Of the connections
// that a listener may have, an address has at most a quarter before they showed who
// they are.
func New(perSecond, connections int) *Doorman {
	return &Doorman{
		each: time.Second / time.Duration(perSecond), limit: max(connections/4, leastOutside),
		wake: make(chan struct{}, 1), houses: map[netip.Prefix]*house{},
	}
}

// origin returns the house of a connection.
func origin(c net.Conn) netip.Prefix {
	at, _ := netip.ParseAddrPort(c.RemoteAddr().String())
	address, bits := at.Addr().Unmap().WithZone(""), 64
	if address.Is4() {
		bits = 32
	}
	p, _ := address.Prefix(bits) // of no address the zero prefix
	return p
}

// arrive notes a connection; false says that its house has too many. One that
// arrived has to depart when its handshake is over.
func (d *Doorman) arrive(from netip.Prefix) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.houses[from]
	if h == nil {
		h = &house{}
		d.houses[from] = h
	}
	if h.outside >= d.limit {
		return false
	}
	h.outside++
	return true
}

func (d *Doorman) depart(from netip.Prefix) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.houses[from]
	if h.outside--; h.outside == 0 {
		delete(d.houses, from)
	}
}

// enter waits for a turn and a slot. Without an error the caller has to leave.
func (d *Doorman) enter(ctx context.Context, from netip.Prefix) error {
	turn := make(chan struct{})
	d.mu.Lock()
	h := d.houses[from]
	if len(h.waiting) == 0 {
		d.turns = append(d.turns, from)
	}
	h.waiting = append(h.waiting, turn)
	d.mu.Unlock()
	d.nudge()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		d.giveUp(from, turn)
		return ctx.Err()
	}
}

// giveUp takes somebody who waits out of the row.
func (d *Doorman) giveUp(from netip.Prefix, turn chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.houses[from]
	i := slices.Index(h.waiting, turn)
	if i < 0 { // he was let in just now
		d.inside--
		h.inside--
		return
	}
	if h.waiting = slices.Delete(h.waiting, i, i+1); len(h.waiting) == 0 {
		d.turns = slices.DeleteFunc(d.turns, func(at netip.Prefix) bool { return at == from })
	}
}

func (d *Doorman) leave(from netip.Prefix) {
	d.mu.Lock()
	d.inside--
	d.houses[from].inside--
	d.mu.Unlock()
	d.nudge()
}

func (d *Doorman) nudge() {
	select {
	case d.wake <- struct{}{}:
	default: // he was told already
	}
}

// Run lets connections in until ctx ends.
func (d *Doorman) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		case <-timer.C:
		}
		if wait := d.admit(time.Now()); wait > 0 {
			timer.Reset(wait)
		}
	}
}

// admit lets in whoever may come in now. It returns how long the next has to wait,
// 0 when somebody has to come or to leave first.
func (d *Doorman) admit(now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if earliest := now.Add(-time.Second); d.free.Before(earliest) {
		d.free = earliest
	}
	for {
		i := slices.IndexFunc(d.turns, func(from netip.Prefix) bool { return d.houses[from].inside < handshakes-d.inside })
		if i < 0 {
			return 0
		}
		if wait := d.free.Sub(now); wait > 0 {
			return wait
		}
		d.free = d.free.Add(d.each)
		from := d.turns[i]
		d.turns = slices.Delete(d.turns, i, i+1)
		h := d.houses[from]
		close(h.waiting[0])
		if h.waiting = h.waiting[1:]; len(h.waiting) > 0 {
			d.turns = append(d.turns, from)
		}
		h.inside++
		d.inside++
	}
}
