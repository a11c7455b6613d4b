package sparkplug

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/penstock/penstock"
)

// maxMetricsInPayload bounds what one message can make us allocate.
const maxMetricsInPayload = 20_000

// maxMillis is the last millisecond since 1970 that nanoseconds can tell.
const maxMillis = (1<<63 - 1) / 1_000_000

// compressed is the uuid of a payload whose body is a compressed payload.
const compressed = "SPBV1.0_COMPRESSED"

// payload is a Sparkplug B message.
type payload struct {
	stamp   stamp
	seq     uint8
	ordered bool // seq is there
	metrics []metric
}

// stamp is a time in milliseconds since 1970, which may be missing.
type stamp struct {
	millis uint64
	given  bool
}

// metric is one metric of a message. Its text aliases the message's bytes.
type metric struct {
	name       string // empty where the alias stands for it
	alias      uint64
	aliased    bool
	stamp      stamp
	datatype   datatype // 0 where the birth said it
	historical bool
	transient  bool
	null       bool
	quality    uint32 // valid with qualified
	qualified  bool
	source     uint64 // the tag of the field that had the value, 0 for none
	bits       uint64 // of a number or a bool
	text       []byte // of a string
}

// The fields that are read, each with its wire type, as the tags stand in a
// message. A field of another type is skipped like one that is not known.
const (
	varint = uint64(protowire.VarintType)
	fixed4 = uint64(protowire.Fixed32Type)
	fixed8 = uint64(protowire.Fixed64Type)
	length = uint64(protowire.BytesType)

	payloadTimestamp = 1<<3 | varint
	payloadMetric    = 2<<3 | length
	payloadSeq       = 3<<3 | varint
	payloadUUID      = 4<<3 | length

	metricName       = 1<<3 | length
	metricAlias      = 2<<3 | varint
	metricTimestamp  = 3<<3 | varint
	metricDatatype   = 4<<3 | varint
	metricHistorical = 5<<3 | varint
	metricTransient  = 6<<3 | varint
	metricNull       = 7<<3 | varint
	metricProperties = 9<<3 | length
	metricInt        = 10<<3 | varint
	metricLong       = 11<<3 | varint
	metricFloat      = 12<<3 | fixed4
	metricDouble     = 13<<3 | fixed8
	metricBool       = 14<<3 | varint
	metricString     = 15<<3 | length

	propertyKey   = 1<<3 | length
	propertyValue = 2<<3 | length
	propertyInt   = 3<<3 | varint
	propertyLong  = 4<<3 | varint
)

// field is one field of a message: its tag, and its bits or bytes by its type.
type field struct {
	tag   uint64
	bits  uint64
	bytes []byte
}

// fields calls take for every field of a message until one of them fails. Groups
// are skipped.
func fields(b []byte, take func(field) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return broken(n)
		}
		b = b[n:]
		f := field{tag: uint64(number)<<3 | uint64(kind)}
		switch kind {
		case protowire.VarintType:
			f.bits, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var bits uint32
			bits, n = protowire.ConsumeFixed32(b)
			f.bits = uint64(bits)
		case protowire.Fixed64Type:
			f.bits, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return broken(n)
		}
		b = b[n:]
		if err := take(f); err != nil {
			return err
		}
	}
	return nil
}

func broken(n int) error {
	return penstock.Errorf(penstock.Invalid, "the payload is no protobuf message: %w", protowire.ParseError(n))
}

// decode reads a message. Errors have code [penstock.Invalid],
// [penstock.TooLarge] or [penstock.Unsupported].
func decode(b []byte) (payload, error) {
	var p payload
	err := fields(b, func(f field) error {
		switch f.tag {
		case payloadTimestamp:
			p.stamp = stamp{f.bits, true}
		case payloadSeq:
			if f.bits > 255 {
				return penstock.Errorf(penstock.Invalid, "seq is %d, and it ends at 255", f.bits)
			}
			p.seq, p.ordered = uint8(f.bits), true
		case payloadUUID:
			if string(f.bytes) == compressed {
				return penstock.Errorf(penstock.Unsupported, "the payload is compressed: switch compression off at the edge node")
			}
		case payloadMetric:
			if len(p.metrics) >= maxMetricsInPayload {
				return penstock.Errorf(penstock.TooLarge, "the payload holds more than %d metrics", maxMetricsInPayload)
			}
			m, err := decodeMetric(f.bytes)
			if err != nil {
				return err
			}
			p.metrics = append(p.metrics, m)
		}
		return nil
	})
	return p, err
}

func decodeMetric(b []byte) (metric, error) {
	var m metric
	err := fields(b, func(f field) error {
		switch f.tag {
		case metricName:
			m.name = string(f.bytes)
		case metricAlias:
			m.alias, m.aliased = f.bits, true
		case metricTimestamp:
			m.stamp = stamp{f.bits, true}
		case metricDatatype:
			m.datatype = datatype(min(f.bits, 1<<16))
		case metricHistorical:
			m.historical = f.bits != 0
		case metricTransient:
			m.transient = f.bits != 0
		case metricNull:
			m.null = f.bits != 0
		case metricProperties:
			return m.properties(f.bytes)
		case metricInt, metricLong, metricFloat, metricDouble, metricBool:
			m.source, m.bits = f.tag, f.bits
		case metricString:
			m.source, m.text = f.tag, f.bytes
		}
		return nil
	})
	return m, err
}

// properties reads the one property that matters: Quality. Keys and values are
// two lists side by side.
func (m *metric) properties(b []byte) error {
	keys, values, at := 0, 0, -1
	err := fields(b, func(f field) error {
		if f.tag == propertyKey {
			if string(f.bytes) == "Quality" {
				at = keys
			}
			keys++
		}
		return nil
	})
	if err != nil || at < 0 {
		return err
	}
	return fields(b, func(f field) error {
		if f.tag != propertyValue {
			return nil
		}
		values++
		if values != at+1 {
			return nil
		}
		return fields(f.bytes, func(v field) error {
			if v.tag == propertyInt || v.tag == propertyLong {
				m.quality, m.qualified = uint32(v.bits), true
			}
			return nil
		})
	})
}

// rebirth returns the payload of the command that asks an edge node for its
// births.
func rebirth(millis uint64) []byte {
	var m []byte
	m = protowire.AppendVarint(m, metricName)
	m = protowire.AppendString(m, rebirthMetric)
	for _, f := range []struct{ tag, bits uint64 }{
		{metricTimestamp, millis}, {metricDatatype, uint64(typeBoolean)}, {metricBool, 1},
	} {
		m = protowire.AppendVarint(m, f.tag)
		m = protowire.AppendVarint(m, f.bits)
	}
	var b []byte
	b = protowire.AppendVarint(b, payloadTimestamp)
	b = protowire.AppendVarint(b, millis)
	b = protowire.AppendVarint(b, payloadMetric)
	return protowire.AppendBytes(b, m)
}
