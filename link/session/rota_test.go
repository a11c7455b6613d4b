package session_test

import (
	"testing"
	"time"

	"github.com/penstock/penstock/link/session"
)

// TestADeadControllerCostsLittle runs a line of four of which one is dead.
func TestADeadControllerCostsLittle(t *testing.T) {
	r := session.NewRota(session.RotaConfig{
		Addresses: []uint16{1, 2, 3, 4}, Budget: 480, Rate: 960, Turnaround: 200 * time.Millisecond, Idle: 5 * time.Second,
	})
	const turn = 300 * time.Millisecond // of those that answer
	now, turns, gap, last := start, map[uint16]int{}, map[uint16]time.Duration{}, map[uint16]time.Time{}
	for now.Before(start.Add(10 * time.Minute)) {
		address, ok := r.Turn(now)
		if !ok {
			next := r.Next()
			if !next.After(now) {
				t.Fatalf("after %v it is due at once, and gives no turn", now.Sub(start))
			}
			now = next
			continue
		}
		if _, again := r.Turn(now); again {
			t.Fatal("two have the turn")
		}
		turns[address]++
		if at := last[address]; !at.IsZero() {
			gap[address] = max(gap[address], now.Sub(at))
		}
		last[address] = now
		switch address {
		case 3: // dead
		case 4: // has nothing to say
			now = now.Add(turn)
			r.Over(now, address, 0)
		default:
			now = now.Add(turn)
			r.Over(now, address, 9)
		}
	}
	if turns[3] < 10 || turns[3] > 20 || !r.Silent(3) || r.Silent(1) {
		t.Errorf("the dead one had %d turns in ten minutes, silent %v", turns[3], r.Silent(3))
	}
	if turns[4] < 90 || turns[4] > 121 {
		t.Errorf("the idle one had %d turns", turns[4])
	}
	if gap[1] > 2*turn+700*time.Millisecond+turn || turns[1]-turns[2] > 1 || turns[2]-turns[1] > 1 || turns[1] < 800 {
		t.Errorf("of those that have something to say one had %d turns, the other %d, the longest wait was %v", turns[1], turns[2], gap[1])
	}
}

func TestALateAnswerEndsNobodysTurn(t *testing.T) {
	r := session.NewRota(session.RotaConfig{Addresses: []uint16{1, 2}, Budget: 100, Rate: 1000, Turnaround: 200 * time.Millisecond, Idle: time.Second})
	r.Turn(start)
	now := start.Add(300 * time.Millisecond)
	if a, ok := r.Turn(now); !ok || a != 2 {
		t.Fatalf("the turn of %d, %v", a, ok)
	}
	r.Over(now, 1, 5)
	if a, ok := r.Turn(now); ok {
		t.Errorf("%d gets a turn while 2 has it", a)
	}
	r.Over(now, 2, 5)
	if a, ok := r.Turn(now); !ok || a != 1 {
		t.Errorf("the turn of %d, %v", a, ok)
	}
}

// TestTheFirstRoundDoesNotWait: all are due when a line begins, and nobody's pause
// keeps back one that had no turn yet.
func TestTheFirstRoundDoesNotWait(t *testing.T) {
	r := session.NewRota(session.RotaConfig{Addresses: []uint16{1, 2, 3}, Budget: 480, Rate: 960, Idle: 5 * time.Second})
	for _, want := range []uint16{1, 2, 3} {
		if next := r.Next(); next.After(start) {
			t.Errorf("the turn of %d is due after %v", want, next.Sub(start))
		}
		if got, ok := r.Turn(start); got != want || !ok {
			t.Errorf("the turn is that of %d (%v), not of %d", got, ok, want)
		}
		r.Over(start, want, 0)
	}
	if next := r.Next(); !next.Equal(start.Add(5 * time.Second)) {
		t.Errorf("the next round begins after %v", next.Sub(start))
	}
}
