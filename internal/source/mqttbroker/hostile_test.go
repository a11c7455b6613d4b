package mqttbroker_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
	"github.com/penstock/penstock/internal/testkit"
)

// Whatever a client sends before it has shown who it is ends the connection, with
// the bytes and a sentence in the evidence.
func TestHostileFirstPackets(t *testing.T) {
	good := wire.AppendConnect(nil, &wire.Connect{Version: wire.V5, CleanStart: true, ClientID: "x"})
	for _, c := range []struct {
		name, bytes, why string
	}{
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", "flags"},
		{"a packet of 256 MiB", "\x10\xff\xff\xff\x7f", "268435455 bytes"},
		{"no length", "\x10\xff\xff\xff\xff\xff", "no variable byte integer"},
		{"a length in too many bytes", "\x10\x80\x00", "no variable byte integer"},
		{"type 0", "\x00\x00", "not MQTT"},
		{"not CONNECT", "\x30\x03\x00\x01a", "not CONNECT"},
		{"a ping", "\xc0\x00", "not CONNECT"},
		{"an empty CONNECT", "\x10\x00", "ends inside"},
		{"the reserved flag", string(flip(good, 9, 1)), "reserved flag"},
		{"a will that is not there", string(flip(good, 9, 0x20)), "will"},
		{"bytes after the end", "\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x01xyz", "left"},
		{"a name that is no UTF-8", "\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02\xff\xfe", "UTF-8"},
		{"a name with a zero", "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01\x00", "zero"},
		{"an unknown property", "\x10\x0f\x00\x04MQTT\x05\x02\x00\x00\x02\x7f\x00\x00\x00", "property 127"},
		{"a property twice", "\x10\x13\x00\x04MQTT\x05\x02\x00\x00\x06\x21\x00\x01\x21\x00\x01\x00\x00", "twice"},
		{"a receive maximum of 0", "\x10\x10\x00\x04MQTT\x05\x02\x00\x00\x03\x21\x00\x00\x00\x00", "is 0"},
		{"properties beyond the packet", "\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x7f\x00\x00", "properties"},
		{"user properties without end", string(wire.AppendConnect(nil, &wire.Connect{Version: wire.V5, Properties: slices.Repeat(wire.Properties{{ID: wire.UserProperty}}, 65)})), "more than 64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := newStand(t, options{})
			p := dial(t, st.address)
			p.send([]byte(c.bytes))
			p.closed()
			testkit.Eventually(t, func() bool { return len(st.port.BadFrames()) > 0 }, "the bytes in the evidence")
			f := st.port.BadFrames()[0]
			if f.Event != evidence.Malformed || !strings.Contains(f.Why, c.why) {
				t.Errorf("noted as %s: %s", f.Event, f.Why)
			}
		})
	}
}

func flip(packet []byte, at int, bits byte) []byte {
	packet = bytes.Clone(packet)
	packet[at] ^= bits
	return packet
}

// The same for what a client sends later.
func TestHostilePackets(t *testing.T) {
	for _, c := range []struct {
		name, bytes, why string
	}{
		{"CONNECT again", string(wire.AppendConnect(nil, &wire.Connect{Version: wire.V5})), "second CONNECT"},
		{"what only a server sends", "\x20\x02\x00\x00", "only a server"},
		{"QoS 3", "\x36\x05\x00\x01a\x00\x01", "QoS 3"},
		{"sent again with QoS 0", "\x38\x04\x00\x01a\x00", "QoS 0"},
		{"no topic", "\x30\x03\x00\x00\x00", "neither a topic"},
		{"a packet identifier of 0", "\x32\x06\x00\x01a\x00\x00\x00", "identifier is 0"},
		{"a topic beyond the packet", "\x30\x04\x00\x09ab", "ends inside"},
		{"a subscription identifier", "\x30\x06\x00\x01a\x02\x0b\x01", "subscription identifier"},
		{"a subscription without filters", "\x82\x03\x00\x01\x00", "no filter"},
		{"options that are none", "\x82\x07\x00\x01\x00\x00\x01a\xc0", "options"},
		{"wrong flags", "\x80\x07\x00\x01\x00\x00\x01a\x00", "flags"},
		{"a ping with a body", "\xc0\x01x", "body"},
		{"a packet over the limit", "\x30\xff\xff\xff\x01", "4194303 bytes"},
		{"a packet that never comes whole", "\x30\x0a\x00", "unexpected EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := newStand(t, options{})
			p := connect(t, st.address, wire.Connect{CleanStart: true})
			p.send([]byte(c.bytes))
			if c.why == "unexpected EOF" {
				p.close()
				testkit.Eventually(t, func() bool { return st.port.Counted(evidence.Lost) == 1 }, "the end of the connection")
				return
			}
			if code := p.closed(); !code.Failed() {
				t.Errorf("ended with %#02x", byte(code))
			}
			testkit.Eventually(t, func() bool { return len(st.port.BadFrames()) > 0 }, "the bytes in the evidence")
			f := st.port.BadFrames()[0]
			if f.Event != evidence.Malformed || !strings.Contains(f.Why, c.why) {
				t.Errorf("noted as %s: %s", f.Event, f.Why)
			}
		})
	}
}

// A packet that comes a byte at a time is as good as any.
func TestAByteAtATime(t *testing.T) {
	st := newStand(t, options{})
	p := dial(t, st.address)
	packets := wire.AppendConnect(nil, &wire.Connect{Version: wire.V5, CleanStart: true})
	packets = wire.AppendPublish(packets, wire.V5, &wire.Publish{ID: 1, Message: wire.Message{Topic: "reports/pump-17", QoS: 1, Payload: []byte(reportText("pump-17", 1))}})
	for i := range packets {
		p.send(packets[i : i+1])
	}
	p.expect(wire.CONNACK)
	if a := p.ack(wire.PUBACK); a.Code != wire.Success {
		t.Errorf("%+v", a)
	}
}

// Senders who say nothing do not keep out those who do.
func TestSlowLoris(t *testing.T) {
	t.Parallel()
	st := newStand(t, options{})
	for range 400 { // more than may be about to show who they are
		p := dial(t, st.address)
		p.send([]byte{0x10})
	}
	begun := time.Now()
	p := connect(t, st.address, wire.Connect{CleanStart: true})
	p.quiet()
	if took := time.Since(begun); took > 8*time.Second {
		t.Errorf("an honest client was let in after %v", took)
	}
}

// What a client declares costs nothing until it comes.
func TestMemoryBeforeTheBytes(t *testing.T) {
	st := newStand(t, options{})
	var open []*peer
	for range 50 {
		p := connect(t, st.address, wire.Connect{CleanStart: true})
		open = append(open, p)
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, p := range open {
		p.send([]byte("\x30\xff\xff\x3f\x00\x01a\x00begun")) // of 1 MiB
	}
	open[0].conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := open[0].conn.Read(make([]byte, 1)); err == io.EOF {
		t.Fatal("the connection was closed")
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("50 packets of 1 MiB that have begun take %d bytes", grown)
	}
}

// Nobody subscribes to more than may be, however it is packed.
func TestSubscribeBombs(t *testing.T) {
	c := plain()
	c.Subscriptions = 20
	st := newStand(t, options{config: c})
	p := connect(t, st.address, wire.Connect{CleanStart: true})
	granted := 0
	for round := range 3 {
		var names []string
		for i := range 20 {
			names = append(names, fmt.Sprintf("+/%d/%d/#", round, i))
		}
		for _, code := range p.subscribe(filters(2, names...)...) {
			switch {
			case code == 2:
				granted++
			case code != wire.QuotaExceeded:
				t.Errorf("%#02x", byte(code))
			}
		}
	}
	if granted != 20 {
		t.Errorf("%d subscriptions were granted", granted)
	}
	if codes := p.subscribe(filters(1, "+/0/0/#")...); codes[0] != 1 {
		t.Errorf("one that it has: %#02x", byte(codes[0]))
	}
	var names []string
	for i := range 21 {
		names = append(names, fmt.Sprint(i))
	}
	p.last++
	p.send(wire.AppendSubscribe(nil, wire.V5, &wire.Subscribe{ID: p.last, Subscriptions: filters(0, names...)}))
	if code := p.closed(); code != wire.QuotaExceeded {
		t.Errorf("one packet with too many: %#02x", byte(code))
	}
}

// A client that flaps under one name disturbs only itself.
func TestFlapping(t *testing.T) {
	st := newStand(t, options{})
	other := connect(t, st.address, wire.Connect{CleanStart: true, ClientID: "other"})
	var last *peer
	for range 100 {
		last = connect(t, st.address, wire.Connect{CleanStart: true, ClientID: "rtu"})
	}
	last.quiet()
	other.quiet()
	testkit.Eventually(t, func() bool { return st.port.Counted(evidence.Lost) == 99 }, "the ends of the others")
}

// In version 5 a client knows how much it may leave open.
func TestReceiveMaximumPassed(t *testing.T) {
	c := plain()
	c.ReceiveMaximum = 10
	st := newStand(t, options{config: c, next: &recorder{}})
	p := connect(t, st.address, wire.Connect{CleanStart: true})
	for range 10 {
		p.publish("reports/a", 2, "{}")
		p.ack(wire.PUBREC)
	}
	p.send(wire.AppendAck(nil, wire.V5, wire.Ack{Type: wire.PUBREL, ID: 1}))
	p.ack(wire.PUBCOMP)
	p.publish("reports/a", 2, "{}")
	p.ack(wire.PUBREC)
	p.publish("reports/a", 2, "{}")
	if code := p.closed(); code != wire.ReceiveMaximumPassed {
		t.Errorf("ended with %#02x", byte(code))
	}
}

// QoS 2 without an end: identifiers that are never released cost their bits.
func TestFloodOfUnreleasedIdentifiers(t *testing.T) {
	st := newStand(t, options{next: &recorder{}})
	p := connect(t, st.address, wire.Connect{CleanStart: true, Version: wire.V311})
	for i := range 5000 {
		p.send(wire.AppendPublish(nil, wire.V311, &wire.Publish{ID: uint16(i + 1), Message: wire.Message{Topic: "reports/a", QoS: 2, Payload: []byte("{}")}}))
		p.ack(wire.PUBREC)
	}
	p.quiet()
}

func TestKeepAlive(t *testing.T) {
	t.Parallel()
	st := newStand(t, options{})
	p := connect(t, st.address, wire.Connect{CleanStart: true, KeepAlive: 1})
	begun := time.Now()
	if code := p.closed(); code != wire.KeepAliveTimeout {
		t.Errorf("ended with %#02x", byte(code))
	}
	if took := time.Since(begun); took < time.Second || took > 10*time.Second {
		t.Errorf("ended after %v", took)
	}
	testkit.Eventually(t, func() bool { return st.port.Counted(evidence.Timeout) == 1 }, "the timeout in the evidence")
}
