package sparkplug

import (
	"fmt"
	"slices"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
)

// maxHeldBytes bounds the messages that came before their turn.
const maxHeldBytes = 16 << 20

// Message is what a broker delivered.
type Message struct {
	Token   uint64 // the caller's; it comes back in [Decided]
	Topic   string
	Payload []byte // belongs to the host from now on
}

// Decided is a message whose reports are known. It may come with a later call
// than the message, and may have no report.
type Decided struct {
	Token   uint64
	Reports []penstock.Report
	Err     error // why the message cannot be used, nil for one that can
}

// Command is a message to publish at QoS 0, not retained.
type Command struct {
	Topic   string
	Payload []byte
}

// Event is something to count or to log.
type Event struct {
	Event evidence.Event
	Count uint64 // 0 for something to log only
	Node  string // the edge node's or device's name as a controller; empty when none is known
	Why   string
	Frame []byte // what was bad, nil when nothing is to be kept
}

// Result is what a call decided.
type Result struct {
	Decided  []Decided
	Commands []Command
	Events   []Event
}

// Host follows edge nodes. It is not safe for concurrent use.
type Host struct {
	settings
	now     time.Time
	out     Result
	nodes   map[string]*node // by group/node
	waiting []*node          // those that hold messages, in order
	asker   asker            // of those to be asked for their births
	entries int              // metrics of all edge nodes
	held    int              // bytes of all messages that are held
}

// NewHost returns a host that knows no edge node yet.
func NewHost(c Config) (*Host, error) {
	s, err := newSettings(c)
	if err != nil {
		return nil, err
	}
	return &Host{settings: s, nodes: map[string]*node{}}, nil
}

// Step takes a message.
func (h *Host) Step(now time.Time, m Message) Result {
	h.now = now
	h.take(m)
	return h.result()
}

// Tick does what has become due. It is to be called when [Host.Wake] says.
func (h *Host) Tick(now time.Time) Result {
	h.now = now
	for _, n := range slices.Clone(h.waiting) {
		if !now.Before(n.deadline) {
			h.closeGap(n)
		}
	}
	return h.result()
}

// Reconnected says that messages may be missing: the connection was lost and made
// again. What was held is decided, and the next message of each edge node shows
// what it has lost.
func (h *Host) Reconnected(now time.Time) Result {
	h.now = now
	for _, n := range slices.Clone(h.waiting) {
		h.closeGap(n)
	}
	for _, n := range h.nodes {
		n.jumped = n.alive
	}
	return h.result()
}

// Wake returns when [Host.Tick] is to be called, and false when nothing is due.
func (h *Host) Wake() (due time.Time, ok bool) {
	earlier := func(t time.Time) {
		if !ok || t.Before(due) {
			due, ok = t, true
		}
	}
	for _, n := range h.waiting {
		earlier(n.deadline)
	}
	if t, asks := h.asker.wake(); asks {
		earlier(t)
	}
	return due, ok
}

func (h *Host) result() Result {
	for _, n := range h.asker.due(h.now) {
		h.out.Commands = append(h.out.Commands, Command{
			Topic:   Namespace + "/" + n.group + "/" + nodeCommand + "/" + n.name,
			Payload: rebirth(uint64(h.now.UnixMilli())),
		})
	}
	out := h.out
	h.out = Result{}
	return out
}

func (h *Host) decide(token uint64, reports []penstock.Report) {
	h.out.Decided = append(h.out.Decided, Decided{Token: token, Reports: reports})
}

func (h *Host) event(e evidence.Event, count int, node, format string, args ...any) {
	h.out.Events = append(h.out.Events, Event{Event: e, Count: uint64(count), Node: node, Why: fmt.Sprintf(format, args...)})
}

// bad notes a message that cannot be used.
func (h *Host) bad(m Message, node string, err error) {
	h.out.Decided = append(h.out.Decided, Decided{Token: m.Token, Err: err})
	h.out.Events = append(h.out.Events, Event{Event: evidence.Malformed, Count: 1, Node: node, Why: err.Error(), Frame: m.Payload})
}

func (h *Host) take(m Message) {
	a, ours, err := parseAddress(m.Topic)
	if err != nil || !ours {
		if err != nil {
			h.bad(m, "", err)
		} else {
			h.decide(m.Token, nil)
		}
		return
	}
	controller, err := h.controller(a)
	if err != nil {
		h.bad(m, "", err)
		return
	}
	p, err := decode(m.Payload)
	if err != nil {
		h.bad(m, controller, err)
		return
	}
	d := &delivery{token: m.Token, address: a, controller: controller, payload: p, size: len(m.Payload) + len(p.metrics)*metricSize}
	n := h.nodes[a.group+"/"+a.node]
	if a.kind == nodeDeath {
		h.nodeDeath(n, d)
		return
	}
	if n == nil {
		if n = h.newNode(a); n == nil {
			h.decide(m.Token, nil)
			h.event(evidence.Refused, 1, controller, "%d edge nodes are followed already: raise max_nodes", h.settings.nodes)
			return
		}
	}
	if a.kind == nodeBirth {
		h.nodeBirth(n, d)
		return
	}
	h.sequenced(n, d)
}

// newNode makes room for an edge node, at the cost of one that is dead, and
// returns nil when there is none.
func (h *Host) newNode(a address) *node {
	if len(h.nodes) >= h.settings.nodes {
		h.evict()
	}
	if len(h.nodes) >= h.settings.nodes {
		return nil
	}
	n := &node{group: a.group, name: a.node, bdSeq: unknown, devices: map[string]*table{}, held: map[uint8]*delivery{}}
	n.own.controller, _ = h.controller(address{group: a.group, node: a.node})
	h.nodes[n.id()] = n
	return n
}

// evict forgets an edge node that is dead: the first by its name.
func (h *Host) evict() {
	victim := ""
	for id, n := range h.nodes {
		if !n.alive && (victim == "" || id < victim) {
			victim = id
		}
	}
	if n := h.nodes[victim]; n != nil {
		h.forget(n)
		delete(h.nodes, victim)
	}
}

// want asks the edge node for its births, when that is allowed by its name.
func (h *Host) want(n *node, why string) {
	if n.wants {
		return
	}
	if !h.rebirth.Covers(n.id()) {
		if !n.told {
			n.told = true
			h.event(evidence.Gap, 0, n.own.controller, "%s of %s; its births would help, and rebirth does not allow to ask for them", why, n.id())
		}
		return
	}
	h.asker.add(n)
}
