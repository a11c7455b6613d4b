package door

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func house4(n byte) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 32)
}

// door runs a doorman in a bubble.
func door(t *testing.T, perSecond, connections int) *Doorman {
	d := New(perSecond, connections)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { d.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return d
}

// visit brings a connection to the door, and tells when it is let in.
func visit(t *testing.T, d *Doorman, from netip.Prefix) (inside chan struct{}) {
	t.Helper()
	if !d.arrive(from) {
		t.Fatalf("%v is turned away", from)
	}
	inside = make(chan struct{})
	go func() {
		if d.enter(t.Context(), from) == nil {
			close(inside)
		}
	}()
	synctest.Wait()
	return inside
}

func isIn(inside chan struct{}) bool {
	synctest.Wait()
	select {
	case <-inside:
		return true
	default:
		return false
	}
}

// An address that stalls in its handshakes keeps nobody else out.
func TestStalledHandshakesHoldUpTheirOwnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := door(t, 10_000, 20_000)
		for from := range byte(4) {
			var stalled int
			for range 2 * handshakes {
				if isIn(visit(t, d, house4(from))) {
					stalled++
				}
			}
			if want := handshakes >> (from + 1); stalled != want {
				t.Errorf("address %d holds %d slots, not %d", from, stalled, want)
			}
		}
		if !isIn(visit(t, d, house4(200))) {
			t.Error("another address waits for those that stall")
		}
		d.leave(house4(200))
		d.depart(house4(200))
	})
}

// When one address comes with very many, another waits for one turn of it and not
// for all.
func TestAddressesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := door(t, 10, 20_000)
		through := func(inside chan struct{}, from netip.Prefix) {
			go func() {
				<-inside
				d.leave(from)
				d.depart(from)
			}()
		}
		for range 500 {
			through(visit(t, d, house4(1)), house4(1))
		}
		time.Sleep(10 * time.Second) // of the bubble's clock
		other := visit(t, d, house4(2))
		time.Sleep(200 * time.Millisecond)
		if !isIn(other) {
			t.Error("another address waits behind all of the first")
		}
		began := time.Now()
		synctest.Wait()
		known := func(from netip.Prefix) bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.houses[from] != nil
		}
		for known(house4(1)) {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		if took := time.Since(began); took < 35*time.Second || took > 45*time.Second {
			t.Errorf("about 390 connections at 10 a second took %v", took)
		}
		d.leave(house4(2))
		d.depart(house4(2))
		if len(d.houses) != 0 || len(d.turns) != 0 || d.inside != 0 {
			t.Errorf("in the end %d addresses are known, %d wait, %d are inside", len(d.houses), len(d.turns), d.inside)
		}
	})
}

// Who stops waiting leaves nothing behind.
func TestWhoGivesUpIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := door(t, 1, 400)
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 50)
		for range cap(left) {
			if !d.arrive(house4(1)) {
				t.Fatal("turned away")
			}
			go func() {
				err := d.enter(ctx, house4(1))
				if err == nil {
					d.leave(house4(1))
				}
				d.depart(house4(1))
				left <- err
			}()
		}
		synctest.Wait()
		cancel()
		for range cap(left) {
			<-left
		}
		synctest.Wait()
		if len(d.houses) != 0 || len(d.turns) != 0 || d.inside != 0 {
			t.Errorf("%d addresses are known, %d wait, %d are inside", len(d.houses), len(d.turns), d.inside)
		}
	})
}

// An address has a part of all connections before it has shown who it is.
func TestTooManyOfOneAddressAreRefused(t *testing.T) {
	d := New(1, 400)
	for range 100 {
		if !d.arrive(house4(1)) {
			t.Fatal("turned away too early")
		}
	}
	if d.arrive(house4(1)) || !d.arrive(house4(2)) {
		t.Error("the share of an address is not kept")
	}
	d.depart(house4(1))
	if !d.arrive(house4(1)) {
		t.Error("a place that was given back is not given again")
	}
}
