package modbus

import (
	"time"
)

// slots are the times at which one group of one device is to be polled: the
// whole multiples of its interval.
type slots struct {
	every time.Duration
	next  time.Time
}

func newSlots(every time.Duration, now time.Time) slots {
	return slots{every, slotAt(now, every).Add(every)}
}

// slotAt returns the last slot that is not after t. Slots are counted from 1970,
// so that every node has the same.
func slotAt(t time.Time, every time.Duration) time.Time {
	ns := t.UnixNano()
	return time.Unix(0, ns-ns%int64(every))
}

// maxStep is how far the clock may step back and a slot is only waited for. After
// a greater step slots come a second time: better than to stand still.
const maxStep = time.Minute

// due tells whether a slot has begun.
func (s *slots) due(now time.Time) bool {
	if s.next.Sub(now) > s.every+maxStep {
		*s = newSlots(s.every, now)
	}
	return !now.Before(s.next)
}

// deadline is the time at which the slot ends: the next one begins.
func (s *slots) deadline() time.Time { return s.next.Add(s.every) }

// take returns the slot that is to be polled now, and how many before it have
// gone by without a poll.
func (s *slots) take(now time.Time) (slot time.Time, missed int) {
	slot = slotAt(now, s.every)
	missed = max(0, int(slot.Sub(s.next)/s.every))
	s.next = slot.Add(s.every)
	return slot, missed
}

// health says whether a device is polled, or probed.
type health struct {
	after   int           // polls in a row without an answer, after which it is probed
	longest time.Duration // between two probes

	failures int
	dead     bool
	pause    time.Duration
	probe    time.Time // not before
}

// firstProbe is the time from a device's demotion to its first probe.
const firstProbe = time.Second

// answered notes that the device did, with what it was asked for or a refusal.
func (h *health) answered() { h.failures, h.dead = 0, false }

// silent notes that a poll or a probe brought no answer at all.
func (h *health) silent(now time.Time) {
	h.failures++
	switch {
	case h.dead:
		h.pause = min(2*h.pause, h.longest)
	case h.failures >= h.after:
		h.dead, h.pause = true, firstProbe
	}
	h.probe = now.Add(h.pause)
}
