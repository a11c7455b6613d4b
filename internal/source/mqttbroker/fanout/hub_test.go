package fanout_test

import (
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/mqttbroker/fanout"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

var everybody = &fanout.Client{ID: "a", Principal: &penstock.Principal{Scope: penstock.Scope{"*"}}}

// hub returns a hub with room for ten messages of 100 bytes, and what it lost.
func hub() (h *fanout.Hub, lost *int) {
	lost = new(int)
	return fanout.New(fanout.Options{
		Limits: fanout.Limits{Queue: 8, QueueBytes: 10 * 357}, Now: time.Now, Lost: func(*fanout.Client, bool) { *lost++ },
	}), lost
}

func publish(h *fanout.Hub, qos byte) {
	m := wire.Message{Topic: "a", QoS: qos, Payload: make([]byte, 100)}
	h.Publish(fanout.NewMessage(&m, "", everybody, time.Now()))
}

func join(h *fanout.Hub, qos byte) *fanout.Subscriber {
	s := h.Join(func() {})
	s.Connect(everybody, fanout.Link{Version: wire.V311})
	h.Subscribe(s, fanout.Subscription{Subscription: wire.Subscription{Filter: "a", QoS: qos}})
	return s
}

// What was sent, acknowledged, dropped or forgotten weighs nothing any more.
func TestTheBudgetIsGivenBack(t *testing.T) {
	for name, use := range map[string]func(h *fanout.Hub){
		"sent with QoS 0": func(h *fanout.Hub) {
			s := join(h, 0)
			for range 20 {
				publish(h, 0)
				s.Fill(nil)
			}
			h.Leave(s)
		},
		"acknowledged": func(h *fanout.Hub) {
			s := join(h, 1)
			for id := range uint16(20) {
				publish(h, 1)
				s.Fill(nil)
				s.Settled(id + 1)
			}
			h.Leave(s)
		},
		"refused by the subscriber": func(h *fanout.Hub) {
			s := join(h, 2)
			for id := range uint16(20) {
				publish(h, 2)
				s.Fill(nil)
				s.Received(wire.Ack{Type: wire.PUBREC, ID: id + 1, Code: wire.QuotaExceeded})
			}
			h.Leave(s)
		},
		"waiting when the session ended": func(h *fanout.Hub) {
			s := join(h, 1)
			publish(h, 1)
			publish(h, 1)
			h.Leave(s)
		},
		"unacknowledged when the session ended": func(h *fanout.Hub) {
			s := join(h, 1)
			publish(h, 1)
			publish(h, 1)
			s.Fill(nil)
			h.Leave(s)
		},
	} {
		h, lost := hub()
		for range 7 {
			use(h)
		}
		if *lost > 0 {
			t.Errorf("%s: %d messages found no room", name, *lost)
		}
	}
}

func TestDroppedMessagesWeighNothing(t *testing.T) {
	h, lost := hub()
	s := join(h, 1)
	for range 100 {
		publish(h, 1)
	}
	if *lost != 92 {
		t.Errorf("%d were lost, not all but the newest eight", *lost)
	}
	h.Leave(s)
	*lost = 0
	s = join(h, 1)
	for range 8 {
		publish(h, 1)
	}
	if *lost != 0 {
		t.Errorf("%d were lost of as many as may wait", *lost)
	}
}

// What expired is not sent, and what has time left says how much.
func TestExpiry(t *testing.T) {
	now := time.Now()
	h := fanout.New(fanout.Options{
		Limits: fanout.Limits{Queue: 10, QueueBytes: 1 << 20}, Now: func() time.Time { return now }, Lost: func(*fanout.Client, bool) {},
	})
	s := h.Join(func() {})
	s.Connect(everybody, fanout.Link{Version: wire.V5})
	h.Subscribe(s, fanout.Subscription{Subscription: wire.Subscription{Filter: "#", QoS: 0}})
	for _, seconds := range []uint32{5, 60} {
		m := wire.Message{Topic: "a", Payload: []byte("x"), Properties: wire.Properties{{ID: wire.MessageExpiry, Number: seconds}}}
		h.Publish(fanout.NewMessage(&m, "", everybody, now))
	}
	now = now.Add(20 * time.Second)
	want := wire.AppendPublish(nil, wire.V5, &wire.Publish{Message: wire.Message{
		Topic: "a", Payload: []byte("x"), Properties: wire.Properties{{ID: wire.MessageExpiry, Number: 40}},
	}})
	if got := s.Fill(nil); string(got) != string(want) {
		t.Errorf("% x was sent, not % x", got, want)
	}
}
