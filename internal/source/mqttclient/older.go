package mqttclient

import (
	"encoding/binary"
	"io"
	"net"

	"github.com/penstock/penstock"
)

// older is a connection to a broker of MQTT 3.1.1 for a library that speaks MQTT 5.
// For a client that subscribes the two differ by a few bytes a packet: a version,
// properties, codes. What it has of MQTT 5 alone is left out on the way.
type older struct {
	net.Conn        // whose reads end with a packet
	come     []byte // of the broker's packet, what was not read yet
	room     []byte
	sent     []byte // of the library's packet, what was written so far
}

func newOlder(c *conn) *older { return &older{Conn: c} }

// The kinds of packets that differ.
const (
	kindConnect     = 1
	kindConnack     = 2
	kindPublish     = 3
	kindPuback      = 4
	kindPubcomp     = 7
	kindSubscribe   = 8
	kindSuback      = 9
	kindUnsubscribe = 10
	kindUnsuback    = 11
	kindDisconnect  = 14
)

// The versions in CONNECT.
const (
	level311 = 4
	level5   = 5
)

// connackReasons are the reason codes of MQTT 5 for the return codes of 3.1.1.
var connackReasons = []byte{0, 0x84, 0x85, 0x88, 0x86, 0x87}

// Read implements [net.Conn] with the broker's packets as MQTT 5 has them.
func (o *older) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if len(o.come) == 0 {
		packet, err := readPacket(o.Conn, o.room[:0])
		if err != nil {
			return 0, err
		}
		o.room = packet
		if o.come, err = newer(packet); err != nil {
			return 0, err
		}
	}
	n := copy(b, o.come)
	if o.come = o.come[n:]; len(o.come) == 0 && cap(o.room) > readAhead {
		o.room = nil // one large packet keeps no room for ever
	}
	return n, nil
}

// Write implements [net.Conn]: a packet of MQTT 5 goes out when it is whole.
func (o *older) Write(b []byte) (int, error) {
	o.sent = append(o.sent, b...)
	for {
		head, body, err := split(o.sent)
		if err != nil || head == 0 {
			return len(b), err
		}
		packet, err := plain(o.sent[0], o.sent[head:head+body])
		if err == nil {
			_, err = o.Conn.Write(packet)
		}
		if err != nil {
			return 0, err
		}
		o.sent = append(o.sent[:0], o.sent[head+body:]...)
	}
}

// split returns the sizes of a packet's header and body, 0 and 0 where b does not
// hold it whole.
func split(b []byte) (head, body int, err error) {
	for i := 1; i <= 4; i++ {
		if i >= len(b) {
			return 0, 0, nil
		}
		body |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i] < 0x80 {
			if len(b) < 1+i+body {
				return 0, 0, nil
			}
			return 1 + i, body, nil
		}
	}
	return 0, 0, errLength()
}

func errLength() error {
	return penstock.Errorf(penstock.Invalid, "what the broker sends is not MQTT: a length has more than four bytes")
}

// readPacket appends the next packet. The connection has seen to its size.
func readPacket(r io.Reader, b []byte) ([]byte, error) {
	for {
		head, body, err := split(b)
		if err != nil || head > 0 && len(b) == head+body {
			return b, err
		}
		start := len(b)
		b = append(b, make([]byte, missing(b))...)
		if _, err := io.ReadFull(r, b[start:]); err != nil {
			return b, err
		}
	}
}

// missing returns how many bytes can be read without going beyond the packet.
func missing(b []byte) int {
	if len(b) < 2 {
		return 2 - len(b)
	}
	body, at := 0, 1
	for ; at < len(b) && at <= 4; at++ {
		body |= int(b[at]&0x7f) << (7 * (at - 1))
		if b[at] < 0x80 {
			return 1 + at + body - len(b)
		}
	}
	return 1
}

// packet puts a header before a body that is given in parts.
func packet(first byte, parts ...[]byte) []byte {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	b := binary.AppendUvarint(append(make([]byte, 0, 5+size), first), uint64(size)) // MQTT's lengths are of the same form
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// noProperties stand where MQTT 5 has properties and 3.1.1 has nothing.
var noProperties = []byte{0}

// newer returns a broker's packet as MQTT 5 has it.
func newer(b []byte) ([]byte, error) {
	head, _, err := split(b)
	if err != nil {
		return nil, err
	}
	first, body := b[0], b[head:]
	kind := first >> 4
	short := func(n int) bool { return len(body) < n }
	switch {
	case kind == kindConnack && !short(2):
		reason := byte(0x80)
		if code := int(body[1]); code < len(connackReasons) {
			reason = connackReasons[code]
		}
		return packet(first, body[:1], []byte{reason}, noProperties), nil
	case kind == kindPublish:
		at, ok := beforeProperties(first, body)
		if !ok {
			break
		}
		return packet(first, body[:at], noProperties, body[at:]), nil
	case kind == kindSuback && !short(3):
		return packet(first, body[:2], noProperties, body[2:]), nil
	case kind == kindUnsuback && !short(2):
		return packet(first, body[:2], noProperties, noProperties), nil
	case kind == kindConnack || kind == kindSuback || kind == kindUnsuback:
	default:
		return b, nil
	}
	return nil, penstock.Errorf(penstock.Invalid, "the broker sends a packet of kind %d that ends too soon", kind)
}

// beforeProperties returns where the properties of a publish stand, or would.
func beforeProperties(first byte, body []byte) (int, bool) {
	if len(body) < 2 {
		return 0, false
	}
	at := 2 + int(binary.BigEndian.Uint16(body))
	if first>>1&3 > 0 {
		at += 2 // the packet identifier
	}
	return at, at <= len(body)
}

// plain returns the library's packet as MQTT 3.1.1 has it.
func plain(first byte, body []byte) ([]byte, error) {
	switch kind := first >> 4; kind {
	case kindConnect:
		const level, properties = 6, 10 // behind the protocol's name; flags and keepalive are between
		rest, ok := afterProperties(body, properties)
		if !ok || body[level] != level5 {
			break
		}
		return packet(first, body[:level], []byte{level311}, body[level+1:properties], rest), nil
	case kindPublish:
		at, ok := beforeProperties(first, body)
		if !ok {
			break
		}
		rest, ok := afterProperties(body, at)
		if !ok {
			break
		}
		return packet(first, body[:at], rest), nil
	case kindSubscribe, kindUnsubscribe:
		rest, ok := afterProperties(body, 2)
		if !ok {
			break
		}
		return packet(first, body[:2], filters(rest, kind == kindSubscribe)), nil
	case kindDisconnect:
		return packet(first), nil
	default:
		if kind >= kindPuback && kind <= kindPubcomp && len(body) > 2 {
			body = body[:2] // its reason
		}
		return packet(first, body), nil
	}
	return nil, penstock.Errorf(penstock.Internal, "a packet of kind %d cannot be said in MQTT 3.1.1", first>>4)
}

// afterProperties returns what follows the properties that begin at a place.
func afterProperties(body []byte, at int) ([]byte, bool) {
	if at >= len(body) {
		return nil, false
	}
	size, n := binary.Uvarint(body[at:])
	if n <= 0 || size > uint64(len(body)-at-n) {
		return nil, false
	}
	return body[at+n+int(size):], true
}

// filters returns the topic filters with nothing of their options but the QoS.
func filters(rest []byte, options bool) []byte {
	if !options {
		return rest
	}
	list := append([]byte(nil), rest...)
	for at := 0; at+2 < len(list); at++ {
		at += 2 + int(binary.BigEndian.Uint16(list[at:]))
		if at < len(list) {
			list[at] &= 3
		}
	}
	return list
}
