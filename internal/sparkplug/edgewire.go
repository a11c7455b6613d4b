package sparkplug

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/penstock/penstock"
)

// outgoing is a metric to be written.
type outgoing struct {
	name       string // empty where the alias stands for it
	alias      uint64
	aliased    bool
	at         int64    // milliseconds since 1970
	datatype   datatype // told with a birth, 0 otherwise
	as         datatype // by which the value is written
	value      penstock.Value
	historical bool
	quality    uint32
	unit       string // told with a birth
}

// appendStamp begins a payload with its time.
func appendStamp(b []byte, now time.Time) []byte {
	return appendField(b, payloadTimestamp, uint64(max(0, now.UnixMilli())))
}

// appendField appends a field that is a number.
func appendField(b []byte, tag, bits uint64) []byte {
	return protowire.AppendVarint(protowire.AppendVarint(b, tag), bits)
}

// appendText appends a field that is a text.
func appendText(b []byte, tag uint64, text string) []byte {
	return protowire.AppendString(protowire.AppendVarint(b, tag), text)
}

// appendMetric appends a metric to a payload.
func appendMetric(b []byte, o outgoing) []byte {
	if !o.as.takes(o.value.Kind()) {
		o.value = penstock.Value{} // of the type that the point had before
	}
	var m []byte
	if o.name != "" {
		m = appendText(m, metricName, o.name)
	}
	if o.aliased {
		m = appendField(m, metricAlias, o.alias)
	}
	m = appendField(m, metricTimestamp, uint64(max(0, o.at)))
	if o.datatype != 0 {
		m = appendField(m, metricDatatype, uint64(o.datatype))
	}
	if o.historical {
		m = appendField(m, metricHistorical, 1)
	}
	if o.value.Kind() == penstock.None {
		m = appendField(m, metricNull, 1)
	}
	if p := appendProperties(nil, &o); len(p) > 0 {
		m = protowire.AppendBytes(protowire.AppendVarint(m, metricProperties), p)
	}
	m = appendValue(m, o.as, o.value)
	return protowire.AppendBytes(protowire.AppendVarint(b, payloadMetric), m)
}

// The field of a property's text, and of its type.
const (
	propertyType   = 1<<3 | varint
	propertyString = 8<<3 | length
)

// appendProperties appends the quality where it is not good, and the unit.
func appendProperties(p []byte, o *outgoing) []byte {
	var values []byte
	add := func(key string, value []byte) {
		p = appendText(p, propertyKey, key)
		values = protowire.AppendBytes(protowire.AppendVarint(values, propertyValue), value)
	}
	if o.aliased && o.quality != qualityGood {
		add("Quality", appendField(appendField(nil, propertyType, uint64(typeInt32)), propertyInt, uint64(o.quality)))
	}
	if o.unit != "" {
		add("engUnit", appendText(appendField(nil, propertyType, uint64(typeString)), propertyString, o.unit))
	}
	return append(p, values...)
}

// takes tells whether a value of a kind can be written as one of the datatype.
func (t datatype) takes(k penstock.Kind) bool {
	switch k {
	case penstock.Int64, penstock.Uint64:
		return t == typeInt64 || t == typeUInt64 || t == typeDouble
	case penstock.Float64:
		return t == typeDouble
	case penstock.Bool:
		return t == typeBoolean
	case penstock.Text:
		return t == typeString
	}
	return true
}

// appendValue appends a value as one of a datatype that takes it.
func appendValue(m []byte, as datatype, v penstock.Value) []byte {
	switch {
	case v.Kind() == penstock.None:
		return m
	case as == typeDouble:
		f, _ := v.Number()
		return protowire.AppendFixed64(protowire.AppendVarint(m, metricDouble), math.Float64bits(f))
	case as == typeString:
		return appendText(m, metricString, v.Text())
	}
	return appendField(m, as.place(), v.Bits())
}

// qualityOf returns the quality of a status: one of the three that there are.
func qualityOf(s penstock.Status) uint32 {
	switch {
	case s.IsGood():
		return qualityGood
	case s.IsBad():
		return qualityBad
	}
	return qualityStale
}
