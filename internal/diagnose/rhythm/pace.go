package rhythm

// Pace is how often a controller reports, as its reports come.
type Pace struct {
	Usual   float64 // seconds between two, on average
	Longest float64 // about the most
	n       int     // gaps that were learned from
	begun   float64 // seconds since 1970, when the first ended
	last    float64
	burst   float64 // since when they come much faster, 0 when they do not
}

// How much has to be seen of a rhythm before it counts for one.
const (
	fewGaps  = 5
	fewTurns = 30.0 // seconds
)

// Learn takes in a gap of some seconds that ended now, in which advance reports were
// due.
func (p *Pace) Learn(gap, advance, now float64) {
	if gap < 0 {
		return
	}
	each := gap / advance
	if p.Usual > 0 && each < p.Usual/10 {
		// What was kept back comes at once, which is no rhythm; unless it goes on.
		if p.burst == 0 {
			p.burst = now
		}
		if now-p.burst < 20*p.Usual {
			return
		}
		*p = Pace{}
	}
	p.burst, p.last = 0, now
	p.n++
	if p.n == 1 {
		p.Usual, p.Longest, p.begun = each, gap, now
		return
	}
	p.Usual += (min(each, 4*p.Usual) - p.Usual) / float64(min(p.n, 16))
	if advance == 1 {
		p.Longest = max(p.Longest*0.98, min(gap, 2*max(p.Longest, p.Usual)))
	}
}

// Known tells whether that is a rhythm.
func (p *Pace) Known() bool {
	return p.n >= fewGaps && p.last-p.begun >= min(fewTurns, 10*p.Usual) && p.last-p.begun >= 1
}
