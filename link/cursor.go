package link

import (
	"encoding/binary"
	"fmt"

	"github.com/penstock/penstock"
)

// cursor reads one report, or one payload, from left to right. The first failure stays, and what is
// read after it means nothing, so that the caller looks at err once a sample.
type cursor struct {
	b      []byte
	at     int // offset of the next byte
	from   int // offset of what was read last: errors name it
	sample int // index of the sample being read, -1 before the first
	err    error
}

// fail notes an error of code Invalid with the offset and the field.
func (c *cursor) fail(field, format string, args ...any) {
	c.failWith(penstock.Invalid, field, fmt.Sprintf(format, args...))
}

func (c *cursor) failWith(code penstock.Code, field, text string) {
	if c.err != nil {
		return
	}
	if c.sample >= 0 {
		field = fmt.Sprintf("samples/%d/%s", c.sample, field)
	}
	c.err = penstock.Errorf(code, "byte %d, %s: %s", c.from, field, text)
}

// check notes what a rule of the domain says about a field.
func (c *cursor) check(field string, err error) {
	if err != nil {
		c.failWith(penstock.CodeOf(err), field, err.Error())
	}
}

func (c *cursor) byte(field string) byte {
	c.from = c.at
	if c.at < len(c.b) {
		v := c.b[c.at]
		c.at++
		return v
	}
	c.fail(field, "the input ends here")
	return 0
}

// fixed64 reads a number of eight bytes, the lowest first.
func (c *cursor) fixed64(field string) uint64 {
	if b := c.take(field, 8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// take returns the next n bytes; they are the input's, not a copy.
func (c *cursor) take(field string, n int) []byte {
	c.from = c.at
	if n > len(c.b)-c.at {
		c.fail(field, "%d bytes are due, but the input ends after %d", n, len(c.b)-c.at)
		return nil
	}
	v := c.b[c.at : c.at+n]
	c.at += n
	return v
}

// uvarint reads a number of seven bits a byte, the lowest first, in as few
// bytes as it needs.
func (c *cursor) uvarint(field string) uint64 {
	c.from = c.at
	if c.at < len(c.b) && c.b[c.at] < 0x80 {
		c.at++
		return uint64(c.b[c.at-1])
	}
	return c.longUvarint(field)
}

func (c *cursor) longUvarint(field string) uint64 {
	var v uint64
	for i, b := range c.b[c.at:] {
		if i == 9 && b > 1 {
			c.fail(field, "the number has more than 64 bits")
			return 0
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b >= 0x80 {
			continue
		}
		if b == 0 {
			c.fail(field, "the number has a needless byte")
			return 0
		}
		c.at += i + 1
		return v
	}
	c.fail(field, "the number is cut off")
	return 0
}

// text reads a length and as many bytes.
func (c *cursor) text(field string, limit int) []byte {
	n := c.uvarint(field)
	if n > uint64(limit) {
		c.fail(field, "it has %d bytes, at most %d are allowed", n, limit)
		return nil
	}
	return c.take(field, int(n))
}
