package mqttbroker_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/topic"
	"github.com/penstock/penstock/link"
)

// recorder is a handler that notes the envelopes and answers as it is told.
type recorder struct {
	mu        sync.Mutex
	envelopes []penstock.Envelope
	answer    func(n int, e *penstock.Envelope) penstock.Outcome // n counts from 0
	hold      chan struct{}                                      // tickets wait for it when it is not nil
}

func (r *recorder) Submit(_ context.Context, es []penstock.Envelope) penstock.Ticket {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := decided{hold: r.hold}
	for i := range es {
		o := penstock.Outcome{Verdicts: []penstock.Verdict{{Result: penstock.Accepted}}}
		if r.answer != nil {
			o = r.answer(len(r.envelopes), &es[i])
		}
		r.envelopes = append(r.envelopes, es[i])
		t.outcomes = append(t.outcomes, o)
	}
	return t
}

func (r *recorder) seen() []penstock.Envelope {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]penstock.Envelope(nil), r.envelopes...)
}

type decided struct {
	hold     chan struct{}
	outcomes []penstock.Outcome
}

func (d decided) Wait(ctx context.Context) ([]penstock.Outcome, error) {
	if d.hold != nil {
		select {
		case <-d.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return d.outcomes, nil
}

func rejected(reason penstock.Reason) penstock.Outcome {
	return penstock.Outcome{Verdicts: []penstock.Verdict{{Result: penstock.Rejected, Reason: reason, Detail: "because"}}}
}

func TestReasonCodes(t *testing.T) {
	for _, c := range []struct {
		name    string
		outcome penstock.Outcome
		want    wire.Code
	}{
		{"a duplicate", penstock.Outcome{Verdicts: []penstock.Verdict{{Result: penstock.Duplicate}}}, wire.Success},
		{"forbidden", rejected(penstock.ReasonForbidden), wire.NotAuthorized},
		{"malformed", rejected(penstock.ReasonMalformed), wire.InvalidPayload},
		{"gaps", rejected(penstock.ReasonGaps), wire.QuotaExceeded},
		{"a conflict", rejected(penstock.ReasonConflict), wire.ImplementationError},
		{"undecodable", penstock.Outcome{Err: penstock.Errorf(penstock.Invalid, "no JSON")}, wire.InvalidPayload},
		{"one of two", penstock.Outcome{Verdicts: []penstock.Verdict{{Result: penstock.Accepted}, {Result: penstock.Rejected, Reason: penstock.ReasonRange}}}, wire.ImplementationError},
	} {
		for _, qos := range []byte{1, 2} {
			r := &recorder{answer: func(int, *penstock.Envelope) penstock.Outcome { return c.outcome }}
			st := newStand(t, options{next: r})
			kind := wire.PUBACK
			if qos == 2 {
				kind = wire.PUBREC
			}
			p := connect(t, st.address, wire.Connect{CleanStart: true})
			p.publish("reports/pump-17", qos, "{}")
			if a := p.ack(kind); a.Code != c.want || a.Code.Failed() != (a.Reason != "") {
				t.Errorf("%s, QoS %d: %#02x %q, not %#02x", c.name, qos, byte(a.Code), a.Reason, byte(c.want))
			}
			// The old version has no word of refusal: what is final is acknowledged.
			old := connect(t, st.address, wire.Connect{CleanStart: true, Version: wire.V311})
			old.publish("reports/pump-17", qos, "{}")
			old.ack(kind)
		}
	}
}

// What is refused for now is tried again by the broker, and its acknowledgement
// waits; what came later waits with it.
func TestRefusedForNowIsTriedAgain(t *testing.T) {
	r := &recorder{answer: func(n int, e *penstock.Envelope) penstock.Outcome {
		if n < 3 && strings.Contains(string(e.Body), "first") {
			return penstock.Outcome{Err: penstock.RetryLater(penstock.Limited, 60*time.Millisecond, "slower")}
		}
		return penstock.Outcome{Verdicts: []penstock.Verdict{{Result: penstock.Accepted}}}
	}}
	st := newStand(t, options{next: r})
	p := connect(t, st.address, wire.Connect{CleanStart: true})
	first := p.publish("reports/pump-17", 1, "first")
	second := p.publish("reports/pump-17", 1, "second")
	begun := time.Now()
	if a := p.ack(wire.PUBACK); a.ID != first || a.Code != wire.Success || time.Since(begun) < 50*time.Millisecond {
		t.Errorf("%+v after %v", a, time.Since(begun))
	}
	if a := p.ack(wire.PUBACK); a.ID != second || a.Code != wire.Success {
		t.Errorf("%+v", a)
	}
}

// A client is not kept waiting for ever: it is sent away and comes back.
func TestRefusedForLongEndsTheConnection(t *testing.T) {
	for version, failure := range map[byte]error{
		wire.V311: penstock.Errorf(penstock.Internal, "the disk said something new"),
		wire.V5:   penstock.RetryLater(penstock.Full, 0, "no room"),
	} {
		c := plain()
		c.Retry = config.Duration(200 * time.Millisecond)
		st := newStand(t, options{config: c})
		st.desk.Fail(failure)
		p := connect(t, st.address, wire.Connect{Version: version, ClientID: "rtu", CleanStart: false})
		p.publish("reports/pump-17", 1, reportText("pump-17", 1))
		code := p.closed()
		if version == wire.V5 && code != wire.ServerBusy {
			t.Errorf("ended with %#02x", byte(code))
		}
		// QoS 0 is best effort, and a reason to end nothing.
		q := connect(t, st.address, wire.Connect{Version: version, CleanStart: true})
		q.publish("reports/pump-17", 0, reportText("pump-17", 2))
		q.quiet()
		testkit.Eventually(t, func() bool { return st.port.Counted(evidence.Refused) == 2 }, "the end and the loss in the evidence")
	}
}

func TestARevokedSenderIsNotAcknowledged(t *testing.T) {
	r := &recorder{answer: func(int, *penstock.Envelope) penstock.Outcome {
		return penstock.Outcome{Err: penstock.Errorf(penstock.Unauthenticated, "revoked")}
	}}
	st := newStand(t, options{next: r})
	p := connect(t, st.address, wire.Connect{CleanStart: true})
	p.publish("reports/pump-17", 1, "{}")
	if code := p.closed(); code != wire.NotAuthorized {
		t.Errorf("ended with %#02x", byte(code))
	}
}

// Reading goes on while tickets are open, and acknowledgements keep their order.
func TestAcknowledgementsArePipelined(t *testing.T) {
	r := &recorder{hold: make(chan struct{})}
	st := newStand(t, options{next: r})
	p := connect(t, st.address, wire.Connect{CleanStart: true, Version: wire.V311})
	const n = 100
	for i := range n {
		p.publish("reports/pump-17", 1, reportText("pump-17", i+1))
	}
	testkit.Eventually(t, func() bool { return len(r.seen()) == n }, "all publishes at the pipeline")
	close(r.hold)
	for i := range n {
		if a := p.ack(wire.PUBACK); a.ID != uint16(i+1) {
			t.Fatalf("acknowledgement %d is of publish %d", i+1, a.ID)
		}
	}
}

// Beyond the receive maximum nothing is read, in either version.
func TestReadingStopsAtTheReceiveMaximum(t *testing.T) {
	c := plain()
	c.ReceiveMaximum = 5
	r := &recorder{hold: make(chan struct{})}
	st := newStand(t, options{next: r, config: c})
	p := connect(t, st.address, wire.Connect{CleanStart: true, Version: wire.V311})
	for i := range 20 {
		p.publish("reports/pump-17", 1, reportText("pump-17", i+1))
	}
	testkit.Eventually(t, func() bool { return len(r.seen()) == 5 }, "as many publishes as may be under way")
	p.send(wire.AppendEmpty(nil, wire.PINGREQ))
	select {
	case <-time.After(100 * time.Millisecond):
	case <-t.Context().Done():
	}
	if n := len(r.seen()); n != 5 {
		t.Errorf("%d publishes are under way", n)
	}
	close(r.hold)
	count := map[wire.Type]int{}
	for range 21 {
		f, err := p.next()
		if err != nil {
			t.Fatal(err)
		}
		count[f.Type]++
	}
	if count[wire.PUBACK] != 20 || count[wire.PINGRESP] != 1 {
		t.Errorf("%v came", count)
	}
}

// QoS 2: a message whose identifier was not released is not submitted again, not
// even over a new connection of the same session.
func TestExactlyOnceInASession(t *testing.T) {
	for _, version := range []byte{wire.V311, wire.V5} {
		r := &recorder{}
		st := newStand(t, options{next: r})
		c := wire.Connect{Version: version, ClientID: "rtu", Properties: wire.Properties{{ID: wire.SessionExpiry, Number: 60}}}
		p := connect(t, st.address, c)
		packet := wire.AppendPublish(nil, version, &wire.Publish{ID: 7, Message: wire.Message{Topic: "reports/pump-17", QoS: 2, Payload: []byte("{}")}})
		p.send(packet)
		p.send(packet)
		p.ack(wire.PUBREC)
		p.ack(wire.PUBREC)
		p.close()
		p = dial(t, st.address)
		if ack := p.connect(c); !ack.Present {
			t.Fatal("the session is gone")
		}
		p.send(packet)
		p.ack(wire.PUBREC)
		p.send(wire.AppendAck(nil, version, wire.Ack{Type: wire.PUBREL, ID: 7}))
		if a := p.ack(wire.PUBCOMP); a.Code != wire.Success {
			t.Errorf("%+v", a)
		}
		p.send(wire.AppendAck(nil, version, wire.Ack{Type: wire.PUBREL, ID: 7}))
		if a := p.ack(wire.PUBCOMP); version == wire.V5 && a.Code != wire.PacketIDNotFound {
			t.Errorf("%+v", a)
		}
		if n := len(r.seen()); n != 1 {
			t.Fatalf("version %d: %d envelopes, not 1", version, n)
		}
		p.send(packet) // the identifier is free again: another message
		p.ack(wire.PUBREC)
		if n := len(r.seen()); n != 2 {
			t.Errorf("version %d: %d envelopes, not 2", version, n)
		}
	}
}

// What a connection left undecided is decided about before its client goes on.
func TestTheNextConnectionWaitsForTheLast(t *testing.T) {
	r := &recorder{hold: make(chan struct{})}
	st := newStand(t, options{next: r})
	c := wire.Connect{ClientID: "rtu", Properties: wire.Properties{{ID: wire.SessionExpiry, Number: 60}}}
	p := connect(t, st.address, c)
	packet := wire.AppendPublish(nil, wire.V5, &wire.Publish{ID: 7, Message: wire.Message{Topic: "reports/pump-17", QoS: 2, Payload: []byte("{}")}})
	p.send(packet)
	testkit.Eventually(t, func() bool { return len(r.seen()) == 1 }, "the publish at the pipeline")
	p.close()
	p = dial(t, st.address)
	c.Version = wire.V5
	p.send(wire.AppendConnect(nil, &c))
	close(r.hold)
	p.expect(wire.CONNACK)
	p.send(packet)
	p.ack(wire.PUBREC)
	if n := len(r.seen()); n != 1 {
		t.Errorf("%d envelopes, not 1", n)
	}
}

func TestEnvelopes(t *testing.T) {
	c := plain()
	c.Topics = []topic.Route{
		{Topic: "reports/{controller}"}, {Topic: "binary/#", Payload: topic.Binary},
		{Topic: "values/{controller}/{point...}", Payload: topic.Value}, {Topic: "meters/#", Payload: "lorawan"},
	}
	user := func(name, value string) wire.Field {
		return wire.Field{ID: wire.UserProperty, Text: name, Value: value}
	}
	for _, e := range []struct {
		topic, payload string
		properties     wire.Properties
		media, key     string
		crc            uint32
	}{
		{"reports/pump-17", "{}", nil, "application/json", "", 0},
		{"reports/pump-17", "{}", wire.Properties{{ID: wire.ContentType, Text: "application/x-ndjson"}}, "application/x-ndjson", "", 0},
		{"reports/pump-17", "{}", wire.Properties{user("epoch", "3"), user("seq", "17")}, "application/json", "3/17", 0},
		{"reports/pump-17", "{}", wire.Properties{user("key", "abc"), user("crc32", "0000ffAA")}, "application/json", "abc", 0xffaa},
		{"binary/x", "..", nil, link.MediaType, "", 0},
		{"meters/x", "..", wire.Properties{user("devEUI", "70B3")}, "lorawan", "", 0},
	} {
		r := &recorder{}
		st := newStand(t, options{next: r, config: c})
		p := connect(t, st.address, wire.Connect{CleanStart: true, User: "x", Password: "secret"})
		p.publish(e.topic, 1, e.payload, e.properties...)
		p.ack(wire.PUBACK)
		got := r.seen()[0]
		if got.ContentType != e.media || got.Key != e.key || got.Checksum != e.crc || got.HasChecksum != (e.crc > 0) || string(got.Body) != e.payload ||
			got.Topic != e.topic || got.Source != "test" || got.Peer == "" || got.Credential.Token != "secret" || got.ReceivedTime == 0 || got.Principal != nil {
			t.Errorf("%s %v: %+v", e.topic, e.properties, got)
		}
		for i := range e.properties {
			if f := &e.properties[i]; f.ID == wire.UserProperty && got.Properties[f.Text] != f.Value {
				t.Errorf("the property %s is %q", f.Text, got.Properties[f.Text])
			}
		}
	}
}

func TestPlainValues(t *testing.T) {
	st := newStand(t, options{})
	p := connect(t, st.address, wire.Connect{CleanStart: true})
	send := func(payload string, code wire.Code, properties ...wire.Field) {
		t.Helper()
		p.publish("values/pump-17/inlet/flow", 1, payload, properties...)
		if a := p.ack(wire.PUBACK); a.Code != code {
			t.Errorf("%q: %#02x %s", payload, byte(a.Code), a.Reason)
		}
	}
	send("12.5", wire.Success)
	send("much", wire.InvalidPayload)
	send("7", wire.Success, wire.Field{ID: wire.UserProperty, Text: "epoch", Value: "1"}, wire.Field{ID: wire.UserProperty, Text: "seq", Value: "9"})
	send("123456789", wire.Success, wire.Field{ID: wire.UserProperty, Text: "crc32", Value: "cbf43926"})
	send("123456789", wire.InvalidPayload, wire.Field{ID: wire.UserProperty, Text: "crc32", Value: "cbf43927"})
	send("1", wire.InvalidPayload, wire.Field{ID: wire.UserProperty, Text: "crc32", Value: "xyz"})
	got := st.desk.Accepted()
	if len(got) != 3 {
		t.Fatalf("%d reports were accepted", len(got))
	}
	s := got[0].Samples[0]
	if got[0].Controller != "pump-17" || s.Point != "inlet/flow" || s.Value != penstock.FloatValue(12.5) || s.Flags != penstock.GatewayClock || s.SourceTime == 0 {
		t.Errorf("%+v", got[0])
	}
	if got[1].Identity != penstock.SequenceIdentity(1, 9) {
		t.Errorf("%+v", got[1])
	}
	if n := st.port.Counted(evidence.Refused); n != 3 {
		t.Errorf("%d are counted as refused", n)
	}
}

// Who may publish where.
func TestRightsToPublish(t *testing.T) {
	c := plain()
	c.Topics = []topic.Route{
		{Topic: "reports/{controller}"}, {Topic: "meters/#", Payload: "lorawan"},
	}
	st := newStand(t, options{config: c, auth: &guard{}, next: &recorder{}})
	own := connect(t, st.address, wire.Connect{CleanStart: true, User: "x", Password: "pump-17"})
	all := connect(t, st.address, wire.Connect{CleanStart: true, User: "x", Password: "all"})
	for _, try := range []struct {
		topic    string
		own, all wire.Code
	}{
		{"reports/pump-17", 0, 0},
		{"reports/pump-18", wire.NotAuthorized, 0},
		{"meters/1", 0, 0}, // the pipeline looks whose the reports are
		{"elsewhere", wire.NotAuthorized, 0},
		{"$SYS/x", wire.InvalidTopic, wire.InvalidTopic},
		{"reports/+", wire.InvalidTopic, wire.InvalidTopic},
		{strings.Repeat("a/", 40), wire.InvalidTopic, wire.InvalidTopic},
	} {
		own.publish(try.topic, 1, "{}")
		all.publish(try.topic, 1, "{}")
		if a := own.ack(wire.PUBACK); a.Code != try.own {
			t.Errorf("%s as one: %#02x", try.topic, byte(a.Code))
		}
		if a := all.ack(wire.PUBACK); a.Code != try.all {
			t.Errorf("%s as all: %#02x", try.topic, byte(a.Code))
		}
	}
	page, ok := st.book.FindController("pump-17")
	if !ok || page.Counted(evidence.Refused) != 5 || page.Counted(evidence.Connected) != 1 || page.Counted(evidence.Received) != 7 {
		t.Errorf("the page of pump-17: %v", fmt.Sprint(ok))
	}
	if why := page.BadFrames()[0].Why; !regexp.MustCompile(`^127\.0\.0\.1:\d+ client "auto-.*" user "x": topic "reports/pump-18": .*not publish`).MatchString(why) {
		t.Errorf("the evidence does not say who did what: %s", why)
	}
}

func TestTopicAliases(t *testing.T) {
	r := &recorder{}
	st := newStand(t, options{next: r})
	p := connect(t, st.address, wire.Connect{CleanStart: true})
	alias := wire.Field{ID: wire.TopicAlias, Number: 3}
	p.publish("reports/a", 1, "1", alias)
	p.publish("", 1, "2", alias)
	p.publish("reports/b", 1, "3", alias)
	p.publish("", 1, "4", alias)
	for range 4 {
		p.ack(wire.PUBACK)
	}
	for i, want := range []string{"reports/a", "reports/a", "reports/b", "reports/b"} {
		if got := r.seen()[i]; got.Topic != want {
			t.Errorf("publish %d went to %s", i+1, got.Topic)
		}
	}
	p.publish("", 1, "5", wire.Field{ID: wire.TopicAlias, Number: 4})
	if code := p.closed(); code != wire.ProtocolError {
		t.Errorf("an alias that was not set: %#02x", byte(code))
	}
	for _, number := range []uint32{0, 33} {
		p = connect(t, st.address, wire.Connect{CleanStart: true})
		p.publish("reports/a", 1, "1", wire.Field{ID: wire.TopicAlias, Number: number})
		if code := p.closed(); code != wire.InvalidAlias {
			t.Errorf("alias %d: %#02x", number, byte(code))
		}
	}
}
