package session

import (
	"time"

	"github.com/penstock/penstock/link"
)

// backoff grows each time that something has to be tried again.
type backoff struct {
	last time.Duration
	rand func() uint64
}

// next returns how long to wait now: at least least, which is 0 when nobody said.
func (b *backoff) next(least time.Duration) time.Duration {
	b.last = min(max(2*b.last, firstBackoff), lastBackoff)
	return max(least, b.jitter(b.last))
}

// reset begins anew: what was tried went well.
func (b *backoff) reset() { b.last = 0 }

// jitter takes a random half off.
func (b *backoff) jitter(d time.Duration) time.Duration {
	return d - time.Duration(b.rand()%uint64(d/2+1))
}

// pace holds back what a carrier cannot take at once.
type pace struct {
	rate   int       // bytes a second; 0 for no limit
	from   time.Time // when the next frame may go
	polled bool      // frames go in a turn only
	budget int       // bytes left of the turn, -1 outside a turn
	around int       // bytes of a seal around each frame
}

// outside tells whether it is another's turn.
func (p *pace) outside() bool { return p.polled && p.budget < 0 }

// room returns how many bytes of payload a frame may have now, at most largest.
func (p *pace) room(largest int) int {
	if !p.polled {
		return largest
	}
	n := p.budget - 2 - link.FrameOverhead - p.around // on the line a frame is a little longer: see spend
	return min(n-n/254-1, largest)
}

// spend notes that a frame of n bytes goes out.
func (p *pace) spend(now time.Time, n int) {
	n += p.around
	if p.polled {
		p.budget = max(p.budget-(n+n/254+2), 0)
	}
	if p.rate > 0 {
		if p.from.Before(now) {
			p.from = now
		}
		p.from = p.from.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
	}
}
