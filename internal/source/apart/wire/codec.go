package wire

import (
	"encoding/binary"
	"iter"
	"math"

	"github.com/penstock/penstock"
)

// Out is a body that is being written.
type Out []byte

// Uint writes a number.
func (o *Out) Uint(v uint64) { *o = binary.AppendUvarint(*o, v) }

// Int writes a number that may be negative.
func (o *Out) Int(v int64) { *o = binary.AppendVarint(*o, v) }

// Float writes a number, to the bit.
func (o *Out) Float(v float64) { *o = binary.LittleEndian.AppendUint64(*o, math.Float64bits(v)) }

// Bool writes a truth.
func (o *Out) Bool(v bool) {
	if v {
		o.Uint(1)
	} else {
		o.Uint(0)
	}
}

// Bytes writes bytes with their number before them.
func (o *Out) Bytes(b []byte) {
	o.Uint(uint64(len(b)))
	*o = append(*o, b...)
}

// Text writes a text.
func (o *Out) Text(s string) {
	o.Uint(uint64(len(s)))
	*o = append(*o, s...)
}

// Texts writes a list of texts.
func (o *Out) Texts(list []string) {
	o.Uint(uint64(len(list)))
	for _, s := range list {
		o.Text(s)
	}
}

// In is a body that is being read. What cannot be read is zero, and Err says so.
type In struct {
	rest   []byte
	broken bool
}

// Read returns a body to be read.
func Read(body []byte) *In { return &In{rest: body} }

// Err returns an error when something could not be read, or something is left.
func (i *In) Err() error {
	if i.broken || len(i.rest) > 0 {
		return penstock.Errorf(penstock.Corrupt, "a frame came from the other process that cannot be read")
	}
	return nil
}

func (i *In) fail() { i.rest, i.broken = nil, true }

// Uint reads a number.
func (i *In) Uint() uint64 {
	v, n := binary.Uvarint(i.rest)
	if n <= 0 {
		i.fail()
		return 0
	}
	i.rest = i.rest[n:]
	return v
}

// Int reads a number that may be negative.
func (i *In) Int() int64 {
	v, n := binary.Varint(i.rest)
	if n <= 0 {
		i.fail()
		return 0
	}
	i.rest = i.rest[n:]
	return v
}

// Float reads a number.
func (i *In) Float() float64 {
	if len(i.rest) < 8 {
		i.fail()
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(i.rest))
	i.rest = i.rest[8:]
	return v
}

// Byte reads a number of at most 255.
func (i *In) Byte() uint8 {
	v := i.Uint()
	if v > math.MaxUint8 {
		i.fail()
		return 0
	}
	return uint8(v)
}

// Bool reads a truth.
func (i *In) Bool() bool {
	v := i.Uint()
	if v > 1 {
		i.fail()
	}
	return v == 1
}

// Bytes reads bytes. They are a part of the body.
func (i *In) Bytes() []byte {
	n := i.Uint()
	if n > uint64(len(i.rest)) {
		i.fail()
		return nil
	}
	b := i.rest[:n:n]
	i.rest = i.rest[n:]
	return b
}

// Text reads a text.
func (i *In) Text() string { return string(i.Bytes()) }

// Each reads the length of a list, whose elements have at least a byte each, and
// counts them until one cannot be read.
func (i *In) Each() iter.Seq[int] {
	n := i.Uint()
	if n > uint64(len(i.rest)) {
		i.fail()
	}
	return func(yield func(int) bool) {
		for k := 0; uint64(k) < n && !i.broken && yield(k); k++ {
		}
	}
}

// Texts reads a list of texts, nil for an empty one.
func (i *In) Texts() (list []string) {
	for range i.Each() {
		list = append(list, i.Text())
	}
	return list
}
