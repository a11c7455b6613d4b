package mqttbroker_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
	"github.com/penstock/penstock/internal/testkit"
)

// What a client may share is what it may have, and names a group.
func TestRightsToShare(t *testing.T) {
	st := newStand(t, options{auth: &guard{}})
	for _, version := range []byte{wire.V5, wire.V311} {
		c := user("pump-17")
		c.Version = version
		own := connect(t, st.address, c)
		codes := own.subscribe(filters(1, "$share/g/values/pump-17/+", "$share/g/values/pump-18/+", "$share//a", "$share/a+/b", "$share/g", "$share/g/", "$share/g/a/#/b")...)
		want := []wire.Code{1, wire.NotAuthorized, wire.InvalidFilter, wire.InvalidFilter, wire.InvalidFilter, wire.InvalidFilter, wire.InvalidFilter}
		for i := range want {
			if version == wire.V311 && want[i].Failed() {
				want[i] = wire.Unspecified
			}
		}
		if !slices.Equal(codes, want) {
			t.Errorf("granted %#v", codes)
		}
		own.close()
	}
	local := connect(t, st.address, user("pump-17"))
	local.send(wire.AppendSubscribe(nil, wire.V5, &wire.Subscribe{ID: 1, Subscriptions: []wire.Subscription{{Filter: "$share/g/values/pump-17/flow", NoLocal: true}}}))
	if d := local.closed(); d != wire.ProtocolError {
		t.Errorf("a shared subscription without local messages ends with %#02x", byte(d))
	}
}

// Each message goes to one member of a group, in turn, and to everybody else who
// subscribed besides.
func TestAGroupSharesItsMessages(t *testing.T) {
	st := newStand(t, options{})
	p := connect(t, st.address, wire.Connect{CleanStart: true})
	p.publishMessage(wire.Message{Topic: "work/old", QoS: 1, Retain: true, Payload: []byte("kept")})
	p.ack(wire.PUBACK)
	var members []*peer
	for i := range 3 {
		m := connect(t, st.address, wire.Connect{ClientID: fmt.Sprint("member ", i), CleanStart: true})
		m.subscribe(filters(0, "$share/crew/work/#")...)
		members = append(members, m)
	}
	alone := connect(t, st.address, wire.Connect{ClientID: "alone", CleanStart: true})
	alone.subscribe(filters(0, "$share/other/work/+", "work/+")...)
	alone.arrive() // what is retained comes for the subscription that is not shared
	send := func(from, to int) {
		for n := from; n < to; n++ {
			p.publish("work/a", 1, fmt.Sprint(n))
			p.ack(wire.PUBACK)
		}
	}
	take := func(who *peer, count int) (got []string) {
		for range count {
			got = append(got, string(who.arrive().Payload))
		}
		return got
	}
	send(0, 6)
	seen := map[string]int{}
	for _, m := range members {
		for _, payload := range take(m, 2) {
			seen[payload]++
		}
		m.quiet()
	}
	if len(seen) != 6 {
		t.Errorf("the group got %v", seen)
	}
	if got := take(alone, 12); got[0] != "0" || got[1] != "0" || got[11] != "5" {
		t.Errorf("a group of one with a subscription of its own got %q", got)
	}
	members[0].close()
	testkit.Eventually(t, func() bool { return st.port.Counted(evidence.Lost) == 1 }, "the member to be gone")
	members[1].send(wire.AppendUnsubscribe(nil, wire.V5, &wire.Unsubscribe{ID: 9, Filters: []string{"$share/crew/work/#"}}))
	members[1].expect(wire.UNSUBACK)
	send(6, 8)
	if got := take(members[2], 2); got[0] != "6" || got[1] != "7" {
		t.Errorf("the member that is left got %q", got)
	}
	members[1].quiet()
}
