package link

import (
	"math"
	"time"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// string reads a string of at most limit bytes of UTF-8.
func (c *cursor) string(field string, limit int) string {
	b := c.text(field, limit)
	if !utf8.Valid(b) {
		c.fail(field, "it is not valid UTF-8")
	}
	return string(b)
}

// sequence reads a number that is at most the largest epoch or seq.
func (c *cursor) sequence(field string) uint64 {
	n := c.uvarint(field)
	if n > penstock.MaxSequence {
		c.fail(field, "%d is above 2^53-1", n)
		return 0
	}
	return n
}

// epoch reads an epoch of at least 1.
func (c *cursor) epoch() uint64 {
	n := c.sequence("epoch")
	if n == 0 {
		c.fail("epoch", "it is at least 1")
	}
	return n
}

// milliseconds reads a time span.
func (c *cursor) milliseconds(field string) time.Duration {
	n := c.uvarint(field)
	if n > math.MaxInt64/uint64(time.Millisecond) {
		c.fail(field, "%d ms are too long", n)
		return 0
	}
	return time.Duration(n) * time.Millisecond
}

// end returns the error of reading a payload that has to be read to its end.
func (c *cursor) end(k Kind) error {
	if c.err == nil && c.at != len(c.b) {
		c.from = c.at
		c.fail("end", "%d bytes are left over", len(c.b)-c.at)
	}
	if c.err != nil {
		return FaultPayload.Errorf("%v, %v", k, c.err)
	}
	return nil
}

// milliseconds returns the whole milliseconds in d, rounded up, 0 for what is
// negative.
func milliseconds(d time.Duration) uint64 {
	d = max(d, 0)
	n := d / time.Millisecond
	if d%time.Millisecond > 0 {
		n++
	}
	return uint64(n)
}

// cut returns at most limit bytes of s, and no part of a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
