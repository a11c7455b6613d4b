package fanout_test

import (
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/mqttbroker/fanout"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// joinGroup returns a member of a group that shares everything.
func joinGroup(h *fanout.Hub, c *fanout.Client, qos byte) *fanout.Subscriber {
	s := h.Join(func() {})
	s.Connect(c, fanout.Link{Version: wire.V311})
	h.Subscribe(s, fanout.Subscription{Subscription: wire.Subscription{Filter: "$share/g/#", QoS: qos}})
	return s
}

func publishOf(h *fanout.Hub, controller string, qos byte) {
	m := wire.Message{Topic: "a", QoS: qos, Payload: make([]byte, 100)}
	h.Publish(fanout.NewMessage(&m, controller, everybody, time.Now()))
}

func got(s *fanout.Subscriber) int { return len(s.Fill(nil)) }

// Who is there gets the message; when nobody is, one who comes back does, unless the
// message is of QoS 0.
func TestAGroupPrefersWhoIsThere(t *testing.T) {
	h, _ := hub()
	one, two := joinGroup(h, everybody, 1), joinGroup(h, everybody, 1)
	one.Away()
	for range 4 {
		publishOf(h, "", 1)
	}
	all := got(two)
	one.Connect(everybody, fanout.Link{Version: wire.V311})
	if got(one) > 0 || all == 0 {
		t.Error("a message waits for one who is away, while another is there")
	}
	for i := range uint16(4) {
		two.Settled(i + 1)
	}
	one.Away()
	two.Away()
	publishOf(h, "", 0)
	publishOf(h, "", 1)
	one.Connect(everybody, fanout.Link{Version: wire.V311})
	two.Connect(everybody, fanout.Link{Version: wire.V311})
	if n := got(one) + got(two); n*4 != all {
		t.Errorf("%d bytes waited for one of them, not those of one message, %d", n, all/4)
	}
}

// A member gets what it may have, and the others the rest.
func TestAGroupKeepsRights(t *testing.T) {
	h, _ := hub()
	narrow := joinGroup(h, &fanout.Client{ID: "n", Principal: &penstock.Principal{Scope: penstock.Scope{"pump-17"}}}, 0)
	wide := joinGroup(h, everybody, 0)
	for range 3 {
		publishOf(h, "tank-3", 0)
	}
	three := got(wide)
	publishOf(h, "tank-3", 0)
	if one := got(wide); got(narrow) > 0 || three != 3*one {
		t.Errorf("of messages that only one member may have it got %d bytes for three, and %d for one", three, one)
	}
	h.Leave(wide)
	publishOf(h, "tank-3", 0)
	publishOf(h, "pump-17", 0)
	if one := got(narrow); one == 0 {
		t.Error("the member that is left gets nothing")
	}
	h.Leave(narrow)
	publishOf(h, "pump-17", 0)
	if h.Unsubscribe(narrow, "$share/g/#") || got(narrow) > 0 {
		t.Error("who left is still in the group")
	}
	again := joinGroup(h, everybody, 0)
	if h.Subscribe(again, fanout.Subscription{Subscription: wire.Subscription{Filter: "$share/g/#", QoS: 1}}) {
		t.Error("a subscription that is replaced counts as new")
	}
	if n, has := h.Filters(again, "$share/g/#"); n != 1 || !has {
		t.Errorf("%d filters", n)
	}
}
