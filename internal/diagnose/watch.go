package diagnose

import (
	"maps"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/diagnose/signal"
	"github.com/penstock/penstock/internal/evidence"
)

// maxTracks bounds the controllers that are followed, as the fleet's own limit does.
const maxTracks = evidence.MaxControllers

// Watch follows a fleet and says what is wrong with it. It is safe for concurrent
// use; Step is called by one at a time.
type Watch struct {
	config  Config
	step    int64   // nanoseconds
	unheard float64 // seconds
	begun   int64   // when it began to look

	mu     sync.RWMutex // guards tracks
	tracks map[string]*track

	stood    atomic.Int64 // nanoseconds that the gateway stood still, in the window
	settling settling
	ports    map[string]*port // by name; of Step alone
	node     nodeState        // of Step alone
	groups   map[Scope]tally  // of Step alone
}

// settling gathers how long the record takes, between two steps.
type settling struct {
	mu  sync.Mutex // guards the rest
	sum float64
	n   int
}

// port is the history of a line.
type port struct {
	ring    ring
	counter counter
	used    bool
}

// tally is how many of a group there are, how many are in trouble, and how many have a
// weak signal.
type tally struct{ members, ill, weak int }

// nodeState is what is known of the gateway behind its sources.
type nodeState struct {
	Node
	waiting uint64  // positions that are not settled
	waits   float64 // seconds since the record moved, while something waits
	slow    float64 // seconds from accepted to stored, on average
	stood   float64 // seconds that the gateway stood still, in the window
	moved   int64   // when the record moved, or nothing waited
	stands  [nowBuckets]float64
	slows   [nowBuckets]float64
	at      int
}

// New returns a watch that begins now. The configuration was validated.
func New(c Config, now time.Time) *Watch {
	return &Watch{
		config: c, step: int64(c.Step()), unheard: c.Unheard.Std().Seconds(), begun: now.UnixNano(),
		tracks: map[string]*track{}, ports: map[string]*port{}, groups: map[Scope]tally{},
	}
}

func (w *Watch) find(name string) *track {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.tracks[name]
}

func (w *Watch) ensure(name string) *track {
	if t := w.find(name); t != nil {
		return t
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.tracks[name]
	if t == nil && len(w.tracks) < maxTracks {
		t = &track{name: strings.Clone(name)}
		t.link.Limits = signal.LimitsOf(w.config.Links, t.name)
		w.tracks[t.name] = t
	}
	return t
}

// Arrived takes in a report that came to the intake. A refused one makes no
// controller known. Nothing of the arrival is kept but its times and numbers.
func (w *Watch) Arrived(a Arrival) {
	t := w.find(a.Controller)
	if t == nil && a.Reason == "" {
		t = w.ensure(a.Controller)
	}
	if t == nil {
		return
	}
	a.Identity.Key = ""
	t.arrive(&a)
}

// Settled takes in when a report passed the stages.
func (w *Watch) Settled(controller string, h Hops) {
	w.settling.mu.Lock()
	w.settling.sum += float64(seconds(h.Stored - h.Accepted))
	w.settling.n++
	w.settling.mu.Unlock()
	if t := w.find(controller); t != nil {
		h.Identity.Key = strings.Clone(h.Identity.Key)
		t.settle(h)
	}
}

// Change is a verdict that became another.
type Change struct {
	Controller string
	From, To   Verdict
}

// Step judges all controllers, and returns the verdicts that changed. It is to be
// called every [Config.Step].
func (w *Watch) Step(f Facts) []Change {
	w.advance(&f)
	now := f.Now.UnixNano()
	tracks := make([]*track, 0, len(f.Controllers))
	for i := range f.Controllers {
		k := &f.Controllers[i]
		t := w.ensure(k.Name)
		if t == nil {
			continue
		}
		w.samplePort(k.Port, &f)
		t.mu.Lock()
		t.sample(*k, &f, w.step)
		t.mu.Unlock()
		tracks = append(tracks, t)
	}
	w.group(tracks, now)
	var changes []Change
	for _, t := range tracks {
		t.mu.Lock()
		before := t.standing.verdict
		features := w.look(t, &f)
		t.gone, t.decayed = features.silent, features.trail
		t.standing.learn(&features)
		if t.standing.judge(decide(&features), f.Now) {
			changes = append(changes, Change{t.name, before, t.standing.verdict})
		}
		t.mu.Unlock()
	}
	for _, p := range w.ports {
		p.used = false
	}
	w.forget(&f)
	return changes
}

// forget drops controllers that nobody knows any more, and lines that nobody is on.
func (w *Watch) forget(f *Facts) {
	if len(w.tracks) <= len(f.Controllers)+len(f.Controllers)/4+1000 {
		return
	}
	known := make(map[string]bool, len(f.Controllers))
	for i := range f.Controllers {
		known[f.Controllers[i].Name] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.tracks, func(name string, _ *track) bool { return !known[name] })
}

// advance takes in the state of the node.
func (w *Watch) advance(f *Facts) {
	n, now := &w.node, f.Now.UnixNano()
	n.at = (n.at + 1) % nowBuckets
	n.stands[n.at] = f.Stood.Seconds()
	w.settling.mu.Lock()
	n.slows[n.at] = w.settling.sum / math.Max(1, float64(w.settling.n))
	w.settling.sum, w.settling.n = 0, 0
	w.settling.mu.Unlock()
	n.stood, n.slow = 0, 0
	for i := range nowBuckets {
		n.stood = math.Max(n.stood, n.stands[i])
		n.slow = math.Max(n.slow, n.slows[i])
	}
	if f.Node.Settled != n.Settled || f.Node.Durable <= f.Node.Settled || n.moved == 0 {
		n.moved = now
	}
	w.stood.Store(int64(n.stood * 1e9))
	n.Node = f.Node
	n.waiting = n.Durable - min(n.Durable, n.Settled)
	n.waits = math.Max(0, float64(now-n.moved)/1e9-n.stood)
}

// samplePort takes in what was counted on a line, once a step.
func (w *Watch) samplePort(name string, f *Facts) {
	page, ok := f.Book.FindPort(name)
	if name == "" || !ok {
		return
	}
	p := w.ports[name]
	if p == nil {
		p = &port{}
		w.ports[name] = p
	}
	if p.used {
		return
	}
	p.used = true
	now := f.Now.UnixNano()
	p.counter.take(page, p.ring.open(now))
	p.ring.turn(now, w.step)
}

// group counts who is in trouble, by everything that controllers share.
func (w *Watch) group(tracks []*track, now int64) {
	clear(w.groups)
	for _, t := range tracks {
		t.mu.Lock()
		f := t.features(now, w)
		f.port = w.portOf(&t.known)
		ill, weak := f.hampered() || f.damaged, f.faded()
		t.mu.Unlock()
		if f.never || f.known.Held {
			continue
		}
		for _, s := range [...]Scope{{OfLine, f.known.Line}, {OfSite, f.known.Site}, {OfSource, f.known.Source}} {
			if s.Name == "" {
				continue
			}
			n := w.groups[s]
			n.members++
			if ill {
				n.ill++
			}
			if weak {
				n.weak++
			}
			w.groups[s] = n
		}
	}
}

func (w *Watch) portOf(k *Known) bucket {
	if p := w.ports[k.Port]; p != nil {
		return p.ring.sum(0, nowBuckets)
	}
	return bucket{}
}

// look returns what is known of a controller and of those that share something with
// it. t.mu is held.
func (w *Watch) look(t *track, facts *Facts) features {
	f := t.features(facts.Now.UnixNano(), w)
	f.port = w.portOf(&t.known)
	f.failing = facts.Failing[t.known.Source]
	self := tally{members: 1}
	if f.hampered() || f.damaged {
		self.ill = 1
	}
	if f.faded() {
		self.weak = 1
	}
	others := func(s Scope) share {
		n, ok := w.groups[s]
		if !ok || f.never || f.known.Held {
			return share{name: s.Name}
		}
		return share{s.Name, n.members - self.members, n.ill - self.ill, n.weak - self.weak}
	}
	f.site, f.line, f.source = others(Scope{OfSite, t.known.Site}), others(Scope{OfLine, t.known.Line}), others(Scope{OfSource, t.known.Source})
	return f
}
