package sparkplug

import (
	"math"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// datatype is the type of a metric, as the specification numbers them.
type datatype uint32

const (
	typeInt8     datatype = 1
	typeInt16    datatype = 2
	typeInt32    datatype = 3
	typeInt64    datatype = 4
	typeUInt8    datatype = 5
	typeUInt16   datatype = 6
	typeUInt32   datatype = 7
	typeUInt64   datatype = 8
	typeFloat    datatype = 9
	typeDouble   datatype = 10
	typeBoolean  datatype = 11
	typeString   datatype = 12
	typeDateTime datatype = 13
	typeText     datatype = 14
	typeUUID     datatype = 15
)

// carried tells whether a point can have values of the type.
func (t datatype) carried() bool { return t >= typeInt8 && t <= typeUUID }

// place returns the field where a value of the type belongs. Whole numbers may
// stand in that of 32 bits too.
func (t datatype) place() uint64 {
	switch t {
	case typeFloat:
		return metricFloat
	case typeDouble:
		return metricDouble
	case typeBoolean:
		return metricBool
	case typeString, typeText, typeUUID:
		return metricString
	}
	return metricLong
}

// value returns the metric's value as one of its type. Errors have code
// [penstock.Invalid], or [penstock.TooLarge] for a text.
func (t datatype) value(m *metric) (penstock.Value, error) {
	place := m.source
	switch place {
	case 0:
		return penstock.Value{}, nil
	case metricInt:
		place = metricLong
	}
	if m.null {
		return penstock.Value{}, nil
	}
	if place != t.place() {
		return penstock.Value{}, penstock.Errorf(penstock.Invalid, "the value is not where one of datatype %d belongs", t)
	}
	switch place {
	case metricFloat:
		return penstock.FloatValue(float64(math.Float32frombits(uint32(m.bits)))), nil
	case metricDouble:
		return penstock.FloatValue(math.Float64frombits(m.bits)), nil
	case metricBool:
		return penstock.BoolValue(m.bits != 0), nil
	case metricString:
		return text(m.text)
	}
	if t <= typeInt64 {
		return t.signed(m.bits)
	}
	return t.unsigned(m.bits)
}

// bits returns the width of a whole number.
func (t datatype) bits() uint {
	switch t {
	case typeInt8, typeUInt8:
		return 8
	case typeInt16, typeUInt16:
		return 16
	case typeInt32, typeUInt32:
		return 32
	}
	return 64
}

// signed reads two's complement of the type's width, or the same number extended
// to 32 or 64 bits: senders differ.
func (t datatype) signed(bits uint64) (penstock.Value, error) {
	unused := 64 - t.bits()
	n := int64(bits<<unused) >> unused
	for _, width := range []uint{t.bits(), 32, 64} {
		if bits == uint64(n)&(math.MaxUint64>>(64-width)) {
			return penstock.IntValue(n), nil
		}
	}
	return penstock.Value{}, penstock.Errorf(penstock.Invalid, "%d does not fit a signed number of %d bits", int64(bits), t.bits())
}

func (t datatype) unsigned(bits uint64) (penstock.Value, error) {
	if bits > math.MaxUint64>>(64-t.bits()) {
		return penstock.Value{}, penstock.Errorf(penstock.Invalid, "%d does not fit an unsigned number of %d bits", bits, t.bits())
	}
	return penstock.UintValue(bits), nil
}

func text(b []byte) (penstock.Value, error) {
	if len(b) > penstock.MaxText {
		return penstock.Value{}, penstock.Errorf(penstock.TooLarge, "a text has at most %d bytes, this one has %d", penstock.MaxText, len(b))
	}
	if !utf8.Valid(b) {
		return penstock.Value{}, penstock.Errorf(penstock.Invalid, "the text is not valid UTF-8")
	}
	return penstock.TextValue(string(b)), nil
}

// The qualities that the specification names.
const (
	qualityBad   = 0
	qualityGood  = 192
	qualityStale = 500
)

// lastBeforeLoss says that the value is the last one before its source was lost.
const lastBeforeLoss penstock.Status = 0x408F0000 // Uncertain_NoCommunicationLastUsableValue

// statusOf returns the status that the metric's quality and value ask for.
func statusOf(m *metric, v penstock.Value) penstock.Status {
	status := penstock.Good
	if m.qualified {
		status = statusOfQuality(m.quality)
	}
	switch {
	case v.Kind() != penstock.None || status.IsBad():
		return status
	case status == lastBeforeLoss:
		return penstock.BadNoCommunication
	}
	return penstock.Bad
}

// statusOfQuality reads the specification's qualities, and those of OPC DA, which
// some edge nodes send: their severity stands in bits 6 and 7.
func statusOfQuality(q uint32) penstock.Status {
	switch {
	case q == qualityStale:
		return lastBeforeLoss
	case q == qualityGood || q < 256 && q&0xC0 == 0xC0:
		return penstock.Good
	case q == qualityBad || q < 256 && q&0xC0 == 0:
		return penstock.Bad
	}
	return penstock.Uncertain
}
