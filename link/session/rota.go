package session

import "time"

// RotaConfig are the settings of a line that controllers share.
type RotaConfig struct {
	Addresses  []uint16
	Budget     int           // bytes that a controller may put on the line in its turn
	Rate       int           // bytes a second of the line
	Turnaround time.Duration // what a controller may take to begin, beside its bytes
	Idle       time.Duration // between two turns of a controller that has nothing waiting
}

// silentTurns is after how many turns without an answer a controller is asked more
// and more seldom.
const silentTurns = 3

// Rota gives turns to the controllers of one line, one at a time, so that none
// holds up another for more than a turn. It is not safe for concurrent use.
type Rota struct {
	config RotaConfig
	places []place
	last   int       // place whose turn is, or was last
	until  time.Time // when the turn is over at the latest; zero between turns
}

// place is what the rota knows of one controller.
type place struct {
	due    time.Time // of its next turn
	silent int       // turns without an answer, in a row
}

// NewRota returns a rota in which every controller is due at once.
func NewRota(c RotaConfig) *Rota {
	return &Rota{config: c, places: make([]place, len(c.Addresses)), last: len(c.Addresses) - 1}
}

// Turn returns the address of the controller that gets the turn now, and false
// while another has it or none is due. The owner sends a link.Turn with the
// configured budget, after the acks that it has for other controllers.
func (r *Rota) Turn(now time.Time) (address uint16, ok bool) {
	if !r.until.IsZero() {
		if now.Before(r.until) {
			return 0, false
		}
		r.unanswered(now)
	}
	for i := range r.places {
		at := (r.last + 1 + i) % len(r.places)
		if now.Before(r.places[at].due) {
			continue
		}
		r.last = at
		r.until = now.Add(r.config.Turnaround + time.Duration(r.config.Budget)*time.Second/time.Duration(max(r.config.Rate, 1)))
		return r.config.Addresses[at], true
	}
	return 0, false
}

// Over says that the controller ended its turn, and how many reports it still
// holds. One that comes after its time counts as an answer, and ends nobody else's turn.
func (r *Rota) Over(now time.Time, address uint16, waiting uint64) {
	for i, a := range r.config.Addresses {
		if a != address {
			continue
		}
		r.places[i] = place{due: now}
		if waiting == 0 {
			r.places[i].due = now.Add(r.config.Idle)
		}
		if i == r.last {
			r.until = time.Time{}
		}
	}
}

// Next returns when [Rota.Turn] should be called at the latest: the zero time for at
// once, when a controller had no turn yet.
func (r *Rota) Next() time.Time {
	if !r.until.IsZero() {
		return r.until
	}
	var next time.Time
	for i := range r.places {
		if due := r.places[i].due; i == 0 || due.Before(next) {
			next = due
		}
	}
	return next
}

// Silent tells whether a controller did not answer its last turns, and is asked
// seldom therefore.
func (r *Rota) Silent(address uint16) bool {
	for i, a := range r.config.Addresses {
		if a == address {
			return r.places[i].silent >= silentTurns
		}
	}
	return false
}

// unanswered notes that the turn that was given brought no answer.
func (r *Rota) unanswered(now time.Time) {
	p := &r.places[r.last]
	r.until = time.Time{}
	p.silent++
	p.due = now
	if n := p.silent - silentTurns; n >= 0 {
		p.due = now.Add(min(firstBackoff<<min(n, 6), lastBackoff))
	}
}
