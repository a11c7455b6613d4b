package mapping

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/mapping/tree"
)

// samples appends what the point has in this report.
func (p *point) samples(s *scope, usual penstock.Sample, to []penstock.Sample) ([]penstock.Sample, error) {
	if p.each == nil {
		return p.append(s, usual, to)
	}
	found, ok := s.find(p.each)
	if !ok {
		if p.optional {
			return to, nil
		}
		return to, penstock.Errorf(penstock.Invalid, "points: each: %w", s.missing(p.each))
	}
	list, ok := tree.Elements(found)
	if !ok {
		return to, penstock.Errorf(penstock.Invalid, "points: each: {%s} is %s, not a list", p.each.Text, tree.Describe(found))
	}
	depth := len(s.elements)
	defer func() { s.elements = s.elements[:depth] }()
	for i, element := range list {
		s.elements = append(s.elements[:depth], element)
		var err error
		if to, err = p.append(s, usual, to); err != nil {
			return to, penstock.Errorf(penstock.CodeOf(err), "element %d of %s: %w", i, p.each.Text, err)
		}
		if len(to) > penstock.MaxSamples {
			return to, penstock.Errorf(penstock.TooLarge, "a report has at most %d samples: send it in parts", penstock.MaxSamples)
		}
	}
	return to, nil
}

// append appends one sample.
func (p *point) append(s *scope, sample penstock.Sample, to []penstock.Sample) ([]penstock.Sample, error) {
	var err error
	if sample.Point, err = s.text(&p.name); err != nil {
		return to, penstock.Errorf(penstock.Invalid, "point: %w", err)
	}
	wrap := func(err error) error {
		return penstock.Errorf(penstock.Invalid, "point %s: %w", tree.Shorten(sample.Point), err)
	}
	present, err := p.read(s, &sample)
	if err != nil {
		return to, wrap(err)
	}
	if !present && p.optional {
		return to, nil
	}
	if err := p.clock.stamp(s, &sample); err != nil {
		return to, wrap(err)
	}
	if !p.unit.Empty() {
		if sample.Unit, err = s.text(&p.unit); err != nil {
			return to, wrap(err)
		}
	}
	if p.quality != nil {
		status, native, err := p.quality.read(s)
		if err != nil {
			return to, wrap(err)
		}
		sample.Native = native
		if sample.Value.Kind() != penstock.None || status.IsBad() {
			sample.Status = status // it says more than that there is no value
		}
	}
	return append(to, sample), nil
}

// read gives the sample its value; where there is none, a bad status that says
// why. It returns false when the payload does not have the value.
func (p *point) read(s *scope, sample *penstock.Sample) (present bool, err error) {
	found, ok, err := s.value(&p.value)
	if err != nil {
		return false, err
	}
	if !ok {
		sample.Status = badNoData
		return false, nil
	}
	v, isValue := found.(penstock.Value)
	if !isValue {
		sample.Status = penstock.BadDecodingError
		return true, nil
	}
	if isNone(v) || slices.Contains(p.invalid, plain(v)) {
		sample.Status = penstock.Bad
		return true, nil
	}
	if sample.Value, ok = p.convert(v); !ok {
		sample.Value, sample.Status = penstock.Value{}, penstock.BadDecodingError
	}
	return true, nil
}

// isNone tells whether the device says that it has no value.
func isNone(v penstock.Value) bool {
	return v.Kind() == penstock.None || v.Kind() == penstock.Float64 && math.IsNaN(v.Float())
}

// convert applies type, scale and offset.
func (p *point) convert(v penstock.Value) (penstock.Value, bool) {
	if p.linear != nil {
		if v.Kind() == penstock.Text {
			number, err := tree.ParseNumber(strings.TrimSpace(v.Text()))
			if err != nil {
				return v, false
			}
			v = number
		}
		return p.linear.Apply(v)
	}
	if p.kind == penstock.None {
		return v, true
	}
	return convert(v, p.kind)
}

// convert returns the value as one of another kind, and false when that cannot
// hold it. A whole number becomes the nearest float64.
func convert(v penstock.Value, to penstock.Kind) (penstock.Value, bool) {
	if v.Kind() == to {
		return v, true
	}
	if v.Kind() == penstock.None {
		return v, false
	}
	if to == penstock.Text {
		return penstock.TextValue(plain(v)), true
	}
	if v.Kind() == penstock.Text {
		if to == penstock.Bool {
			return parseBool(v.Text())
		}
		number, err := tree.ParseNumber(strings.TrimSpace(v.Text()))
		if err != nil {
			return v, false
		}
		return convert(number, to)
	}
	number, _ := v.Number()
	switch to {
	case penstock.Float64:
		return penstock.FloatValue(number), true
	case penstock.Bool:
		return penstock.BoolValue(number != 0), number == 0 || number == 1
	case penstock.Int64, penstock.Uint64:
		return convertWhole(v, to)
	}
	return v, false
}

// convertWhole returns a number as a whole one, if it is one and fits.
func convertWhole(v penstock.Value, to penstock.Kind) (penstock.Value, bool) {
	if v.Kind() == penstock.Float64 {
		whole, err := tree.ParseNumber(strconv.FormatFloat(v.Float(), 'f', -1, 64))
		if err != nil || whole.Kind() == penstock.Float64 {
			return v, false
		}
		v = whole
	}
	negative := v.Kind() == penstock.Int64 && v.Int() < 0
	large := v.Kind() == penstock.Uint64 && v.Uint() > math.MaxInt64
	if negative && to == penstock.Uint64 || large && to == penstock.Int64 {
		return v, false
	}
	return penstock.BitsValue(to, v.Bits()), true
}

func parseBool(text string) (penstock.Value, bool) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "1", "on", "yes":
		return penstock.BoolValue(true), true
	case "false", "0", "off", "no":
		return penstock.BoolValue(false), true
	}
	return penstock.Value{}, false
}
