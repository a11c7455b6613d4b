package fanout

import (
	"slices"
	"sync/atomic"

	"github.com/penstock/penstock/internal/source/mqttbroker/filter"
)

// group are the subscribers who share a subscription: each message is for one of
// them. It is guarded by the hub's mutex, but for whose turn it is.
type group struct {
	members []member
	turn    atomic.Uint64
}

type member struct {
	*Subscriber
	Subscription
}

// share adds a member to the group of a filter, or replaces what it asked for
// before. h.mu is held.
func (h *Hub) share(s *Subscriber, sub Subscription) (added bool) {
	g := h.groups[sub.Filter]
	if g == nil {
		g = &group{}
		h.groups[sub.Filter] = g
		name, pattern := filter.Split(sub.Filter)
		h.shared.Put(pattern, name, g)
	}
	if i := g.find(s); i >= 0 {
		g.members[i].Subscription = sub
		return false
	}
	g.members = append(g.members, member{s, sub})
	return true
}

// unshare takes a member out of the group of a filter. h.mu is held.
func (h *Hub) unshare(s *Subscriber, subscribed string) bool {
	g := h.groups[subscribed]
	if g == nil {
		return false
	}
	i := g.find(s)
	if i < 0 {
		return false
	}
	if g.members = slices.Delete(g.members, i, i+1); len(g.members) == 0 {
		delete(h.groups, subscribed)
		name, pattern := filter.Split(subscribed)
		h.shared.Delete(pattern, name)
	}
	return true
}

func (g *group) find(s *Subscriber) int {
	return slices.IndexFunc(g.members, func(m member) bool { return m.Subscriber == s })
}

// pick returns whose turn a message is: the members in turn, of those who are there
// and may have it. When none is there it waits for one who comes back, unless it is
// of QoS 0. It returns false when nobody is to get it.
func (g *group) pick(m *Message) (interest, bool) {
	first := int(g.turn.Add(1) % uint64(len(g.members)))
	var away *member
	for i := range g.members {
		at := &g.members[(first+i)%len(g.members)]
		client, here := at.reader()
		switch {
		case !client.mayRead(m):
		case here:
			return at.interest(), true
		case away == nil && min(m.QoS, at.QoS) > 0:
			away = at
		}
	}
	if away == nil {
		return interest{}, false
	}
	return away.interest(), true
}

func (m *member) interest() interest {
	in := interest{subscriber: m.Subscriber, qos: m.QoS, asIs: m.RetainAsPublished}
	if m.ID > 0 {
		in.ids = []uint32{m.ID}
	}
	return in
}
