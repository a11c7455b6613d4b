package fleet

import (
	"fmt"

	"github.com/penstock/penstock"
)

// learns tells whether the sample would teach something of the point.
func (p point) learns(s *penstock.Sample) bool {
	kind := s.Value.Kind()
	return kind != p.kind && kind != penstock.None && (p.kind == penstock.None || p.provisional && kind == penstock.Float64) ||
		s.Unit != "" && p.unit == ""
}

// taught returns the point as it is after the sample. Whether the sample fits is
// not its matter.
func (p point) taught(s *penstock.Sample, literal bool) point {
	kind := s.Value.Kind()
	switch {
	case p.kind == penstock.None && kind != penstock.None:
		p.kind = kind
		p.provisional = literal && (kind == penstock.Int64 || kind == penstock.Uint64)
	case p.provisional && kind == penstock.Float64:
		p.kind, p.provisional = penstock.Float64, false
	}
	if p.unit == "" {
		p.unit = s.Unit
	}
	return p
}

// plain tells whether the sample fits as it is. It is the usual case, kept small
// enough to be inlined.
func (p *point) plain(s *penstock.Sample) bool {
	return s.Value.Kind() == p.kind && s.Unit == "" && p.limits == nil
}

// fit fits the sample's value to the point's type, in place, or tells why it
// cannot be.
func (p point) fit(controller string, s *penstock.Sample) *Refusal {
	if s.Unit != "" && s.Unit != p.unit {
		return &Refusal{penstock.ReasonUnit, fmt.Sprintf("point %q of controller %q has the unit %q, this sample has %q", s.Point, controller, p.unit, s.Unit)}
	}
	if s.Value.Kind() == penstock.None {
		return nil
	}
	if s.Value.Kind() != p.kind {
		v, ok := convert(s.Value, p.kind)
		if !ok {
			return &Refusal{penstock.ReasonType, fmt.Sprintf("point %q of controller %q is %s, and the %s %.40s is none", s.Point, controller, p.kind, s.Value.Kind(), s.Value)}
		}
		s.Value = v
	}
	if p.limits == nil || s.Status.IsBad() { // nobody is to use a bad value
		return nil
	}
	if n, ok := s.Value.Number(); ok && !(n >= p.limits.min && n <= p.limits.max) { // NaN too
		return &Refusal{penstock.ReasonRange, fmt.Sprintf("point %q of controller %q takes %v to %v, this sample has %s", s.Point, controller, p.limits.min, p.limits.max, s.Value)}
	}
	return nil
}

func numeric(k penstock.Kind) bool {
	return k == penstock.Float64 || k == penstock.Int64 || k == penstock.Uint64
}

// convert returns a whole number as a value of another numeric kind, and false
// when that kind cannot hold it exactly. Nothing else is converted: 12.0 is not
// a whole number by its type.
func convert(v penstock.Value, to penstock.Kind) (penstock.Value, bool) {
	switch from := v.Kind(); {
	case from == penstock.Int64 && to == penstock.Float64:
		f := float64(v.Int())
		return penstock.FloatValue(f), f < 1<<63 && int64(f) == v.Int()
	case from == penstock.Uint64 && to == penstock.Float64:
		f := float64(v.Uint())
		return penstock.FloatValue(f), f < 1<<64 && uint64(f) == v.Uint()
	case from == penstock.Int64 && to == penstock.Uint64:
		return penstock.UintValue(uint64(v.Int())), v.Int() >= 0
	case from == penstock.Uint64 && to == penstock.Int64:
		return penstock.IntValue(int64(v.Uint())), v.Uint() <= 1<<63-1
	}
	return penstock.Value{}, false
}
