package mqttbroker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
	"github.com/penstock/penstock/internal/testkit"
)

func user(name string) wire.Connect {
	return wire.Connect{ClientID: "client of " + name, CleanStart: true, User: "x", Password: name}
}

func filters(qos byte, names ...string) (subs []wire.Subscription) {
	for _, n := range names {
		subs = append(subs, wire.Subscription{Filter: n, QoS: qos})
	}
	return subs
}

// What a client may subscribe to, and what it then gets.
func TestRightsToRead(t *testing.T) {
	st := newStand(t, options{auth: &guard{}})
	own := connect(t, st.address, user("pump-17"))
	codes := own.subscribe(filters(1, "values/pump-17/#", "values/pump-18/#", "values/+/flow", "#", "elsewhere", "reports/pump-18", "a/#/b")...)
	want := []wire.Code{1, wire.NotAuthorized, 1, 1, wire.NotAuthorized, wire.NotAuthorized, wire.InvalidFilter}
	if !slices.Equal(codes, want) {
		t.Errorf("granted %#v", codes)
	}
	all := connect(t, st.address, user("all"))
	if codes := all.subscribe(filters(0, "#")...); codes[0] != 0 {
		t.Errorf("granted %#v", codes)
	}
	for _, topic := range []string{"values/pump-18/flow", "elsewhere", "values/pump-17/flow"} {
		all.publish(topic, 1, "12")
		all.arrive() // what is published is delivered before it is acknowledged
		all.ack(wire.PUBACK)
	}
	if m := own.arrive(); m.Topic != "values/pump-17/flow" {
		t.Errorf("%s came", m.Topic)
	}
	own.quiet()
}

// A rejected report is nobody's.
func TestWhatIsRejectedIsNotDelivered(t *testing.T) {
	st := newStand(t, options{})
	reader := connect(t, st.address, wire.Connect{CleanStart: true})
	reader.subscribe(filters(1, "#")...)
	p := connect(t, st.address, wire.Connect{CleanStart: true})
	st.desk.Refuse("range")
	p.publishMessage(wire.Message{Topic: "reports/pump-17", QoS: 1, Retain: true, Payload: []byte(reportText("pump-17", 1))})
	if a := p.ack(wire.PUBACK); !a.Code.Failed() {
		t.Fatalf("%+v", a)
	}
	reader.quiet()
	late := connect(t, st.address, wire.Connect{CleanStart: true})
	late.subscribe(filters(1, "#")...)
	late.quiet()
}

// Messages wait for a session of QoS 1, and what was not acknowledged comes again.
func TestMessagesWaitForASession(t *testing.T) {
	for _, version := range []byte{wire.V311, wire.V5} {
		st := newStand(t, options{})
		c := wire.Connect{Version: version, ClientID: "reader", Properties: wire.Properties{{ID: wire.SessionExpiry, Number: 60}}}
		reader := connect(t, st.address, c)
		reader.subscribe(wire.Subscription{Filter: "a", QoS: 2})
		p := connect(t, st.address, wire.Connect{CleanStart: true})
		publish := func(qos byte, payload string) {
			p.publish("a", qos, payload)
			switch qos {
			case 1:
				p.ack(wire.PUBACK)
			case 2:
				id := p.ack(wire.PUBREC).ID
				p.send(wire.AppendAck(nil, wire.V5, wire.Ack{Type: wire.PUBREL, ID: id}))
				p.ack(wire.PUBCOMP)
			}
		}
		publish(1, "one")
		first := reader.expect(wire.PUBLISH) // not acknowledged
		reader.close()
		testkit.Eventually(t, func() bool { return st.port.Counted(evidence.Lost) == 1 }, "the reader to be gone")
		publish(0, "lost")
		publish(1, "two")
		publish(2, "three")
		reader = dial(t, st.address)
		if ack := reader.connect(c); !ack.Present {
			t.Fatal("the session is gone")
		}
		var again wire.Publish
		f := reader.expect(wire.PUBLISH)
		if err := wire.DecodePublish(f.Flags, f.Body, version, &again); err != nil || !again.Dup || string(again.Payload) != "one" || !slices.Equal(f.Body, first.Body) {
			t.Errorf("version %d: %+v, %v", version, again, err)
		}
		reader.send(wire.AppendAck(nil, version, wire.Ack{Type: wire.PUBACK, ID: again.ID}))
		if m := reader.arrive(); string(m.Payload) != "two" || m.Dup {
			t.Errorf("%q came", m.Payload)
		}
		m := reader.arrive()
		if string(m.Payload) != "three" || m.QoS != 2 {
			t.Errorf("%q came with QoS %d", m.Payload, m.QoS)
		}
		reader.send(wire.AppendAck(nil, version, wire.Ack{Type: wire.PUBREC, ID: m.ID}))
		reader.ack(wire.PUBREL)
		reader.close()
		reader = dial(t, st.address)
		reader.connect(c)
		if a := reader.ack(wire.PUBREL); a.ID != m.ID { // the message itself is not sent again
			t.Errorf("%+v", a)
		}
		reader.send(wire.AppendAck(nil, version, wire.Ack{Type: wire.PUBCOMP, ID: m.ID}))
		reader.quiet()
	}
}

func TestRetainedMessages(t *testing.T) {
	g := &guard{}
	st := newStand(t, options{auth: g})
	p := connect(t, st.address, user("pump-17"))
	retain := func(topic, payload string) {
		p.publishMessage(wire.Message{Topic: topic, QoS: 1, Retain: true, Payload: []byte(payload)})
		if a := p.ack(wire.PUBACK); a.Code != wire.Success {
			t.Fatalf("%+v", a)
		}
	}
	retain("values/pump-17/flow", "1")
	retain("values/pump-17/flow", "2")
	retain("values/pump-17/level", "3")
	retain("values/pump-17/level", "") // takes it back
	if n := len(st.desk.Accepted()); n != 3 {
		t.Errorf("%d values were stored, not 3", n)
	}
	reader := connect(t, st.address, user("all"))
	reader.subscribe(filters(1, "#")...)
	if m := reader.arrive(); string(m.Payload) != "2" || !m.Retain {
		t.Errorf("%+v", m)
	}
	reader.quiet()
	other := connect(t, st.address, user("pump-18"))
	other.subscribe(filters(1, "#")...)
	other.quiet()
	// What a sender left is worth as much as the sender.
	g.revoke("pump-17")
	late := connect(t, st.address, wire.Connect{ClientID: "late", CleanStart: true, User: "x", Password: "all"})
	late.subscribe(filters(1, "#")...)
	late.quiet()
}

func TestRetainedMessagesHaveLimits(t *testing.T) {
	c := plain()
	c.Retained, c.RetainedBytes = 3, 2000
	st := newStand(t, options{config: c})
	p := connect(t, st.address, wire.Connect{CleanStart: true})
	for _, m := range []struct{ topic, payload string }{
		{"a", "1"}, {"b", strings.Repeat("x", 1500)}, {"c", "3"}, {"d", "4"}, {"e", "5"}, {"a", "6"},
	} {
		p.publishMessage(wire.Message{Topic: m.topic, QoS: 1, Retain: true, Payload: []byte(m.payload)})
		p.ack(wire.PUBACK)
	}
	p.subscribe(filters(0, "#")...)
	got := map[string]string{}
	for range 3 {
		m := p.arrive()
		got[m.Topic] = string(m.Payload)
	}
	p.quiet()
	if fmt.Sprint(got) != "map[a:6 c:3 d:4]" {
		t.Errorf("retained %v", got)
	}
	if n := st.port.Counted(evidence.Refused); n != 2 {
		t.Errorf("%d are counted as refused", n)
	}
}

// A slow subscriber loses the oldest messages, counted, and holds up nobody.
func TestASlowSubscriberLosesTheOldest(t *testing.T) {
	c := plain()
	c.Queue = 10
	st := newStand(t, options{config: c})
	slow := connect(t, st.address, wire.Connect{CleanStart: true, Properties: wire.Properties{{ID: wire.ReceiveMaximum, Number: 1}}})
	slow.subscribe(filters(1, "a")...)
	p := connect(t, st.address, wire.Connect{CleanStart: true})
	for i := range 100 {
		p.publish("a", 1, fmt.Sprint(i))
		p.ack(wire.PUBACK)
	}
	var got []string
	for range 11 {
		got = append(got, string(slow.arrive().Payload))
	}
	slow.quiet()
	if got[0] != "0" || got[1] != "90" || got[10] != "99" {
		t.Errorf("%v came", got)
	}
	if n := st.port.Counted(evidence.Overrun); n != 89 {
		t.Errorf("%d are counted as lost, not 89", n)
	}
}

// All subscribers together hold no more than they may.
func TestQueuesHaveABudget(t *testing.T) {
	c := plain()
	c.QueueBytes = config.Size(20_000)
	st := newStand(t, options{config: c})
	for i := range 10 {
		away := connect(t, st.address, wire.Connect{Version: wire.V311, ClientID: fmt.Sprint("away-", i)})
		away.subscribe(filters(1, "a")...)
		away.close()
	}
	testkit.Eventually(t, func() bool { return st.port.Counted(evidence.Lost) == 10 }, "the readers to be gone")
	p := connect(t, st.address, wire.Connect{CleanStart: true})
	for range 20 {
		p.publish("a", 1, strings.Repeat("x", 743)) // 1,000 bytes with what it weighs beside
		p.ack(wire.PUBACK)
	}
	if n := st.port.Counted(evidence.Overrun); n != 180 {
		t.Errorf("%d messages were dropped, not 180", n)
	}
}

func TestSubscribersGetTheirOptions(t *testing.T) {
	st := newStand(t, options{})
	p := connect(t, st.address, wire.Connect{CleanStart: true})
	p.last++
	p.send(wire.AppendSubscribe(nil, wire.V5, &wire.Subscribe{ID: p.last, SubscriptionID: 5, Subscriptions: []wire.Subscription{
		{Filter: "a/+", QoS: 1, RetainAsPublished: true},
	}}))
	p.expect(wire.SUBACK)
	p.last++
	p.send(wire.AppendSubscribe(nil, wire.V5, &wire.Subscribe{ID: p.last, SubscriptionID: 6, Subscriptions: []wire.Subscription{
		{Filter: "a/b", QoS: 2},
		{Filter: "own/#", NoLocal: true},
	}}))
	p.expect(wire.SUBACK)
	p.publish("own/x", 0, "not for me")
	p.publishMessage(wire.Message{Topic: "a/b", QoS: 1, Retain: true, Payload: []byte("x"), Properties: wire.Properties{
		{ID: wire.UserProperty, Text: "k", Value: "v"}, {ID: wire.MessageExpiry, Number: 100}, {ID: wire.TopicAlias, Number: 1},
	}})
	m := p.arrive()
	var ids []uint32
	for _, f := range m.Properties {
		if f.ID == wire.SubscriptionID {
			ids = append(ids, f.Number)
		}
	}
	slices.Sort(ids)
	value, _ := m.Properties.User("k")
	if !m.Retain || m.QoS != 1 || !slices.Equal(ids, []uint32{5, 6}) || value != "v" || m.Properties.Has(wire.TopicAlias) ||
		m.Properties.Number(wire.MessageExpiry) != 100 {
		t.Errorf("%+v", m)
	}
	p.ack(wire.PUBACK)
	p.quiet()
}

func TestUnsubscribe(t *testing.T) {
	st := newStand(t, options{})
	p := connect(t, st.address, wire.Connect{CleanStart: true})
	p.subscribe(filters(0, "a", "b")...)
	p.send(wire.AppendUnsubscribe(nil, wire.V5, &wire.Unsubscribe{ID: 9, Filters: []string{"a", "c"}}))
	id, codes, err := wire.DecodeSuback(wire.UNSUBACK, p.expect(wire.UNSUBACK).Body, wire.V5)
	if err != nil || id != 9 || !slices.Equal(codes, []wire.Code{0, wire.NoSubscription}) {
		t.Errorf("%d %v %v", id, codes, err)
	}
	p.publish("a", 0, "1")
	p.publish("b", 0, "2")
	if m := p.arrive(); m.Topic != "b" {
		t.Errorf("%s came", m.Topic)
	}
}

func TestWills(t *testing.T) {
	t.Parallel()
	g := &guard{}
	st := newStand(t, options{auth: g})
	reader := connect(t, st.address, user("all"))
	reader.subscribe(filters(1, "#")...)
	c := user("pump-17")
	c.Will = &wire.Message{Topic: "reports/pump-17", QoS: 1, Payload: []byte(reportText("pump-17", 1))}

	peaceful := connect(t, st.address, c)
	peaceful.disconnect()
	broken := connect(t, st.address, c)
	broken.close()
	if m := reader.arrive(); m.Topic != "reports/pump-17" {
		t.Errorf("%+v", m)
	}
	if n := len(st.desk.Accepted()); n != 1 {
		t.Errorf("%d reports are stored, not the will alone", n)
	}
	// With words: DISCONNECT may ask for it too.
	c.Will.Payload = []byte(reportText("pump-17", 2))
	p := connect(t, st.address, c)
	p.send(wire.AppendDisconnect(nil, wire.V5, wire.Disconnect{Code: wire.DisconnectWithWill}))
	reader.arrive()
	// A delayed will is not published when the client comes back.
	c.CleanStart = false
	c.Will.Payload = []byte(reportText("pump-17", 3))
	c.Will.Properties = wire.Properties{{ID: wire.WillDelay, Number: 1}}
	c.Properties = wire.Properties{{ID: wire.SessionExpiry, Number: 60}}
	connect(t, st.address, c).close()
	back := connect(t, st.address, c)
	reader.quiet()
	back.close()
	if m := reader.arrive(); m.Properties.Has(wire.WillDelay) || !strings.Contains(string(m.Payload), `"seq":3`) {
		t.Errorf("%+v", m)
	}
	// Nor when the credential is no longer worth anything.
	c.Will.Payload, c.Will.Properties = []byte(reportText("pump-17", 4)), nil
	p = connect(t, st.address, c)
	g.revoke("pump-17")
	p.closed()
	reader.quiet()
}
