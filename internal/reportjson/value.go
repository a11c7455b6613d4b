package reportjson

import (
	"math"

	"github.com/penstock/penstock"
)

// value reads the value of a sample.
func (s *scanner) value() penstock.Value {
	switch c := s.peek(); c {
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return s.number()
	case '"':
		text := s.text("a text")
		if len(text) > penstock.MaxText {
			s.fail("a text has at most %d bytes, this one has %d", penstock.MaxText, len(text))
		}
		return penstock.TextValue(string(text))
	case 't', 'f':
		return penstock.BoolValue(s.bool())
	case 'n':
		s.literal("null")
	case 'N', 'I':
		s.fail("JSON has no NaN and no Infinity: send null with a bad status")
	default:
		s.fail("a number, a bool, a string or null is due, not %s", s.found())
	}
	return penstock.Value{}
}

func (s *scanner) bool() bool {
	switch s.peek() {
	case 't':
		return s.literal("true")
	case 'f':
		s.literal("false")
	default:
		s.fail("true or false is due, not %s", s.found())
	}
	return false
}

// unsigned reads an integer from 0 to most.
func (s *scanner) unsigned(most uint64) uint64 {
	if c := s.peek(); c != '-' && c-'0' > 9 {
		s.fail("an integer is due, not %s", s.found())
		return 0
	}
	v := s.number()
	switch {
	case s.err != nil:
	case v.Kind() == penstock.Float64:
		s.fail("an integer from 0 to %d is due, without fraction and exponent", most)
	case v.Kind() == penstock.Int64 && v.Int() < 0, v.Bits() > most:
		s.fail("%v is outside 0 to %d", v, most)
	default:
		return v.Bits()
	}
	return 0
}

// time reads a time: nanoseconds since 1970 as a number, or a string.
func (s *scanner) time() int64 {
	if s.peek() == '"' {
		nanos, why := parseTime(s.text("a time"))
		if why != "" {
			s.fail("%s", why)
		}
		return nanos
	}
	if c := s.peek(); c != '-' && c-'0' > 9 {
		s.fail("a time is due, not %s", s.found())
		return 0
	}
	v := s.number()
	if s.err == nil && v.Kind() != penstock.Int64 {
		s.fail("a time in a number is nanoseconds since 1970, from -2^63 to 2^63-1, without fraction and exponent")
	}
	return v.Int()
}

// status reads a status: the name or the number of an OPC UA StatusCode.
func (d *Decoder) status() penstock.Status {
	s := &d.scanner
	const good = `"Good"`
	if s.peek() != '"' {
		return penstock.Status(s.unsigned(math.MaxUint32))
	}
	if s.begins(good) {
		s.at += len(good)
		return penstock.Good
	}
	text := s.text("a status")
	if s.err != nil {
		return penstock.Good
	}
	if status, ok := d.names.statuses[string(text)]; ok {
		return status
	}
	status, err := penstock.ParseStatus(string(text))
	s.check(err)
	if err == nil {
		d.names.keepStatus(string(text), status)
	}
	return status
}
