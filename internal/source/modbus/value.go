package modbus

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// Type is how the registers of a point are to be read.
type Type string

// The types.
const (
	Bool  Type = "bool"
	U16   Type = "u16"
	I16   Type = "i16"
	U32   Type = "u32"
	I32   Type = "i32"
	U64   Type = "u64"
	I64   Type = "i64"
	F32   Type = "f32"
	F64   Type = "f64"
	BCD16 Type = "bcd16"
	BCD32 Type = "bcd32"
	Text  Type = "text"
)

// words returns how many registers a value of the type takes, 0 for a type that
// is not known or has no length of its own.
func (t Type) words() int {
	switch t {
	case Bool, U16, I16, BCD16:
		return 1
	case U32, I32, F32, BCD32:
		return 2
	case U64, I64, F64:
		return 4
	}
	return 0
}

// Order is the order of the bytes of a value that takes more than one, as the
// letters of a 32-bit value stand on the wire. The empty order is [ABCD].
type Order string

// The orders.
const (
	ABCD Order = "ABCD"
	CDAB Order = "CDAB"
	BADC Order = "BADC"
	DCBA Order = "DCBA"
)

func (o Order) valid() bool {
	return o == "" || o == ABCD || o == CDAB || o == BADC || o == DCBA
}

// arrange returns the bytes in the standard's order. A text has no words to turn.
func (o Order) arrange(raw []byte, text bool) []byte {
	b := slices.Clone(raw)
	if o == BADC || o == DCBA {
		for i := 0; i+1 < len(b); i += 2 {
			b[i], b[i+1] = b[i+1], b[i]
		}
	}
	if (o == CDAB || o == DCBA) && !text {
		for i, j := 0, len(b)-2; i < j; i, j = i+2, j-2 {
			b[i], b[i+1], b[j], b[j+1] = b[j], b[j+1], b[i], b[i+1]
		}
	}
	return b
}

// read returns the value of the point in raw, the bytes of its registers, or the
// status that says why there is none.
func (p *Point) read(raw []byte) (penstock.Value, penstock.Status) {
	b := p.Order.arrange(raw, p.Type == Text)
	if p.Type == Text {
		return readText(b)
	}
	var bits uint64
	for _, c := range b {
		bits = bits<<8 | uint64(c)
	}
	if slices.Contains(p.Invalid, bits) {
		return penstock.Value{}, badSensor
	}
	switch p.Type {
	case Bool:
		return penstock.BoolValue(bits>>max(p.At.bit, 0)&1 == 1), penstock.Good
	case F32:
		return p.scaled(penstock.FloatValue(float64(math.Float32frombits(uint32(bits)))))
	case F64:
		return p.scaled(penstock.FloatValue(math.Float64frombits(bits)))
	case I16:
		return p.scaled(penstock.IntValue(int64(int16(bits))))
	case I32:
		return p.scaled(penstock.IntValue(int64(int32(bits))))
	case I64:
		return p.scaled(penstock.IntValue(int64(bits)))
	case BCD16, BCD32:
		n, ok := decimal(bits)
		if !ok {
			return penstock.Value{}, penstock.BadDecodingError
		}
		return p.scaled(penstock.UintValue(n))
	}
	return p.scaled(penstock.UintValue(bits))
}

// decimal reads a number of which four bits each are a digit.
func decimal(bits uint64) (n uint64, ok bool) {
	var digits [16]byte
	binary.BigEndian.PutUint64(digits[8:], bits)
	for _, c := range digits[8:] {
		if c>>4 > 9 || c&15 > 9 {
			return 0, false
		}
		n = n*100 + uint64(c>>4)*10 + uint64(c&15)
	}
	return n, true
}

// scaled applies factor and offset. A float that is no number means that there
// is no value.
func (p *Point) scaled(v penstock.Value) (penstock.Value, penstock.Status) {
	if p.Scale != nil || p.Offset != 0 {
		n, _ := v.Number()
		factor := 1.0
		if p.Scale != nil {
			factor = *p.Scale
		}
		v = penstock.FloatValue(n*factor + p.Offset)
	}
	if f := v.Float(); v.Kind() == penstock.Float64 && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return penstock.Value{}, badSensor
	}
	return v, penstock.Good
}

// readText reads a text that ends with the registers or at the first zero byte.
func readText(b []byte) (penstock.Value, penstock.Status) {
	b, _, _ = bytes.Cut(b, []byte{0})
	text := strings.TrimRight(string(b), " ")
	if !utf8.ValidString(text) {
		return penstock.Value{}, penstock.BadDecodingError
	}
	return penstock.TextValue(text), penstock.Good
}
