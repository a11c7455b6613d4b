package chunk

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// Value columns start with a byte that says how they are written.
const (
	valuesInts    = 0 // integers, bools, indices of texts
	valuesDecimal = 1 // floats as integers over a power of ten
	valuesXored   = 2 // floats bit by bit
)

// MaxExponent is the largest power of ten of the decimal form. Sensors rarely
// have more places, and powers up to 22 are exact in a float.
const MaxExponent = 12

// maxExceptions is the part of floats that may be no decimals, one in so many.
const maxExceptions = 16

var powers = [MaxExponent + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12}

// Decimal returns v × 10^e, for e from 0 to [MaxExponent], and whether dividing
// it again gives every bit of v.
func Decimal(v float64, e int) (int64, bool) {
	scaled := math.RoundToEven(v * powers[e])
	if !(math.Abs(scaled) < 1<<53) {
		return 0, false
	}
	i := int64(scaled)
	return i, math.Float64bits(float64(i)/powers[e]) == math.Float64bits(v)
}

// FromDecimal is the inverse of [Decimal].
func FromDecimal(i int64, e int) float64 { return float64(i) / powers[e] }

// exponent returns the smallest power of ten that nearly all of a spread sample
// of the floats need.
func (c *Columns) exponent() (int, bool) {
	const spread = 64
	step := max(1, c.Len()/spread)
	for e := range powers {
		tried, failed := 0, 0
		for i := 0; i < c.Len(); i += step {
			if c.QualityAt(i).None {
				continue
			}
			tried++
			if _, ok := Decimal(math.Float64frombits(c.Bits[i]), e); !ok {
				failed++
			}
		}
		if failed*maxExceptions <= tried {
			return e, true
		}
	}
	return 0, false
}

// decimals returns the floats as integers over 10^e, and the indices of those
// that are none; there, and where there is no value, the integer before stands
// again.
func (c *Columns) decimals(e int, out []uint64) (ints []uint64, exceptions []int) {
	var before uint64
	for i, b := range c.Bits {
		if !c.QualityAt(i).None {
			if v, ok := Decimal(math.Float64frombits(b), e); ok {
				before = uint64(v)
			} else {
				exceptions = append(exceptions, i)
			}
		}
		out = append(out, before)
	}
	return out, exceptions
}

func (e *Encoder) appendFloats(dst []byte, c *Columns, f form) []byte {
	if power, ok := c.exponent(); ok {
		ints, exceptions := c.decimals(power, e.ints[:0])
		e.ints = ints
		if len(exceptions)*maxExceptions <= 2*c.Len() {
			dst = append(dst, valuesDecimal, byte(power))
			dst = binary.AppendUvarint(dst, uint64(len(exceptions)))
			last := 0
			for _, i := range exceptions {
				dst = binary.AppendUvarint(dst, uint64(i-last))
				dst = binary.LittleEndian.AppendUint64(dst, c.Bits[i])
				last = i
			}
			dst, e.scratch = appendInts(dst, ints, f, e.scratch)
			return dst
		}
	}
	dst = append(dst, valuesXored)
	dst, e.scratch = appendXored(dst, e.filled(c), f, e.scratch)
	return dst
}

// filled returns the bits with the value before in the place of a missing one.
func (e *Encoder) filled(c *Columns) []uint64 {
	if c.Quality == nil {
		return c.Bits
	}
	out := e.ints[:0]
	var before uint64
	for i, b := range c.Bits {
		if !c.Quality[i].None {
			before = b
		}
		out = append(out, before)
	}
	e.ints = out
	return out
}

func (e *Encoder) appendValues(dst []byte, c *Columns, f form) []byte {
	switch c.Kind {
	case penstock.None:
		return dst
	case penstock.Float64:
		return e.appendFloats(dst, c, f)
	case penstock.Text:
		dst = binary.AppendUvarint(dst, uint64(len(c.Texts)))
		for _, s := range c.Texts {
			dst = binary.AppendUvarint(dst, uint64(len(s)))
			dst = append(dst, s...)
		}
	}
	dst = append(dst, valuesInts)
	dst, e.scratch = appendInts(dst, e.filled(c), f, e.scratch)
	return dst
}

func (c *Columns) readValues(b []byte, n int, f form) bool {
	var ok bool
	switch c.Kind {
	case penstock.None:
		c.Bits = c.zeros(n)
		return len(b) == 0
	case penstock.Text:
		if b, ok = c.readTexts(b); !ok {
			return false
		}
	}
	if len(b) == 0 {
		return false
	}
	way, b := b[0], b[1:]
	switch {
	case way == valuesDecimal && c.Kind == penstock.Float64:
		ok = c.readDecimals(b, n, f)
	case way == valuesXored && c.Kind == penstock.Float64, way == valuesInts && c.Kind != penstock.Float64:
		c.Bits, b, ok = readInts(b, n, f, c.Bits)
		ok = ok && len(b) == 0
	}
	return ok && c.clearMissing()
}

// clearMissing puts 0 where there is no value and checks the others' range.
func (c *Columns) clearMissing() bool {
	for i, q := range c.Quality {
		if q.None {
			c.Bits[i] = 0
		}
	}
	limit := uint64(math.MaxUint64)
	switch c.Kind {
	case penstock.Bool:
		limit = 1
	case penstock.Text:
		limit = uint64(len(c.Texts)) - 1
	default:
		return true
	}
	for i, b := range c.Bits {
		if b > limit && !c.QualityAt(i).None {
			return false
		}
	}
	return true
}

func (c *Columns) readTexts(b []byte) ([]byte, bool) {
	count, b, ok := uvarint(b)
	if !ok || count == 0 || count > MaxSamples {
		return nil, false
	}
	for range count {
		var size uint64
		if size, b, ok = uvarint(b); !ok || size > uint64(len(b)) || !utf8.Valid(b[:size]) {
			return nil, false
		}
		c.Texts = append(c.Texts, string(b[:size]))
		b = b[size:]
	}
	return b, true
}

func (c *Columns) readDecimals(b []byte, n int, f form) bool {
	if len(b) == 0 || b[0] > MaxExponent {
		return false
	}
	power := powers[b[0]]
	count, b, ok := uvarint(b[1:])
	if !ok || count > uint64(n) {
		return false
	}
	exceptions := b
	for range count {
		if _, b, ok = uvarint(b); !ok || len(b) < 8 {
			return false
		}
		b = b[8:]
	}
	if c.Bits, b, ok = readInts(b, n, f, c.Bits); !ok || len(b) != 0 {
		return false
	}
	for i, v := range c.Bits {
		c.Bits[i] = math.Float64bits(float64(int64(v)) / power)
	}
	at := uint64(0)
	for range count {
		var gap uint64
		gap, exceptions, _ = uvarint(exceptions)
		if gap >= uint64(n)-at {
			return false
		}
		at += gap
		c.Bits[at] = binary.LittleEndian.Uint64(exceptions)
		exceptions = exceptions[8:]
	}
	return true
}

func (c *Columns) zeros(n int) []uint64 {
	if cap(c.Bits) < n {
		return make([]uint64, n, max(n, MaxSamples))
	}
	b := c.Bits[:n]
	clear(b)
	return b
}
