package point

import (
	"fmt"
	"math"
	"unique"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
)

// Rules are what is declared of a point: in the configuration, by an import, or
// in both. What they leave open is the zero value.
type Rules struct {
	Kind     penstock.Kind
	Unit     string
	Limited  bool
	Min, Max float64 // meaningful when Limited; infinite where there is no such limit
	Signal   evidence.Quantity
}

// The columns of a declaration, by which what is wrong with it is named.
const (
	ColumnController = "controller"
	ColumnState      = "state"
	ColumnPoint      = "point"
	ColumnType       = "type"
	ColumnUnit       = "unit"
	ColumnMin        = "min"
	ColumnMax        = "max"
	ColumnSignal     = "signal"
)

// Fault is what is wrong with a declaration, and where in it.
type Fault struct {
	Column string
	Err    error
}

func faultf(column, format string, args ...any) *Fault {
	return &Fault{column, penstock.Errorf(penstock.Invalid, format, args...)}
}

// Stated returns the first column that says something of the point, empty for none.
func (d *Declaration) Stated() string {
	for _, field := range []struct {
		column string
		stated bool
	}{
		{ColumnType, d.Type != ""}, {ColumnUnit, d.Unit != ""}, {ColumnMin, d.Min != nil}, {ColumnMax, d.Max != nil}, {ColumnSignal, d.Signal != ""},
	} {
		if field.stated {
			return field.column
		}
	}
	return ""
}

// Rules reads what the declaration says of its point.
func (d *Declaration) Rules() (Rules, *Fault) {
	r := Rules{ // a fleet has few units and many points
		Unit: unique.Make(d.Unit).Value(), Signal: unique.Make(evidence.Quantity(d.Signal)).Value(),
	}
	if d.Type != "" {
		kind, ok := penstock.ParseKind(d.Type)
		if !ok || kind == penstock.None {
			return r, faultf(ColumnType, "type %q is none of float64, int64, uint64, bool and text", d.Type)
		}
		r.Kind = kind
	}
	if err := penstock.CheckUnit(d.Unit); err != nil {
		return r, &Fault{ColumnUnit, err}
	}
	if d.Min != nil || d.Max != nil {
		r.Limited, r.Min, r.Max = true, math.Inf(-1), math.Inf(1)
	}
	if d.Min != nil {
		r.Min = *d.Min
	}
	if d.Max != nil {
		r.Max = *d.Max
	}
	return r, r.Check()
}

// Declaration returns the rules as they are declared.
func (r *Rules) Declaration() Declaration {
	d := Declaration{Unit: r.Unit, Signal: string(r.Signal)}
	if r.Kind != penstock.None {
		d.Type = r.Kind.String()
	}
	if low := r.Min; r.hasMin() {
		d.Min = &low
	}
	if high := r.Max; r.hasMax() {
		d.Max = &high
	}
	return d
}

func (r *Rules) hasMin() bool { return r.Limited && !math.IsInf(r.Min, -1) }
func (r *Rules) hasMax() bool { return r.Limited && !math.IsInf(r.Max, 1) }

// measured tells whether values by the rules can be numbers.
func (r *Rules) measured() bool { return r.Kind == penstock.None || Numeric(r.Kind) }

// Check tells what in the rules does not go together.
func (r *Rules) Check() *Fault {
	measured := r.measured()
	switch {
	case r.Limited && !measured:
		return faultf(ColumnType, "a point of type %s has no min and max", r.Kind)
	case r.Limited && !(r.Min <= r.Max): // NaN too
		return faultf(ColumnMax, "min %v is not at or below max %v", r.Min, r.Max)
	case r.Signal == "":
		return nil
	case r.Signal.Unit() == "":
		return faultf(ColumnSignal, "signal %.40q is none of rssi, snr, attenuation and optical_power", string(r.Signal))
	case !measured:
		return faultf(ColumnType, "a point of type %s tells no %s", r.Kind, r.Signal)
	case r.Unit != "" && r.Unit != r.Signal.Unit():
		return faultf(ColumnUnit, "%s is kept in %s, and the unit is %q: leave out the signal, or have the controller send %s", r.Signal, r.Signal.Unit(), r.Unit, r.Signal.Unit())
	}
	return nil
}

// Contradiction is a field of which the configuration says one thing and an
// import another.
type Contradiction struct {
	Column               string
	configured, imported string
}

// String returns it as a part of a sentence.
func (c Contradiction) String() string {
	return fmt.Sprintf("the configuration declares the %s %s, and not %s", c.Column, c.configured, c.imported)
}

// Contradicts returns the fields that both state and that differ.
func (r *Rules) Contradicts(imported *Rules) (all []Contradiction) {
	note := func(differ bool, column string, configured, imported any) {
		if differ {
			all = append(all, Contradiction{column, fmt.Sprint(configured), fmt.Sprint(imported)})
		}
	}
	note(r.Kind != penstock.None && imported.Kind != penstock.None && r.Kind != imported.Kind, ColumnType, r.Kind, imported.Kind)
	note(r.Unit != "" && imported.Unit != "" && r.Unit != imported.Unit, ColumnUnit, r.Unit, imported.Unit)
	note(r.hasMin() && imported.hasMin() && r.Min != imported.Min, ColumnMin, r.Min, imported.Min)
	note(r.hasMax() && imported.hasMax() && r.Max != imported.Max, ColumnMax, r.Max, imported.Max)
	note(r.Signal != "" && imported.Signal != "" && r.Signal != imported.Signal, ColumnSignal, r.Signal, imported.Signal)
	return all
}

// Combine returns what holds of a point: field by field what the configuration
// says, and where it says nothing, what was imported. What makes no sense beside
// the rest falls away.
func Combine(configured, imported *Rules) *Rules {
	if configured == nil {
		return imported
	}
	if imported == nil {
		return configured
	}
	both := configured.over(imported)
	if !both.measured() {
		both.Limited, both.Min, both.Max, both.Signal = false, 0, 0, ""
	}
	if both.Unit != "" && both.Unit != both.Signal.Unit() {
		both.Signal = ""
	}
	if both.Limited && both.Min > both.Max {
		both.Limited, both.Min, both.Max = configured.Limited, configured.Min, configured.Max
	}
	return &both
}

// Under returns what is imported with what the configuration says of the same
// things: what makes no sense in it, the import brought about.
func (r *Rules) Under(configured *Rules) Rules {
	both := configured.over(r)
	if !r.Limited {
		both.Limited = false
	}
	if r.Signal == "" {
		both.Signal = ""
	}
	return both
}

// over returns the rules with what they leave open taken from those beneath.
func (r *Rules) over(beneath *Rules) Rules {
	both := *r
	if both.Kind == penstock.None {
		both.Kind = beneath.Kind
	}
	if both.Unit == "" {
		both.Unit = beneath.Unit
	}
	if both.Signal == "" {
		both.Signal = beneath.Signal
	}
	if !r.Limited {
		both.Limited, both.Min, both.Max = beneath.Limited, beneath.Min, beneath.Max
		return both
	}
	if !r.hasMin() && beneath.Limited {
		both.Min = beneath.Min
	}
	if !r.hasMax() && beneath.Limited {
		both.Max = beneath.Max
	}
	return both
}
