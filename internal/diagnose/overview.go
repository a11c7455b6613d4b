package diagnose

import (
	"cmp"
	"slices"
	"time"

	"github.com/penstock/penstock/internal/diagnose/signal"
	"github.com/penstock/penstock/internal/evidence"
)

// Pulse says whether a controller reports.
type Pulse string

// The pulses.
const (
	Reporting Pulse = "reporting"
	Late      Pulse = "late"
	Silent    Pulse = "silent"
	Unheard   Pulse = "new"  // it has not reported yet
	Held      Pulse = "held" // its reports are refused until a person admits it
)

// Overview is the first thing that an operator wants to know.
type Overview struct {
	Time   time.Time
	Pulses map[Pulse]int
	Groups []Group // the largest first
}

// Group is the controllers that one cause has in trouble.
type Group struct {
	Verdict     // of the controller that is surest
	Controllers []string
	Missing     uint64 // sequence numbers that are missing now
}

// Filter says what is asked for. The zero Filter is everything.
type Filter struct {
	Shows func(controller string) bool // nil for all
	Site  string
	Since time.Time // only verdicts that stand since then or later
}

// Overview returns the causes that stand, at a time.
func (w *Watch) Overview(now time.Time, filter Filter) Overview {
	o := Overview{Time: now, Pulses: map[Pulse]int{}}
	groups := map[claim]*Group{}
	for _, t := range w.all() {
		if filter.Shows != nil && !filter.Shows(t.name) {
			continue
		}
		t.mu.Lock()
		k, v, p := t.known, t.standing.verdict, t.pulse(now.UnixNano(), w)
		t.mu.Unlock()
		if k.Name == "" || filter.Site != "" && k.Site != filter.Site {
			continue
		}
		o.Pulses[p]++
		if v.Cause == Healthy || v.Cause == "" || v.Since.Before(filter.Since) {
			continue
		}
		at := v.claim()
		g := groups[at]
		if g == nil {
			g = &Group{Verdict: v}
			groups[at] = g
		}
		since := g.Since
		if v.Confidence > g.Confidence {
			g.Verdict = v
		}
		if g.Since = since; v.Since.Before(since) {
			g.Since = v.Since
		}
		g.Controllers = append(g.Controllers, t.name)
		g.Missing += k.Missing
	}
	for _, g := range groups {
		o.Groups = append(o.Groups, *g)
	}
	slices.SortFunc(o.Groups, func(a, b Group) int {
		return cmp.Or(len(b.Controllers)-len(a.Controllers), a.Since.Compare(b.Since), cmp.Compare(a.Scope.Name, b.Scope.Name), cmp.Compare(a.Cause, b.Cause))
	})
	return o
}

// Counts returns how many controllers each verdict stands on.
func (w *Watch) Counts() map[Cause]int {
	counts := map[Cause]int{Healthy: 0, Unclear: 0}
	for _, c := range causes {
		counts[c] = 0
	}
	for _, t := range w.all() {
		t.mu.Lock()
		if c := t.standing.verdict.Cause; c != "" {
			counts[c]++
		}
		t.mu.Unlock()
	}
	return counts
}

// all returns the tracks in the order of their names.
func (w *Watch) all() []*track {
	w.mu.RLock()
	list := make([]*track, 0, len(w.tracks))
	for _, t := range w.tracks {
		list = append(list, t)
	}
	w.mu.RUnlock()
	slices.SortFunc(list, func(a, b *track) int { return cmp.Compare(a.name, b.name) })
	return list
}

// pulse tells whether the controller reports. t.mu is held.
func (t *track) pulse(now int64, w *Watch) Pulse {
	slack := float64(w.step)/2e9 + 1
	quiet := float64(now-max(t.last, t.known.LastSeen, w.begun)-w.stood.Load()) / 1e9
	switch {
	case t.known.Held:
		return Held
	case t.last == 0 && t.known.LastSeen == 0 && quiet <= w.unheard:
		return Unheard
	case !t.pace.Known() && quiet <= max(w.unheard, 4*t.longest()+slack):
		return Reporting
	case !t.pace.Known() || quiet > 4*t.longest()+slack:
		return Silent
	case quiet > 2*t.longest()+slack:
		return Late
	}
	return Reporting
}

// Detail is all that the diagnosis knows of one controller.
type Detail struct {
	Known
	Verdict  Verdict
	Pulse    Pulse
	LastSeen time.Time // zero for never
	Usual    float64   // seconds between two reports, 0 for not known
	Offset   float64   // seconds by which its clock stepped
	Age      float64   // seconds that reports took at least, by its own clock
	Delay    float64   // seconds more than that, on average, now
	HasAge   bool
	LinkType string
	Hops     Hops // of the report that was settled last
	Now      Counts
	Before   Counts
	Signals  []SignalNow
}

// Counts are what came in a window.
type Counts struct {
	Seconds                                        float64
	Reports, Fresh, Again, Skipped, Refused        uint32
	Frames, Damaged, Line, Timeouts, Exceptions    uint32
	Malformed, Restarts, SessionsLost, ReadTooLate uint32
}

// SignalNow is a signal beside what is usual and what is needed.
type SignalNow struct {
	Quantity evidence.Quantity
	Value    float64
	Usual    float64
	HasUsual bool
	Least    float64   // the most, for an attenuation
	Time     time.Time // when it was told
}

// Detail returns what is known of a controller, and false for one that nobody knows.
func (w *Watch) Detail(name string, now time.Time) (Detail, bool) {
	t := w.find(name)
	if t == nil {
		return Detail{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known.Name == "" {
		return Detail{}, false
	}
	sum, before := t.ring.sum(0, nowBuckets), t.ring.sum(nowBuckets, nowBuckets)
	d := Detail{
		Known: t.known, Verdict: t.standing.verdict, Pulse: t.pulse(now.UnixNano(), w), Usual: t.pace.Usual, Offset: t.clock.Offset, Age: t.floor, HasAge: t.floored,
		LinkType: t.link.Type, Hops: t.hops,
		Now: countsOf(&sum, now.UnixNano()), Before: countsOf(&before, max(sum.start, before.start)),
	}
	if last := max(t.last, t.known.LastSeen); last != 0 {
		d.LastSeen = time.Unix(0, last).UTC()
	}
	if sum.aged > 0 {
		d.Delay = max(0, float64(sum.sumAge)/float64(sum.aged)-t.floor)
	}
	for q, quantity := range signal.Quantities {
		if value, at := t.link.Newest(q); at != 0 {
			usual, known := t.link.Usual(q)
			d.Signals = append(d.Signals, SignalNow{quantity, float64(value), usual, known, t.link.Margin[q], time.Unix(0, at).UTC()})
		}
	}
	return d, true
}

func countsOf(b *bucket, until int64) Counts {
	c := Counts{
		Reports: b.reports, Fresh: b.fresh, Again: b.again, Skipped: b.skipped, Refused: b.refused,
		Frames: b.frames, Damaged: b.damaged, Line: b.line, Timeouts: b.timeouts, Exceptions: b.exceptions,
		Malformed: b.malformed, Restarts: b.restarts, SessionsLost: b.lost, ReadTooLate: b.overrun,
	}
	if b.start != 0 {
		c.Seconds = float64(until-b.start) / 1e9
	}
	return c
}
