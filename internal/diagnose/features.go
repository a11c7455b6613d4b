package diagnose

import (
	"math"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/diagnose/signal"
)

// features are what the rules and the observations look at.
type features struct {
	known  Known
	kind   string // type of the link, empty for none
	now    bucket
	prior  bucket // as long before
	port   bucket // of its line; all zero for none
	node   nodeState
	window float64 // seconds that now covers
	presence
	timing
	strength
	damaged bool // more frames fail their checksum than is usual
	timeout bool // more polls are not answered than is usual
	told    bool // its link ever told a signal
	trail   bool // before it fell silent its signal or its frames got worse

	site, line, source share
	failing            string // why its source fails
	reason             penstock.Reason
}

// presence is whether reports come.
type presence struct {
	quiet   float64 // seconds since the last report, without those that the gateway stood still
	longest float64 // seconds between two reports, at most as a rule; 0 for not known
	never   bool    // no report ever came
	silent  bool
	late    bool
	alive   bool    // its link answers, and no report comes
	loss    float64 // share of the numbers that did not come in order
	lossy   bool
}

// timing is how long reports take, and how right the controller's clock is.
type timing struct {
	delay  float64 // seconds that reports take longer than the fastest did
	slow   bool
	offset float64 // seconds that its clock is wrong by, as its steps add up
	ahead  float64 // seconds that its clock is ahead, at least
}

// strength is the signal that is weakest.
type strength struct {
	stale    bool    // it is from before the controller fell silent
	quantity int     // which, -1 for none
	signal   float64 // its value
	usual    float64 // its baseline, where hasBase
	hasBase  bool
	drop     float64 // dB below the baseline
	short    float64 // dB below the margin, negative above it
	least    float64 // the margin
	limit    float64 // dB of drop that count as weak
}

// share is how many others of a group are in trouble.
type share struct {
	name   string
	others int
	ill    int
	weak   int // have a weak signal
}

// most tells whether most others of a group of some size are in trouble.
func (s share) most(least int) bool {
	return s.others >= least && float64(s.ill) >= 0.6*float64(s.others)
}

// siteWide tells whether the trouble goes beyond the line: most of those at the site
// that are on others are in trouble as well.
func (f *features) siteWide() bool {
	beyond := share{others: f.site.others - f.line.others, ill: f.site.ill - f.line.ill}
	return f.site.most(2) && (f.line.others == 0 || beyond.most(2))
}

// everySite tells whether the trouble goes beyond the site: most of those at other
// sites of the same source are in trouble as well.
func (f *features) everySite() bool {
	beyond := share{others: f.source.others - f.site.others, ill: f.source.ill - f.site.ill}
	return f.siteWide() && beyond.most(5)
}

// siteSome tells whether several at the site are in trouble, though not most, and
// their signals are good: so many at once are no chance. What several on a line have is
// the line's.
func (f *features) siteSome() bool {
	s := f.site
	return f.known.Line == "" && s.ill >= 3 && 4*s.ill >= s.others && 4*s.weak <= s.ill
}

// shared tells whether a trouble of the way, be it slight, is that of others at the
// site as well.
func (f *features) shared() bool {
	return f.hampered() && f.site.most(2) || (f.hampered() || f.touched()) && f.siteSome()
}

// touched tells whether something was amiss with the way of its reports, too little to
// say anything by itself.
func (f *features) touched() bool { return f.now.skipped > 0 || f.delay >= 0.5 }

// lineWide tells whether the trouble is that of the line.
func (f *features) lineWide() bool { return f.line.most(1) && !f.siteWide() }

// few tells whether there are others and hardly any is in trouble.
func (s share) few() bool { return s.others >= 2 && float64(s.ill) < 0.15*float64(s.others)+0.5 }

// weak tells whether the signal is below what it should be.
func (f *features) weak() bool {
	return f.quantity >= 0 && (f.hasBase && f.drop >= f.limit || f.short > 0)
}

// faded tells whether the signal is further below its baseline than it ever is.
func (f *features) faded() bool { return f.quantity >= 0 && f.hasBase && f.drop >= f.limit }

// fading tells whether the signal of most others at the site faded.
func (f *features) fading() bool {
	return f.site.others >= 2 && float64(f.site.weak) >= 0.5*float64(f.site.others)
}

// fine tells whether a signal is known and as it should be.
func (f *features) fine() bool {
	return f.quantity >= 0 && (!f.hasBase || f.drop < f.limit/2) && f.short <= 0
}

// hampered tells whether reports do not come as they should.
func (f *features) hampered() bool { return f.silent || f.late || f.lossy || f.slow || f.timeout }

// badLine tells whether the line that it shares is noisy.
func (f *features) badLine() bool {
	return f.port.line >= 3 || unusual(f.port.damaged, f.port.frames+f.port.damaged, 0)
}

// unusual tells whether n of all are more than chance makes of a usual rate.
func unusual(n, all uint32, rate float64) bool {
	if n < 3 {
		return false
	}
	expected := float64(all) * max(rate, 0.001)
	return float64(n) >= 0.02*float64(all) && float64(n) > expected+8*math.Sqrt(expected)+1
}

// features returns what is known of the controller now. t.mu is held.
func (t *track) features(now int64, w *Watch) features {
	f := features{
		known: t.known, kind: t.link.Type, now: t.ring.sum(0, nowBuckets), prior: t.ring.sum(nowBuckets, nowBuckets), node: w.node,
		reason: t.reason,
	}
	f.longest, f.offset, f.limit = t.longest(), t.clock.Offset, t.link.Drop
	f.window = math.Max(float64(now-f.now.start)/1e9, 1)
	last := max(t.last, t.known.LastSeen)
	f.never = last == 0
	f.quiet = float64(now-max(last, w.begun))/1e9 - w.node.stood
	slack := float64(w.step)/2e9 + 1
	switch {
	case !t.pace.Known():
		f.silent = f.quiet > max(w.unheard, 4*f.longest+slack)
	default:
		f.late = f.quiet > 2*f.longest+slack
		f.silent = f.quiet > 4*f.longest+slack
	}
	f.alive = (f.late || f.silent) && t.heard-w.step > t.last+w.step/2 && now-t.heard < 2*max(w.step, int64(heartbeats))
	if n := f.now.fresh + f.now.skipped; n > 0 {
		f.loss = float64(f.now.skipped) / float64(n)
	}
	f.lossy = f.loss >= 0.15 && unusual(f.now.skipped, f.now.fresh+f.now.skipped, t.standing.loss)
	if f.now.aged > 0 {
		f.delay = math.Max(0, float64(f.now.sumAge)/float64(f.now.aged)-t.floor)
		f.ahead = -math.Min(0, float64(f.now.minAge))
		// One report that had to be sent again says little: all of them are slow, or many.
		least := float64(f.now.minAge) - t.floor
		f.slow = f.now.aged >= 2 && least >= 0.75 || f.now.aged >= 4 && f.delay >= 3 && f.delay > 3*t.standing.delay
	}
	f.damaged = unusual(f.now.damaged, f.now.frames+f.now.damaged, t.standing.damage)
	f.timeout = f.now.timeouts >= 3 && f.now.timeouts*6 > f.now.frames
	t.strength(&f)
	return f
}

// heartbeats is how long a link that answers may keep silent, in nanoseconds.
const heartbeats = 60e9

// strength finds the weakest signal of the controller, now or, when it fell silent,
// before.
func (t *track) strength(f *features) {
	f.quantity = -1
	worst := math.Inf(-1)
	for q := range signal.Quantities {
		v := f.now.signal[q]
		newest, at := t.link.Newest(q)
		stale := isNaN(v)
		if stale && (f.silent || f.late) && at != 0 {
			v = newest // however long that is ago: it fell silent so
		}
		f.told = f.told || at != 0
		if isNaN(v) {
			continue
		}
		g := t.link.Grade(q, v)
		if bad := math.Max(g.Drop-t.link.Drop, g.Short); bad > worst {
			worst = bad
			f.quantity, f.signal, f.drop, f.short = q, float64(v), g.Drop, g.Short
			f.usual, f.hasBase = t.link.Usual(q)
			f.least, f.stale = t.link.Margin[q], stale
		}
	}
	before := f.prior
	before.add(&f.now)
	f.trail = f.silent && (t.decayed || before.damaged >= 3 && before.damaged*50 >= before.frames+before.damaged || f.weak())
}
