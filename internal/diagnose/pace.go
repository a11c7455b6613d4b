package diagnose

// pace is how often a controller reports, as its reports come.
type pace struct {
	usual   float64 // seconds between two, on average
	longest float64 // about the most
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

// learn takes in a gap of some seconds that ended now, in which advance reports were
// due.
func (p *pace) learn(gap, advance, now float64) {
	if gap < 0 {
		return
	}
	each := gap / advance
	if p.usual > 0 && each < p.usual/10 {
		// What was kept back comes at once, which is no rhythm; unless it goes on.
		if p.burst == 0 {
			p.burst = now
		}
		if now-p.burst < 20*p.usual {
			return
		}
		*p = pace{}
	}
	p.burst, p.last = 0, now
	p.n++
	if p.n == 1 {
		p.usual, p.longest, p.begun = each, gap, now
		return
	}
	p.usual += (min(each, 4*p.usual) - p.usual) / float64(min(p.n, 16))
	if advance == 1 {
		p.longest = max(p.longest*0.98, min(gap, 2*max(p.longest, p.usual)))
	}
}

// known tells whether that is a rhythm.
func (p *pace) known() bool {
	return p.n >= fewGaps && p.last-p.begun >= min(fewTurns, 10*p.usual) && p.last-p.begun >= 1
}
