package penstock

import (
	"math"
	"strconv"
)

// Kind says which type a [Value] holds. The numbers are part of the formats on
// disk and on the wire and never change.
type Kind uint8

// The kinds of value. A sample of kind None has a bad status.
const (
	None    Kind = 0
	Float64 Kind = 1
	Int64   Kind = 2
	Uint64  Kind = 3
	Bool    Kind = 4
	Text    Kind = 5
)

// String returns the kind's name as it stands in configuration and answers.
func (k Kind) String() string {
	switch k {
	case None:
		return "none"
	case Float64:
		return "float64"
	case Int64:
		return "int64"
	case Uint64:
		return "uint64"
	case Bool:
		return "bool"
	case Text:
		return "text"
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// ParseKind is the inverse of [Kind.String].
func ParseKind(s string) (Kind, bool) {
	for k := None; k <= Text; k++ {
		if k.String() == s {
			return k, true
		}
	}
	return None, false
}

// Value is what a point had: a float64, an int64, a uint64, a bool, a text or
// none. The zero Value is none: an absent value is never an invented zero.
// Values are compared with ==, which for floats means bit for bit (−0.0 is not
// 0.0, and a NaN equals itself).
type Value struct {
	kind Kind
	bits uint64
	text string
}

// FloatValue returns a value of kind [Float64]; every bit of v is kept.
func FloatValue(v float64) Value { return Value{kind: Float64, bits: math.Float64bits(v)} }

// IntValue returns a value of kind [Int64].
func IntValue(v int64) Value { return Value{kind: Int64, bits: uint64(v)} }

// UintValue returns a value of kind [Uint64].
func UintValue(v uint64) Value { return Value{kind: Uint64, bits: v} }

// BoolValue returns a value of kind [Bool].
func BoolValue(v bool) Value {
	if v {
		return Value{kind: Bool, bits: 1}
	}
	return Value{kind: Bool}
}

// TextValue returns a value of kind [Text]; s must be valid UTF-8.
func TextValue(s string) Value { return Value{kind: Text, text: s} }

// BitsValue returns the value of a kind other than [Text] from the bits that
// [Value.Bits] gave. Codecs use it.
func BitsValue(k Kind, bits uint64) Value { return Value{kind: k, bits: bits} }

// Kind returns the kind of the value.
func (v Value) Kind() Kind { return v.kind }

// Bits returns the 64 bits of a value that is not text: IEEE 754 for floats,
// two's complement for integers, 0 or 1 for bools, 0 for none.
func (v Value) Bits() uint64 { return v.bits }

// Float returns the float64; it is meaningful for kind [Float64] only.
func (v Value) Float() float64 { return math.Float64frombits(v.bits) }

// Int returns the int64; it is meaningful for kind [Int64] only.
func (v Value) Int() int64 { return int64(v.bits) }

// Uint returns the uint64; it is meaningful for kind [Uint64] only.
func (v Value) Uint() uint64 { return v.bits }

// Bool returns the bool; it is meaningful for kind [Bool] only.
func (v Value) Bool() bool { return v.bits != 0 }

// Text returns the text; it is meaningful for kind [Text] only.
func (v Value) Text() string { return v.text }

// Number returns the value as a float64, for ranges and aggregates, and false
// for text and none. Integers beyond 2⁵³ are rounded.
func (v Value) Number() (float64, bool) {
	switch v.kind {
	case Float64:
		return v.Float(), true
	case Int64:
		return float64(v.Int()), true
	case Uint64:
		return float64(v.bits), true
	case Bool:
		return float64(v.bits), true
	}
	return 0, false
}

// String returns the value for people and logs.
func (v Value) String() string {
	switch v.kind {
	case Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case Int64:
		return strconv.FormatInt(v.Int(), 10)
	case Uint64:
		return strconv.FormatUint(v.bits, 10)
	case Bool:
		return strconv.FormatBool(v.Bool())
	case Text:
		return v.text
	}
	return "none"
}
