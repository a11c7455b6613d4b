package sim

import (
	"time"

	"github.com/penstock/penstock"
)

// Impairments are the shares of messages, 0 to 1, that meet a mishap on their
// way. Each try of a message draws anew, so a resend can be lost again.
type Impairments struct {
	Loss      float64 // half of them never arrive, of the other half the answer does not
	Duplicate float64 // sent twice: half of them at once, half later
	Reorder   float64 // held back behind later reports
	Corrupt   float64 // bytes changed after the checksum was computed
}

// Check returns an error of code Invalid when a share is out of its range.
func (p Impairments) Check() error {
	for _, share := range []struct {
		name  string
		value float64
	}{{"loss", p.Loss}, {"duplicate", p.Duplicate}, {"reorder", p.Reorder}, {"corrupt", p.Corrupt}} {
		if !(share.value >= 0 && share.value <= 0.9) {
			return penstock.Errorf(penstock.Invalid, "the share of %s is 0%% to 90%%, not %v%%", share.name, 100*share.value)
		}
	}
	return nil
}

// A fate is what happens to one try of a message.
type fate struct {
	hold       time.Duration // before it is sent
	lost       bool          // it never leaves
	unanswered bool          // its answer is thrown away
	damage     uint64        // not 0: a number that says which bytes change
	twice      bool          // a copy goes beside it
	again      time.Duration // not 0: a copy goes this much later
}

// fate draws what happens to a try, as a pure function of what it is. Only the
// first try can be held back, so that reordering cannot starve a report.
func (p Impairments) fate(seed, controller, seq uint64, try int, interval time.Duration) fate {
	draw := func(what uint64) uint64 { return mix(seed, controller<<16|what<<8|uint64(try)&0xff, 7, seq) }
	hits := func(h uint64, share float64) bool { return float64(h>>11)/(1<<53) < share }
	var f fate
	if h := draw(1); hits(h, p.Loss) {
		f.lost = h%2 == 0
		f.unanswered = !f.lost
	}
	if h := draw(2); hits(h, p.Duplicate) {
		f.twice = h%2 == 0
		if !f.twice {
			f.again = interval * time.Duration(1+h>>8%4)
		}
	}
	if h := draw(3); try == 0 && hits(h, p.Reorder) {
		f.hold = interval + interval*time.Duration(h%256)/128
	}
	if h := draw(4); hits(h, p.Corrupt) {
		f.damage = h | 1
	}
	return f
}

// Damage changes a burst of one to four bytes of a message, as noise on a line
// does; the number seed chooses which. It changes body in place and returns it;
// an empty body stays as it is.
func Damage(body []byte, seed uint64) []byte {
	if len(body) == 0 {
		return body
	}
	h := mix(seed, 8, 0, 0)
	start := h % uint64(len(body))
	for i := range min(1+h>>32%4, uint64(len(body))) {
		body[(start+i)%uint64(len(body))] ^= byte(h>>(40+4*i)) | 1
	}
	return body
}
