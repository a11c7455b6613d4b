package fanout

import (
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/mqttbroker/filter"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// Limits are the bounds of a hub.
type Limits struct {
	Queue         int   // messages that wait for one subscriber
	QueueBytes    int64 // of the messages that wait for all
	Retained      int   // messages
	RetainedBytes int64
}

// Options are what a hub works with.
type Options struct {
	Limits Limits
	Now    func() time.Time
	// Lost is told of each message that a subscriber does not get, and whether it is
	// the first of that subscriber. It must not block.
	Lost func(c *Client, first bool)
}

// Hub gives messages to subscribers. It is safe for concurrent use.
type Hub struct {
	limits   Limits
	now      func() time.Time
	lost     func(c *Client, first bool)
	queued   budget
	retained retained

	mu     sync.RWMutex // guards everything below, and the filters of every subscriber
	tree   filter.Tree[*Subscriber, Subscription]
	shared filter.Tree[string, *group] // by the name of the group
	groups map[string]*group           // by the filter with the name in it
}

// New returns a hub without subscribers.
func New(o Options) *Hub {
	return &Hub{
		limits: o.Limits, now: o.Now, lost: o.Lost,
		queued: budget{limit: o.Limits.QueueBytes}, retained: newRetained(o.Limits), groups: map[string]*group{},
	}
}

// Subscriber is a client's session as the hub sees it, connected or not.
type Subscriber struct {
	outbox
	filters map[string]bool
}

// Subscription is what a subscriber asked for with one filter.
type Subscription struct {
	wire.Subscription
	ID uint32 // 0 for none
}

// Join returns a new subscriber. Signal is called when there may be something to
// send to it; it must not block.
func (h *Hub) Join(signal func()) *Subscriber {
	return &Subscriber{outbox: outbox{hub: h, signal: signal}, filters: map[string]bool{}}
}

// Leave forgets a subscriber and all that waits for it.
func (h *Hub) Leave(s *Subscriber) {
	h.mu.Lock()
	for pattern := range s.filters {
		h.remove(s, pattern)
	}
	clear(s.filters)
	h.mu.Unlock()
	s.clear()
}

// Subscribe adds a subscription or replaces the one with the same filter, and
// tells whether it is new.
func (h *Hub) Subscribe(s *Subscriber, sub Subscription) (added bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.filters[sub.Filter] = true
	if name, _ := filter.Split(sub.Filter); name != "" {
		return h.share(s, sub)
	}
	return h.tree.Put(sub.Filter, s, sub)
}

// Unsubscribe takes out a subscription, and tells whether there was one.
func (h *Hub) Unsubscribe(s *Subscriber, pattern string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(s.filters, pattern)
	return h.remove(s, pattern)
}

// remove takes a subscription out. h.mu is held.
func (h *Hub) remove(s *Subscriber, pattern string) bool {
	if name, _ := filter.Split(pattern); name != "" {
		return h.unshare(s, pattern)
	}
	return h.tree.Delete(pattern, s)
}

// Filters returns how many filters a subscriber has, and whether this is one of
// them.
func (h *Hub) Filters(s *Subscriber, pattern string) (n int, has bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(s.filters), s.filters[pattern]
}

// Publish gives a message to all who want it and may have it, and keeps it when
// it is to be retained. It returns false when there was no room for that.
func (h *Hub) Publish(m *Message) (kept bool) {
	kept = !m.Retain || h.retained.put(m)
	for _, in := range h.match(m) {
		if in.subscriber.Client().mayRead(m) {
			in.subscriber.put(delivery{m, min(m.QoS, in.qos), m.Retain && in.asIs, in.ids})
		}
	}
	return kept
}

// SendRetained sends the retained messages that a new subscription matches. One
// whose publisher would not be let in any more is forgotten instead.
func (h *Hub) SendRetained(s *Subscriber, sub Subscription, valid func(penstock.Credential) bool) {
	if name, _ := filter.Split(sub.Filter); name != "" {
		return // each member would get them
	}
	var ids []uint32
	if sub.ID > 0 {
		ids = []uint32{sub.ID}
	}
	to := s.Client()
	for _, m := range h.retained.match(sub.Filter, h.now()) {
		switch {
		case sub.NoLocal && m.from.same(to) || !to.mayRead(m):
		case !valid(m.from.Credential):
			h.retained.remove(m)
		default:
			s.put(delivery{m, min(m.QoS, sub.QoS), true, ids})
		}
	}
}

// interest is what one subscriber wants of a message, over all its filters.
type interest struct {
	subscriber *Subscriber
	qos        byte
	asIs       bool // the retain flag as published
	ids        []uint32
}

// match returns who wants a message: each subscriber once, and of each group that
// shares a subscription one besides.
func (h *Hub) match(m *Message) []interest {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var list []interest
	h.shared.Match(m.Topic, func(_ string, g *group) {
		if in, ok := g.pick(m); ok {
			list = append(list, in)
		}
	})
	if h.tree.Len() == 0 {
		return list
	}
	at := map[*Subscriber]int{}
	h.tree.Match(m.Topic, func(s *Subscriber, sub Subscription) {
		if sub.NoLocal && m.from.same(s.Client()) {
			return
		}
		i, known := at[s]
		if !known {
			i = len(list)
			at[s] = i
			list = append(list, interest{subscriber: s})
		}
		in := &list[i]
		in.qos = max(in.qos, sub.QoS)
		in.asIs = in.asIs || sub.RetainAsPublished
		if sub.ID > 0 {
			in.ids = append(in.ids, sub.ID)
		}
	})
	return list
}
