package wire_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// next returns the one packet that b is.
func next(t interface{ Fatal(...any) }, b []byte) wire.Frame {
	r := wire.NewReader(bytes.NewReader(b), 16, 1<<20)
	f, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Fatal("there is more behind the packet: ", err)
	}
	return f
}

var text = rapid.StringMatching(`[a-zäß/0-9 ]{0,20}`)

// fields draws properties that may stand in a packet.
func fields(ids ...wire.Property) *rapid.Generator[wire.Properties] {
	return rapid.Custom(func(t *rapid.T) wire.Properties {
		var p wire.Properties
		for _, id := range ids {
			if !rapid.Bool().Draw(t, "there") {
				continue
			}
			f := wire.Field{ID: id}
			switch id {
			case wire.PayloadFormat, wire.RequestProblem, wire.RequestResponse:
				f.Number = rapid.Uint32Range(0, 1).Draw(t, "flag")
			case wire.ReceiveMaximum, wire.TopicAliasMaximum, wire.TopicAlias:
				f.Number = rapid.Uint32Range(1, 65535).Draw(t, "short")
			case wire.MessageExpiry, wire.SessionExpiry, wire.WillDelay, wire.MaximumPacket:
				f.Number = rapid.Uint32Range(1, 1<<32-1).Draw(t, "long")
			case wire.UserProperty:
				f.Text, f.Value = text.Draw(t, "name"), text.Draw(t, "value")
				p = append(p, f)
			default:
				f.Text = text.Draw(t, "text")
			}
			p = append(p, f)
		}
		return p
	})
}

var ofMessage = fields(wire.PayloadFormat, wire.MessageExpiry, wire.ContentType, wire.ResponseTopic, wire.CorrelationData, wire.UserProperty)

func TestConnectComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := wire.Connect{
			Version: rapid.SampledFrom([]byte{wire.V311, wire.V5}).Draw(t, "version"), ClientID: text.Draw(t, "id"),
			CleanStart: rapid.Bool().Draw(t, "clean"), KeepAlive: rapid.Uint16().Draw(t, "keep alive"), User: text.Draw(t, "user"), Password: text.Draw(t, "password"),
		}
		if rapid.Bool().Draw(t, "will") {
			c.Will = &wire.Message{
				Topic: text.Draw(t, "topic"), Payload: []byte(text.Draw(t, "payload")), QoS: byte(rapid.IntRange(0, 2).Draw(t, "QoS")), Retain: rapid.Bool().Draw(t, "retain"),
			}
		}
		if c.Version == wire.V5 {
			c.Properties = fields(wire.SessionExpiry, wire.ReceiveMaximum, wire.MaximumPacket, wire.TopicAliasMaximum, wire.RequestProblem, wire.UserProperty).Draw(t, "properties")
			if c.Will != nil {
				c.Will.Properties = append(ofMessage.Draw(t, "properties of the will"), wire.Field{ID: wire.WillDelay, Number: 1})
			}
		}
		f := next(t, wire.AppendConnect(nil, &c))
		got, err := wire.DecodeConnect(f.Body)
		if err != nil || f.Type != wire.CONNECT || !reflect.DeepEqual(got, c) {
			t.Fatalf("%+v came back as %+v, %v", c, got, err)
		}
	})
}

func TestPublishComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		version := rapid.SampledFrom([]byte{wire.V311, wire.V5}).Draw(t, "version")
		p := wire.Publish{Message: wire.Message{
			Topic: text.Draw(t, "topic"), QoS: byte(rapid.IntRange(0, 2).Draw(t, "QoS")), Retain: rapid.Bool().Draw(t, "retain"),
			Payload: rapid.SliceOfN(rapid.Byte(), 0, 9000).Draw(t, "payload"),
		}}
		if p.QoS > 0 {
			p.ID, p.Dup = rapid.Uint16Range(1, 65535).Draw(t, "id"), rapid.Bool().Draw(t, "dup")
		}
		if version == wire.V5 {
			p.Properties = ofMessage.Draw(t, "properties")
		}
		b := wire.AppendPublish(nil, version, &p)
		f := next(t, b)
		var got wire.Publish
		err := wire.DecodePublish(f.Flags, f.Body, version, &got)
		if err != nil || !bytes.Equal(got.Payload, p.Payload) {
			t.Fatalf("%+v came back as %+v, %v", p, got, err)
		}
		got.Payload = p.Payload
		if whole, _ := wire.PublishSize(version, &p); !reflect.DeepEqual(got, p) || whole != len(b) || !bytes.Equal(f.Bytes(), b) {
			t.Fatalf("%+v came back as %+v", p, got)
		}
	})
}

func TestOtherPacketsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		version := rapid.SampledFrom([]byte{wire.V311, wire.V5}).Draw(t, "version")
		id := rapid.Uint16Range(1, 65535).Draw(t, "id")
		a := wire.Ack{Type: rapid.SampledFrom([]wire.Type{wire.PUBACK, wire.PUBREC, wire.PUBREL, wire.PUBCOMP}).Draw(t, "type"), ID: id}
		if version == wire.V5 {
			a.Code, a.Reason = wire.Code(rapid.Byte().Draw(t, "code")), text.Draw(t, "reason")
		}
		if got, err := wire.DecodeAck(a.Type, next(t, wire.AppendAck(nil, version, a)).Body, version); err != nil || got != a {
			t.Fatalf("%+v came back as %+v, %v", a, got, err)
		}
		s := wire.Subscribe{ID: id}
		for range rapid.IntRange(1, 5).Draw(t, "filters") {
			sub := wire.Subscription{Filter: text.Draw(t, "filter"), QoS: byte(rapid.IntRange(0, 2).Draw(t, "QoS"))}
			if version == wire.V5 {
				sub.NoLocal, sub.RetainAsPublished = rapid.Bool().Draw(t, "no local"), rapid.Bool().Draw(t, "as published")
				sub.RetainHandling = byte(rapid.IntRange(0, 2).Draw(t, "handling"))
			}
			s.Subscriptions = append(s.Subscriptions, sub)
		}
		if version == wire.V5 {
			s.SubscriptionID = rapid.Uint32Range(0, 1<<28-1).Draw(t, "subscription")
		}
		if got, err := wire.DecodeSubscribe(next(t, wire.AppendSubscribe(nil, version, &s)).Body, version, 5); err != nil || !reflect.DeepEqual(got, s) {
			t.Fatalf("%+v came back as %+v, %v", s, got, err)
		}
		u := wire.Unsubscribe{ID: id, Filters: []string{text.Draw(t, "filter"), "b"}}
		if got, err := wire.DecodeUnsubscribe(next(t, wire.AppendUnsubscribe(nil, version, &u)).Body, version, 2); err != nil || !reflect.DeepEqual(got, u) {
			t.Fatalf("%+v came back as %+v, %v", u, got, err)
		}
		k := wire.Connack{Present: rapid.Bool().Draw(t, "present"), Code: wire.Code(rapid.Byte().Draw(t, "code"))}
		if got, err := wire.DecodeConnack(next(t, wire.AppendConnack(nil, version, k)).Body, version); err != nil || !reflect.DeepEqual(got, k) {
			t.Fatalf("%+v came back as %+v, %v", k, got, err)
		}
		d := wire.Disconnect{}
		if version == wire.V5 {
			d.Code = wire.Code(rapid.Byte().Draw(t, "code"))
		}
		if got, err := wire.DecodeDisconnect(next(t, wire.AppendDisconnect(nil, version, d)).Body, version); err != nil || !reflect.DeepEqual(got, d) {
			t.Fatalf("%+v came back as %+v, %v", d, got, err)
		}
	})
}

// A stream is read the same however it comes, and Ready never promises too much.
func TestReaderIsPatient(t *testing.T) {
	var stream []byte
	for i := range 50 {
		stream = wire.AppendPublish(stream, wire.V5, &wire.Publish{ID: uint16(i + 1), Message: wire.Message{Topic: "a", QoS: 1, Payload: bytes.Repeat([]byte{7}, i*i*5)}})
	}
	for _, in := range []io.Reader{bytes.NewReader(stream), iotest.OneByteReader(bytes.NewReader(stream)), iotest.HalfReader(bytes.NewReader(stream))} {
		r := wire.NewReader(in, 64, 1<<20)
		for i := range 50 {
			f, err := r.Next()
			var p wire.Publish
			if err == nil {
				err = wire.DecodePublish(f.Flags, f.Body, wire.V5, &p)
			}
			if err != nil || p.ID != uint16(i+1) || len(p.Payload) != i*i*5 {
				t.Fatalf("packet %d: %+v %v", i+1, p.ID, err)
			}
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	for _, c := range []struct {
		bytes string
		code  wire.Code // 0 for an error of the stream
	}{
		{"\x10\x80\x80\x80\x80\x01", wire.Malformed},
		{"\x30\xc8\x01", wire.TooLarge},
		{"\x00\x00", wire.Malformed},
		{"\x61\x02\x00\x01", wire.Malformed},
		{"\x30", 0},
		{"\x30\x05abc", 0},
	} {
		r := wire.NewReader(strings.NewReader(c.bytes), 16, 100)
		_, err := r.Next()
		var refused *wire.Error
		switch {
		case errors.As(err, &refused):
			if refused.Code != c.code || refused.Text == "" {
				t.Errorf("%q: %#02x %s", c.bytes, byte(refused.Code), refused.Text)
			}
		case c.code != 0 || err != io.ErrUnexpectedEOF:
			t.Errorf("%q: %v", c.bytes, err)
		}
	}
}

// FuzzDecode reads anything as packets. What can be read takes no more memory than
// a multiple of its bytes, and what is written again is read the same.
func FuzzDecode(f *testing.F) {
	f.Add(wire.AppendConnect(nil, &wire.Connect{Version: wire.V5, ClientID: "a", Password: "b", Will: &wire.Message{Topic: "c", Payload: []byte("d")}}), byte(wire.V5))
	f.Add(wire.AppendPublish(nil, wire.V5, &wire.Publish{ID: 1, Message: wire.Message{Topic: "a", QoS: 1, Properties: wire.Properties{{ID: wire.UserProperty, Text: "k", Value: "v"}}}}), byte(wire.V5))
	f.Add(wire.AppendSubscribe(nil, wire.V311, &wire.Subscribe{ID: 1, Subscriptions: []wire.Subscription{{Filter: "a/#"}}}), byte(wire.V311))
	f.Add(wire.AppendAck(nil, wire.V5, wire.Ack{Type: wire.PUBACK, ID: 1, Code: wire.TooLarge, Reason: "x"}), byte(wire.V5))
	f.Add(wire.AppendDisconnect(nil, wire.V5, wire.Disconnect{Code: wire.ServerBusy, Reason: "x"}), byte(wire.V5))
	f.Fuzz(func(t *testing.T, stream []byte, version byte) {
		if version != wire.V5 {
			version = wire.V311
		}
		r := wire.NewReader(bytes.NewReader(stream), 64, 1<<16)
		for {
			ready := r.Ready()
			f, err := r.Next()
			if err != nil {
				if ready && (err == io.ErrUnexpectedEOF || err == io.EOF) {
					t.Fatal("a packet was promised that is not there")
				}
				return
			}
			decode(t, f, version)
		}
	})
}

func decode(t *testing.T, f wire.Frame, version byte) {
	var again []byte
	switch f.Type {
	case wire.CONNECT:
		if c, err := wire.DecodeConnect(f.Body); err == nil {
			again = wire.AppendConnect(nil, &c)
			if other, err := wire.DecodeConnect(next(t, again).Body); err != nil || other.ClientID != c.ClientID || len(other.Properties) != len(c.Properties) {
				t.Fatalf("%+v came back as %+v, %v", c, other, err)
			}
		}
	case wire.PUBLISH:
		var p, other wire.Publish
		if wire.DecodePublish(f.Flags, f.Body, version, &p) == nil {
			g := next(t, wire.AppendPublish(nil, version, &p))
			if err := wire.DecodePublish(g.Flags, g.Body, version, &other); err != nil || !reflect.DeepEqual(p, other) {
				t.Fatalf("%+v came back as %+v, %v", p, other, err)
			}
		}
	case wire.PUBACK, wire.PUBREC, wire.PUBREL, wire.PUBCOMP:
		if a, err := wire.DecodeAck(f.Type, f.Body, version); err == nil {
			if other, err := wire.DecodeAck(f.Type, next(t, wire.AppendAck(nil, version, a)).Body, version); err != nil || a != other {
				t.Fatalf("%+v came back as %+v, %v", a, other, err)
			}
		}
	case wire.SUBSCRIBE:
		if s, err := wire.DecodeSubscribe(f.Body, version, 50); err == nil && len(s.Subscriptions) > 50 {
			t.Fatal("more filters than may be")
		}
	case wire.UNSUBSCRIBE:
		if u, err := wire.DecodeUnsubscribe(f.Body, version, 50); err == nil && len(u.Filters) > 50 {
			t.Fatal("more filters than may be")
		}
	case wire.DISCONNECT:
		_, _ = wire.DecodeDisconnect(f.Body, version)
	case wire.CONNACK:
		_, _ = wire.DecodeConnack(f.Body, version)
	case wire.SUBACK, wire.UNSUBACK:
		_, _, _ = wire.DecodeSuback(f.Type, f.Body, version)
	}
}

func BenchmarkDecodePublish(b *testing.B) {
	packet := wire.AppendPublish(nil, wire.V311, &wire.Publish{ID: 1, Message: wire.Message{Topic: "reports/pump-17", QoS: 1, Payload: make([]byte, 120)}})
	in := bytes.NewReader(nil)
	r := wire.NewReader(in, 4096, 1<<20)
	var p wire.Publish
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(packet)
		f, err := r.Next()
		if err == nil {
			err = wire.DecodePublish(f.Flags, f.Body, wire.V311, &p)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
