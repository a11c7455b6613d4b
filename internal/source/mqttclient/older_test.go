package mqttclient

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/eclipse/paho.golang/packets"
)

// script is a broker whose words are known.
type script struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (s *script) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s *script) Write(b []byte) (int, error) { return s.out.Write(b) }

func speak(said string) (*older, *script) {
	s := &script{in: bytes.NewReader([]byte(said))}
	return newOlder(newConn(s, 1<<20)), s
}

// What a broker of 3.1.1 says, the library reads as MQTT 5.
func TestABrokersWords(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 126) // with its topic the length has a byte more in MQTT 5
	for name, c := range map[string]struct {
		said  string
		check func(p *packets.ControlPacket) bool
	}{
		"let in": {"\x20\x02\x01\x00", func(p *packets.ControlPacket) bool {
			a := p.Content.(*packets.Connack)
			return a.SessionPresent && a.ReasonCode == 0
		}},
		"wrong version": {"\x20\x02\x00\x01", func(p *packets.ControlPacket) bool {
			return p.Content.(*packets.Connack).ReasonCode == unsupportedVersion
		}},
		"wrong identifier": {"\x20\x02\x00\x02", func(p *packets.ControlPacket) bool { return p.Content.(*packets.Connack).ReasonCode == 0x85 }},
		"unavailable":      {"\x20\x02\x00\x03", func(p *packets.ControlPacket) bool { return p.Content.(*packets.Connack).ReasonCode == 0x88 }},
		"wrong password":   {"\x20\x02\x00\x04", func(p *packets.ControlPacket) bool { return p.Content.(*packets.Connack).ReasonCode == 0x86 }},
		"not allowed":      {"\x20\x02\x00\x05", func(p *packets.ControlPacket) bool { return p.Content.(*packets.Connack).ReasonCode == 0x87 }},
		"a code of nobody": {"\x20\x02\x00\x63", func(p *packets.ControlPacket) bool { return p.Content.(*packets.Connack).ReasonCode == 0x80 }},
		"publish": {"\x3b\x0a\x00\x03a/b\x00\x07\x00hi", func(p *packets.ControlPacket) bool {
			m := p.Content.(*packets.Publish)
			return m.Topic == "a/b" && m.PacketID == 7 && m.QoS == 1 && m.Retain && m.Duplicate && string(m.Payload) == "\x00hi"
		}},
		"publish of QoS 0": {"\x30\x06\x00\x03a/bx", func(p *packets.ControlPacket) bool {
			m := p.Content.(*packets.Publish)
			return m.Topic == "a/b" && m.QoS == 0 && string(m.Payload) == "x"
		}},
		"a longer length": {"\x30\x7f\x00\x00" + string(long[:125]), func(p *packets.ControlPacket) bool {
			return bytes.Equal(p.Content.(*packets.Publish).Payload, long[:125])
		}},
		"subscribed": {"\x90\x04\x00\x09\x01\x80", func(p *packets.ControlPacket) bool {
			a := p.Content.(*packets.Suback)
			return a.PacketID == 9 && bytes.Equal(a.Reasons, []byte{1, 0x80})
		}},
		"unsubscribed": {"\xb0\x02\x00\x09", func(p *packets.ControlPacket) bool { return p.Content.(*packets.Unsuback).PacketID == 9 }},
		"acknowledged": {"\x40\x02\x00\x09", func(p *packets.ControlPacket) bool { return p.Content.(*packets.Puback).PacketID == 9 }},
		"ping":         {"\xd0\x00", func(p *packets.ControlPacket) bool { return p.Type == packets.PINGRESP }},
	} {
		o, _ := speak(c.said + "\xd0\x00")
		p, err := packets.ReadPacket(o)
		if err != nil || !c.check(p) {
			t.Errorf("%s: %+v, %v", name, p, err)
			continue
		}
		if p, err := packets.ReadPacket(o); err != nil || p.Type != packets.PINGRESP {
			t.Errorf("%s: then %v, %v", name, p, err)
		}
	}
	for _, broken := range []string{"\x20\x01\x00", "\x90\x02\x00\x01", "\xb0\x01\x00", "\x30\x03\x00\x05a", "\x32\x05\x00\x03a/b", "\x30\xff\xff\xff\xff\x01", "\x30\x05\x00"} {
		o, _ := speak(broken)
		if p, err := packets.ReadPacket(o); err == nil {
			t.Errorf("% x passes for %v", broken, p)
		}
	}
}

// What the library says in MQTT 5 goes out in 3.1.1, in whatever pieces it is written.
func TestTheLibrarysWords(t *testing.T) {
	maximum, expiry := uint16(7), uint32(60)
	with := &packets.Properties{User: []packets.User{{Key: "a", Value: "b"}}}
	for name, c := range map[string]struct {
		say  packets.Packet
		kind byte
		want string
	}{
		"connect": {&packets.Connect{
			ProtocolName: "MQTT", ProtocolVersion: 5, ClientID: "me", UsernameFlag: true, Username: "u", PasswordFlag: true, Password: []byte("p"), KeepAlive: 30,
			Properties: &packets.Properties{ReceiveMaximum: &maximum, SessionExpiryInterval: &expiry},
		}, packets.CONNECT, "\x10\x14\x00\x04MQTT\x04\xc0\x00\x1e\x00\x02me\x00\x01u\x00\x01p"},
		"subscribe": {&packets.Subscribe{PacketID: 3, Properties: with, Subscriptions: []packets.SubOptions{
			{Topic: "a/#", QoS: 1, RetainHandling: 2}, {Topic: "b", QoS: 1, NoLocal: true},
		}}, packets.SUBSCRIBE, "\x82\x0c\x00\x03\x00\x03a/#\x01\x00\x01b\x01"},
		"unsubscribe":      {&packets.Unsubscribe{PacketID: 3, Properties: with, Topics: []string{"a"}}, packets.UNSUBSCRIBE, "\xa2\x05\x00\x03\x00\x01a"},
		"acknowledge":      {&packets.Puback{PacketID: 3, ReasonCode: 0x10, Properties: with}, packets.PUBACK, "\x40\x02\x00\x03"},
		"publish of QoS 0": {&packets.Publish{Topic: "a", Payload: []byte("x"), Properties: with}, packets.PUBLISH, "\x30\x04\x00\x01ax"},
		"publish of QoS 1": {&packets.Publish{Topic: "a", QoS: 1, PacketID: 9, Payload: []byte("x"), Properties: &packets.Properties{}}, packets.PUBLISH, "\x32\x06\x00\x01a\x00\x09x"},
		"ping":             {&packets.Pingreq{}, packets.PINGREQ, "\xc0\x00"},
		"disconnect":       {&packets.Disconnect{ReasonCode: 4, Properties: with}, packets.DISCONNECT, "\xe0\x00"},
	} {
		var whole bytes.Buffer
		p := packets.NewControlPacket(c.kind)
		p.Content = c.say
		if _, err := p.WriteTo(&whole); err != nil {
			t.Fatal(err)
		}
		whole.Write(whole.Bytes()) // twice
		for _, step := range []int{1, 3, 1000} {
			o, s := speak("")
			for rest := whole.Bytes(); len(rest) > 0; rest = rest[min(step, len(rest)):] {
				if n, err := o.Write(rest[:min(step, len(rest))]); err != nil || n != min(step, len(rest)) {
					t.Fatal(n, err)
				}
			}
			if got := s.out.String(); got != c.want+c.want {
				t.Errorf("%s in pieces of %d: % x, not % x twice", name, step, got, c.want)
			}
		}
	}
}

// Whatever a broker sends, nothing but whole packets comes out, and no more memory is
// taken than came.
func FuzzOlder(f *testing.F) {
	f.Add([]byte("\x20\x02\x00\x00\x90\x03\x00\x01\x01\x32\x08\x00\x03a/b\x00\x01x\xd0\x00"))
	f.Add([]byte("\x30\xff\xff\x7f\x00\x00"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		o, _ := speak(string(stream))
		got, _ := io.ReadAll(o)
		if len(got) > 2*len(stream)+16 {
			t.Fatalf("%d bytes became %d", len(stream), len(got))
		}
		for len(got) > 0 {
			head, body, err := split(got)
			if err != nil || head == 0 {
				t.Fatalf("no whole packet: % x", got)
			}
			got = got[head+body:]
		}

	})
}
