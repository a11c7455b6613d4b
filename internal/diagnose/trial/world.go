// Package trial tries the diagnosis on a simulated plant in virtual time: links
// that fade and lose, controllers that resend, a gateway and a store that stand
// still. Faults are injected with a label, so that the verdicts can be held against
// what was really wrong. The evidence, the history and the rules are the real ones;
// the plant is a model that knows nothing of them.
package trial

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/diagnose"
	"github.com/penstock/penstock/internal/evidence"
)

// The plant: sites of each kind of link, and the controllers of a site.
const (
	radioSites  = 4
	serialSites = 2
	otherSites  = 6
	ofSite      = 10
	ofLine      = 5
	// Fleet is how many controllers the plant has.
	Fleet = (radioSites + serialSites + otherSites) * ofSite
)

// unit is a controller with its link.
type unit struct {
	name, site, line string
	page, port       *evidence.Page // nil where the link has no evidence
	every            time.Duration
	seq              uint64
	epoch            uint64
	seen             map[uint64]bool
	last             time.Time // received
	snr, rssi        float64   // of a radio, on a good day
	tells            bool      // its signal
	radio, polled    bool
	loss             float64
	delay, jitter    time.Duration
	skew             time.Duration // of its clock
}

// world is a plant in virtual time.
type world struct {
	now    time.Time
	random *rand.Rand
	events queue
	count  int
	units  []*unit
	book   *evidence.Book
	watch  *diagnose.Watch
	fault  *fault
	stall  time.Time // until when the gateway stands still
	step   time.Duration
	node   diagnose.Node
	judged func()
}

type event struct {
	at time.Time
	n  int
	do func()
}

type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].n < q[j].n
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(e any)   { *q = append(*q, e.(event)) }
func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

func (w *world) in(d time.Duration, do func()) {
	w.count++
	heap.Push(&w.events, event{w.now.Add(d), w.count, do})
}

// run lets time pass.
func (w *world) run(until time.Time) {
	for len(w.events) > 0 && !w.events[0].at.After(until) {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = until
}

func newWorld(seed uint64) *world {
	w := &world{now: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), random: rand.New(rand.NewPCG(seed, 77))}
	w.book = evidence.NewBook(func() time.Time { return w.now })
	config := diagnose.Default()
	w.step = config.Step()
	w.watch = diagnose.New(config, w.now)
	for s := range radioSites + serialSites + otherSites {
		for c := range ofSite {
			w.units = append(w.units, w.newUnit(s, c))
		}
	}
	for _, u := range w.units {
		w.in(w.upTo(u.every), func() { w.report(u) })
	}
	due := w.now.Add(w.step)
	w.in(w.step, func() { w.judge(due) })
	return w
}

func (w *world) newUnit(site, c int) *unit {
	u := &unit{
		name: fmt.Sprintf("c-%02d-%02d", site, c), site: fmt.Sprint("site-", site), epoch: 1, seen: map[uint64]bool{},
		every: []time.Duration{5, 10, 10, 30}[w.random.IntN(4)] * time.Second,
	}
	switch {
	case site < radioSites:
		u.radio, u.page, u.snr, u.rssi = true, w.book.Controller(u.name), 15+10*w.random.Float64(), -92+25*w.random.Float64()
		u.tells, u.delay, u.jitter = w.random.Float64() < 0.6, 300*time.Millisecond, 200*time.Millisecond
		w.in(w.upTo(beat), func() { w.heartbeat(u) })
	case site < radioSites+serialSites:
		u.line = fmt.Sprintf("line-%d-%d", site, c/ofLine)
		u.polled, u.page, u.port, u.delay, u.jitter = true, w.book.Controller(u.name), w.book.Port(u.line), 400*time.Millisecond, 600*time.Millisecond
		w.in(w.upTo(turn), func() { w.poll(u) })
	default:
		u.loss, u.delay, u.jitter = 0.002+0.03*w.random.Float64()*w.random.Float64(), 80*time.Millisecond, 150*time.Millisecond
	}
	return u
}

const (
	beat = 15 * time.Second
	turn = 2 * time.Second
)

func (w *world) upTo(d time.Duration) time.Duration {
	return time.Duration(w.random.Float64() * float64(d))
}

// report makes a report, and the next one later.
func (w *world) report(u *unit) {
	jitter := w.upTo(u.every / 8)
	w.in(u.every, func() { w.report(u) })
	w.in(jitter, func() {
		u.seq++
		w.try(u, u.epoch, u.seq, w.now.Add(u.skew), 0)
	})
}

// try sends a report until it was answered.
func (w *world) try(u *unit, epoch, seq uint64, source time.Time, n int) {
	again := func() {
		w.in(min(2*time.Second<<min(n, 3), 16*time.Second)+w.upTo(time.Second), func() { w.try(u, epoch, seq, source, n+1) })
	}
	if w.hangs(u) {
		w.in(time.Second, func() { w.try(u, epoch, seq, source, n) })
		return
	}
	fate, delay := w.way(u)
	switch fate {
	case lost:
		again()
	case damaged:
		w.in(delay, func() { w.damage(u) })
		again()
	case passed:
		w.in(delay, func() { w.receive(u, epoch, seq, source) })
		if back, _ := w.way(u); back != passed {
			again()
		}
	}
}

type fate int

const (
	passed fate = iota
	lost
	damaged
)

// way says what happens to a frame, and how long it takes.
func (w *world) way(u *unit) (fate, time.Duration) {
	loss, damage := u.loss, 0.0
	delay := u.delay + time.Duration(w.random.ExpFloat64()*float64(u.jitter)/2)
	if u.radio {
		fer := 1 / (1 + math.Exp(w.snr(u)-6))
		loss, damage = 0.005+fer*0.6, fer*0.4
	}
	if u.polled {
		damage = 1e-4
	}
	moreLoss, moreDamage, moreDelay := w.fault.onWay(w, u)
	delay += moreDelay
	switch p := w.random.Float64(); {
	case p < loss+moreLoss:
		return lost, 0
	case p < loss+moreLoss+damage+moreDamage:
		return damaged, delay
	}
	return passed, delay
}

func (w *world) snr(u *unit) float64 { return u.snr - w.fault.fade(w, u) + w.random.NormFloat64()*1.5 }

func (w *world) stalled(do func()) bool {
	if w.now.Before(w.stall) {
		w.in(w.stall.Sub(w.now), do)
		return true
	}
	return false
}

func (w *world) damage(u *unit) {
	if w.stalled(func() { w.damage(u) }) || u.page == nil {
		return
	}
	u.page.Count(evidence.Checksum)
	if u.port != nil {
		u.port.Count(evidence.Checksum)
	}
}

// receive is the gateway's end.
func (w *world) receive(u *unit, epoch, seq uint64, source time.Time) {
	if w.stalled(func() { w.receive(u, epoch, seq, source) }) {
		return
	}
	if u.page != nil {
		u.page.Count(evidence.Received)
	}
	u.last = w.now
	admitted := w.now.Add(w.upTo(8 * time.Millisecond))
	id := penstock.SequenceIdentity(epoch, seq)
	w.watch.Arrived(diagnose.Arrival{Controller: u.name, Identity: id, SourceTime: source.UnixNano(), Received: w.now.UnixNano(), Admitted: admitted.UnixNano()})
	if u.seen[seq] {
		return
	}
	u.seen[seq] = true
	w.node.Durable++
	w.in(20*time.Millisecond+w.upTo(40*time.Millisecond)+w.fault.storing(w), func() {
		w.settle(u, diagnose.Hops{Identity: id, Source: source.UnixNano(), Received: u.last.UnixNano(), Accepted: admitted.UnixNano()})
	})
}

func (w *world) settle(u *unit, h diagnose.Hops) {
	if w.stalled(func() { w.settle(u, h) }) {
		return
	}
	if wait := w.fault.stopped(w); wait > 0 {
		w.in(wait, func() { w.settle(u, h) })
		return
	}
	w.node.Settled++
	h.Stored = w.now.UnixNano()
	w.watch.Settled(u.name, h)
}

// heartbeat tells the signal of a radio, and that the link is there.
func (w *world) heartbeat(u *unit) {
	w.in(beat, func() { w.heartbeat(u) })
	if w.fault.dead(w, u) {
		return
	}
	snr := w.snr(u)
	f, delay := w.way(u)
	if f == lost {
		return
	}
	w.in(delay, func() {
		if f == damaged {
			w.damage(u)
			return
		}
		u.page.Count(evidence.Received)
		if u.tells {
			u.page.Signal(evidence.RSSI, u.rssi-(u.snr-snr))
			u.page.Signal(evidence.SNR, snr)
		}
	})
}

// poll gives a controller on a line its turn.
func (w *world) poll(u *unit) {
	w.in(turn, func() { w.poll(u) })
	if w.now.Before(w.stall) {
		return
	}
	e := evidence.Received
	if f, _ := w.way(u); w.fault.dead(w, u) || f == lost {
		e = evidence.Timeout
	} else if f == damaged {
		e = evidence.Checksum
	}
	u.page.Count(e)
	u.port.Count(e)
}

// judge has the diagnosis judge, as late as the gateway is.
func (w *world) judge(due time.Time) {
	if w.stalled(func() { w.judge(due) }) {
		return
	}
	facts := diagnose.Facts{Now: w.now, Stood: w.now.Sub(due), Node: w.node, Book: w.book}
	for _, u := range w.units {
		k := diagnose.Known{Name: u.name, Site: u.site, Line: u.line, Port: u.line, Source: "link"}
		if u.page == nil {
			k.Source = "https"
		}
		if u.line != "" {
			k.Source = u.line
		}
		if !u.last.IsZero() {
			k.LastSeen = u.last.UnixNano()
		}
		facts.Controllers = append(facts.Controllers, k)
	}
	w.watch.Step(facts)
	if w.judged != nil {
		w.judged()
	}
	next := w.now.Add(w.step)
	w.in(w.step, func() { w.judge(next) })
}

func (w *world) hangs(u *unit) bool { return w.fault.hangs(w, u) }
