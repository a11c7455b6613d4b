package wire

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// cursor reads the fields of a packet. The first error stays; what is read after
// it is zero.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) fail(code Code, format string, args ...any) {
	if c.err == nil {
		c.err = &Error{Code: code, Text: fmt.Sprintf(format, args...)}
	}
	c.rest = nil
}

func (c *cursor) take(n int, what string) []byte {
	if n > len(c.rest) {
		c.fail(Malformed, "the packet ends inside of the %s", what)
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) byte(what string) byte {
	if b := c.take(1, what); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) short(what string) uint16 {
	if b := c.take(2, what); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) long(what string) uint32 {
	if b := c.take(4, what); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) bytes(what string) []byte { return c.take(int(c.short(what)), what) }

// text reads a string of UTF-8 without the character zero.
func (c *cursor) text(what string) string {
	b := c.bytes(what)
	if !utf8.Valid(b) {
		c.fail(Malformed, "the %s is not valid UTF-8", what)
		return ""
	}
	for _, x := range b {
		if x == 0 {
			c.fail(Malformed, "the %s has the character zero", what)
			return ""
		}
	}
	return string(b)
}

// varint reads a number in the form of a remaining length. It must be written in
// as few bytes as possible.
func (c *cursor) varint(what string) uint32 {
	n, size := parseVarint(c.rest)
	switch {
	case size < 0:
		c.fail(Malformed, "the %s is no variable byte integer", what)
	case size == 0:
		c.fail(Malformed, "the packet ends inside of the %s", what)
	default:
		c.rest = c.rest[size:]
	}
	return n
}

// parseVarint returns the number at the beginning of b and how many bytes it
// takes: 0 when it goes on after b, -1 when it is none.
func parseVarint(b []byte) (n uint32, size int) {
	for i := range 4 {
		if i == len(b) {
			return 0, 0
		}
		n |= uint32(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			if i > 0 && b[i] == 0 {
				return 0, -1
			}
			return n, i + 1
		}
	}
	return 0, -1
}

// id reads the identifier of a packet, which is never 0.
func (c *cursor) id() uint16 {
	id := c.short("packet identifier")
	if id == 0 {
		c.fail(ProtocolError, "the packet identifier is 0")
	}
	return id
}

// end refuses bytes that belong to no field.
func (c *cursor) end() error {
	if len(c.rest) > 0 {
		c.fail(Malformed, "%d bytes are left after the packet's last field", len(c.rest))
	}
	return c.err
}

// properties reads the properties of a packet of type t.
func (c *cursor) properties(t Type) Properties {
	n := c.varint("length of the properties")
	if n == 0 {
		return nil
	}
	inner := cursor{rest: c.take(int(n), "properties"), err: c.err}
	var list Properties
	for len(inner.rest) > 0 {
		f := inner.property(t)
		repeats := f.ID == UserProperty || f.ID == SubscriptionID && t == PUBLISH
		if !repeats && list.Has(f.ID) {
			inner.fail(ProtocolError, "property %d is there twice", f.ID)
		}
		if len(list) == maxProperties {
			inner.fail(QuotaExceeded, "the packet has more than %d properties", maxProperties)
		}
		list = append(list, f)
	}
	if inner.err != nil {
		c.err, c.rest = inner.err, nil
	}
	return list
}

func (c *cursor) property(t Type) Field {
	id := c.varint("identifier of a property")
	f := Field{ID: Property(id)}
	r := ruleOf(f.ID)
	if id != uint32(f.ID) || r.form == formNone || r.in&(1<<t) == 0 {
		c.fail(Malformed, "property %d does not belong into a %s packet", id, t)
		return f
	}
	const what = "value of a property"
	switch r.form {
	case formFlag:
		if f.Number = uint32(c.byte(what)); f.Number > 1 {
			c.fail(ProtocolError, "property %d is %d, neither 0 nor 1", f.ID, f.Number)
		}
	case formShort:
		f.Number = uint32(c.short(what))
	case formLong:
		f.Number = c.long(what)
	case formVarint:
		f.Number = c.varint(what)
	case formText:
		f.Text = c.text(what)
	case formBytes:
		f.Text = string(c.bytes(what))
	case formPair:
		f.Text, f.Value = c.text("name of a user property"), c.text("value of a user property")
	}
	if f.Number == 0 && mustNotBeZero(f.ID) {
		c.fail(ProtocolError, "property %d is 0", f.ID)
	}
	return f
}

func mustNotBeZero(p Property) bool {
	return p == ReceiveMaximum || p == MaximumPacket || p == SubscriptionID
}
