package session

import "time"

// ask sees that the committed mark arrives although acks may be lost: while
// something is accepted and not committed, heartbeats ask for an ack. What it waits
// for is the record's usual delay, which it measures. An answer without the mark
// says that the record is slow: the next question comes twice as late. No answer
// says that one of two frames was lost: then it comes only a little later, for with
// much loss doubling would make of seconds minutes.
type ask struct {
	mark  uint64        // accepted mark that is waited for, 0 for none
	since time.Time     // when that was heard of
	due   time.Time     // of the next question, zero for none
	pause time.Duration // before it
	asked bool          // a question is not answered
	usual estimate      // of the time from accepted to committed
	never bool          // the carrier loses no ack
}

// reset forgets what was waited for: a session begins.
func (a *ask) reset() { *a = ask{usual: a.usual, never: a.never} }

// heard takes the marks of an ack. Trip is the round trip, most the pause between
// questions at the most.
func (a *ask) heard(now time.Time, s *settled, trip, most time.Duration) {
	if a.mark != 0 && s.committed >= a.mark {
		a.usual.measure(min(now.Sub(a.since), most))
		a.reset()
	}
	switch {
	case a.never:
	case a.mark == 0 && s.accepted > s.committed:
		a.mark, a.since = s.accepted, now
		a.pause = min(max(2*trip+a.usual.rarely(), leastTimeout), most)
		a.due = now.Add(a.pause)
	case a.asked:
		a.asked = false
		a.pause = min(2*a.pause, most)
		a.due = now.Add(a.pause)
	}
}

// question tells whether it is time to ask, and then sets the time of the next.
func (a *ask) question(now time.Time, most time.Duration) bool {
	if a.due.IsZero() || now.Before(a.due) {
		return false
	}
	if a.asked {
		a.pause = min(a.pause+a.pause/4, most)
	}
	a.asked = true
	a.due = now.Add(a.pause)
	return true
}
