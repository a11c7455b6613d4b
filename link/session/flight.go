package session

import (
	"slices"
	"time"

	"github.com/penstock/penstock/link"
)

type fate uint8

const (
	inFlight fate = iota // sent, and nothing heard of it
	missing              // thought lost: goes again as soon as it may
	delayed              // refused for now: goes again at its time
	done                 // settled
)

// sent is a report that was sent in this session and is above the marks.
type sent struct {
	at     time.Time // of the last sending; of the next, where it is delayed
	cost   int       // against the window
	fate   fate
	hollow bool // an empty report goes under its number
	again  bool // sent more than once: its ack measures nothing
}

// flight is what was sent and is not settled, and what was learned of the way.
type flight struct {
	base    uint64 // entries[0] is base + 1
	entries []sent
	cost    int // of those in flight
	cwnd    int // what may be in flight on a carrier that does not push back
	unit    int // what one frame counts
	missing int // how many entries are
	laterAt time.Time

	trip       estimate  // of the round trip
	doublings  uint      // of the timeout, since the last progress
	quietSince time.Time // when the last progress was, or what is in flight went out
	ackedAt    time.Time // latest sending among those that were settled
}

// reset forgets what was sent: a session begins.
func (f *flight) reset(base uint64) {
	*f = flight{base: base, entries: f.entries[:0], trip: f.trip}
}

// next returns the lowest number that was not sent in this session.
func (f *flight) next() uint64 { return f.base + uint64(len(f.entries)) + 1 }

// entry returns what is known of a number, nil where that is nothing.
func (f *flight) entry(seq uint64) *sent {
	if seq <= f.base || seq >= f.next() {
		return nil
	}
	return &f.entries[seq-f.base-1]
}

// leave takes an entry out of the counts before its fate changes.
func (f *flight) leave(e *sent) {
	switch e.fate {
	case inFlight:
		f.cost -= e.cost
	case missing:
		f.missing--
	case delayed, done:
	}
}

// launch notes that the report of a number went out now.
func (f *flight) launch(now time.Time, seq uint64, cost int) {
	if f.cost == 0 {
		f.quietSince = now
	}
	f.cost += cost
	if seq == f.next() {
		f.entries = append(f.entries, sent{at: now, cost: cost})
		return
	}
	e := f.entry(seq)
	f.leave(e)
	e.at, e.cost, e.fate, e.again = now, cost, inFlight, true
}

// settleThrough notes that all numbers up to base are settled, and tells whether
// that was news.
func (f *flight) settleThrough(now time.Time, base uint64) bool {
	if base <= f.base {
		return false
	}
	n := min(base-f.base, uint64(len(f.entries)))
	news := f.settle(now, link.Range{First: f.base + 1, Last: f.base + n})
	f.entries = slices.Delete(f.entries, 0, int(n))
	f.base = base
	return news
}

// settle notes that numbers are settled, and tells whether one of them was news.
func (f *flight) settle(now time.Time, r link.Range) (news bool) {
	var newest *sent
	for seq := r.First; seq <= r.Last; seq++ {
		e := f.entry(seq)
		if e == nil {
			break
		}
		if e.fate == done {
			continue
		}
		if e.fate == inFlight && e.at.After(f.ackedAt) {
			f.ackedAt = e.at
		}
		if newest == nil || e.at.After(newest.at) {
			newest = e
		}
		f.leave(e)
		e.fate, news = done, true
		f.cwnd += e.cost
	}
	// Where the newest is a resend, the answer may be to that. Those before it were
	// heard of so late perhaps because an ack was lost: they measure nothing either.
	if newest != nil && !newest.again {
		f.trip.measure(now.Sub(newest.at))
	}
	if news {
		f.quietSince, f.doublings = now, 0
	}
	return news
}

// wait returns how long nothing may be heard of what is in flight.
func (f *flight) wait() time.Duration {
	d := max(f.trip.rarely(), leastTimeout)
	return min(d<<min(f.doublings, 16), lastBackoff)
}

// timeout returns when the first of what is in flight is to be thought lost, zero
// for never.
func (f *flight) timeout() time.Time {
	var first time.Time
	if f.cost > 0 {
		for i := range f.entries {
			if e := &f.entries[i]; e.fate == inFlight {
				first = earliest(first, e.at)
			}
		}
		first = first.Add(f.wait())
	}
	return first
}

// expire gives up what is in flight for too long. When nothing at all was heard for
// as long, it lets one frame go until something is.
func (f *flight) expire(now time.Time) {
	if at := f.timeout(); at.IsZero() || now.Before(at) {
		return
	}
	wait := f.wait()
	for i := range f.entries {
		if e := &f.entries[i]; e.fate == inFlight && now.Sub(e.at) >= wait {
			f.lose(e)
		}
	}
	if now.Sub(f.quietSince) >= wait {
		f.doublings++
		f.cwnd = f.unit
		f.quietSince = now
	}
}

func (f *flight) lose(e *sent) {
	f.leave(e)
	e.fate = missing
	f.missing++
}

// findLost gives up what is in flight and went out well before something that was
// settled.
func (f *flight) findLost(now time.Time) {
	before := f.ackedAt.Add(-max(f.trip.smoothed/4, 4*f.trip.deviation, leastReorder))
	for i := range f.entries {
		if e := &f.entries[i]; e.fate == inFlight && e.at.Before(before) {
			f.lose(e)
		}
	}
}

// postpone keeps a number back until a time.
func (f *flight) postpone(seq uint64, until time.Time) {
	e := f.entry(seq)
	if e == nil || e.fate == done {
		return
	}
	f.leave(e)
	e.fate, e.at, e.again = delayed, until, true
	f.laterAt = earliest(f.laterAt, until)
}

// wake has the numbers go again whose time has come.
func (f *flight) wake(now time.Time) {
	if f.laterAt.IsZero() || now.Before(f.laterAt) {
		return
	}
	f.laterAt = time.Time{}
	for i := range f.entries {
		e := &f.entries[i]
		switch {
		case e.fate != delayed:
		case now.Before(e.at):
			f.laterAt = earliest(f.laterAt, e.at)
		default:
			f.lose(e)
		}
	}
}

// hollow has an empty report go under a number. It tells whether one did before:
// then the number is given up.
func (f *flight) hollow(seq uint64) (givenUp bool) {
	e := f.entry(seq)
	if e == nil || e.fate == done {
		return false
	}
	if e.hollow {
		f.leave(e)
		e.fate = done
		return true
	}
	e.hollow = true
	f.lose(e)
	return false
}

// pick returns the number to send next, at most newest, and 0 for none.
func (f *flight) pick(newest uint64) uint64 {
	if f.missing > 0 {
		for i := range f.entries {
			if f.entries[i].fate == missing {
				return f.base + uint64(i) + 1
			}
		}
	}
	if f.next() <= newest {
		return f.next()
	}
	return 0
}
