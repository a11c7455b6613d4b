package point

import (
	"fmt"

	"github.com/penstock/penstock"
)

// State is what is known of a point. It is small and copied.
type State struct {
	Kind        penstock.Kind // of the values that came; None until one did
	Provisional bool          // Kind was guessed from a whole number without a type
	Unit        string        // as it holds since a report stated one; empty before
	Rules       *Rules        // what is declared; nil for nothing. Shared: never changed
}

// A Refusal says why a report is not taken.
type Refusal struct {
	Reason penstock.Reason
	Detail string // a sentence for the sender
}

// Learns tells whether the sample would teach something of the point.
func (p State) Learns(s *penstock.Sample) bool {
	kind := s.Value.Kind()
	return kind != p.Kind && kind != penstock.None && (p.Kind == penstock.None || p.Provisional && kind == penstock.Float64) ||
		s.Unit != "" && p.Unit == ""
}

// Taught returns the point as it is after the sample. Whether the sample fits is
// not its matter.
func (p State) Taught(s *penstock.Sample, literal bool) State {
	kind := s.Value.Kind()
	switch {
	case p.Kind == penstock.None && kind != penstock.None:
		p.Kind = kind
		p.Provisional = literal && (kind == penstock.Int64 || kind == penstock.Uint64)
		if p.Rules != nil && p.Rules.Kind != penstock.None {
			p.Kind, p.Provisional = p.Rules.Kind, false
		}
	case p.Provisional && kind == penstock.Float64:
		p.Kind, p.Provisional = penstock.Float64, false
	}
	if p.Unit == "" && s.Unit != "" {
		p.Unit = s.Unit
		if p.Rules != nil && p.Rules.Unit != "" {
			p.Unit = p.Rules.Unit
		}
	}
	return p
}

// Plain tells whether the sample fits as it is. It is the usual case, kept small
// enough to be inlined.
func (p *State) Plain(s *penstock.Sample) bool {
	return s.Value.Kind() == p.Kind && s.Unit == "" && (p.Rules == nil || !p.Rules.Limited)
}

// CanBecome tells whether the point may be declared of a kind: nothing that it
// holds is of another one.
func (p State) CanBecome(kind penstock.Kind) bool {
	return kind == p.Kind || p.Kind == penstock.None || p.Provisional && Numeric(kind)
}

// Fit fits the sample's value to the point's type, in place, or tells why it
// cannot be.
func (p State) Fit(controller string, s *penstock.Sample) *Refusal {
	if s.Unit != "" && s.Unit != p.Unit {
		return &Refusal{penstock.ReasonUnit, fmt.Sprintf("point %q of controller %q has the unit %q, this sample has %q", s.Point, controller, p.Unit, s.Unit)}
	}
	if s.Value.Kind() == penstock.None {
		return nil
	}
	if s.Value.Kind() != p.Kind {
		v, ok := convert(s.Value, p.Kind)
		if !ok {
			return &Refusal{penstock.ReasonType, fmt.Sprintf("point %q of controller %q is %s, and the %s %.40s is none", s.Point, controller, p.Kind, s.Value.Kind(), s.Value)}
		}
		s.Value = v
	}
	if p.Rules == nil || !p.Rules.Limited || s.Status.IsBad() { // nobody is to use a bad value
		return nil
	}
	if n, ok := s.Value.Number(); ok && !(n >= p.Rules.Min && n <= p.Rules.Max) { // NaN too
		return &Refusal{penstock.ReasonRange, fmt.Sprintf("point %q of controller %q takes %v to %v, this sample has %s", s.Point, controller, p.Rules.Min, p.Rules.Max, s.Value)}
	}
	return nil
}

// Ruled returns the point under the rules. What it holds stays what it is, but for
// a whole number of which the rules now tell the type.
func (p State) Ruled(r *Rules) State {
	p.Rules = r
	if r != nil && r.Kind != penstock.None && p.Provisional && Numeric(r.Kind) {
		p.Kind, p.Provisional = r.Kind, false
	}
	return p
}

// Numeric tells whether values of the kind are numbers.
func Numeric(k penstock.Kind) bool {
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

// Contradicts tells what in the rules does not go with the values that came; nil
// for nothing.
func (p State) Contradicts(r *Rules) *Fault {
	refuse := func(column, format string, args ...any) *Fault {
		return &Fault{Column: column, Err: penstock.Errorf(penstock.Conflict, format, args...)}
	}
	switch {
	case r.Kind != penstock.None && !p.CanBecome(r.Kind):
		return refuse(ColumnType, "the point holds values of type %s already: declare it %s, or give the point another name", p.Kind, p.Kind)
	case p.Kind != penstock.None && !Numeric(p.Kind) && (r.Limited || r.Signal != ""):
		return refuse(ColumnType, "the point holds values of type %s already, which have neither limits nor a signal", p.Kind)
	case p.Unit != "" && r.Unit != "" && r.Unit != p.Unit:
		return refuse(ColumnUnit, "the point holds values in %q already: declare that, or give the point another name", p.Unit)
	case p.Unit != "" && r.Signal != "" && p.Unit != r.Signal.Unit():
		return refuse(ColumnSignal, "the point holds values in %q already, and %s is kept in %s", p.Unit, r.Signal, r.Signal.Unit())
	}
	return nil
}
