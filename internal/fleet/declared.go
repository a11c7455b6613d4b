package fleet

import (
	"math"

	"github.com/penstock/penstock"
)

// Declaration says beforehand what a point is. What it leaves empty is learned
// from the first report.
type Declaration struct {
	Controller string   `yaml:"controller" jsonschema_description:"name of the controller; * stands for any run of characters"`
	Point      string   `yaml:"point" jsonschema_description:"name of the point; * stands for any run of characters"`
	Type       string   `yaml:"type,omitempty" jsonschema_description:"float64, int64, uint64, bool or text; empty: the type of the first value"`
	Unit       string   `yaml:"unit,omitempty" jsonschema_description:"UCUM unit; empty: the first that a report states"`
	Min        *float64 `yaml:"min,omitempty" jsonschema_description:"smallest value that is taken"`
	Max        *float64 `yaml:"max,omitempty" jsonschema_description:"largest value that is taken"`
}

// Validate returns an error of code [penstock.Invalid] when the declaration
// breaks a rule.
func (d *Declaration) Validate() error {
	_, err := d.compile()
	return err
}

// declaration is a Declaration made ready to match.
type declaration struct {
	controller, point penstock.Scope
	template          point
}

func (d *Declaration) compile() (declaration, error) {
	compiled := declaration{controller: penstock.Scope{d.Controller}, point: penstock.Scope{d.Point}}
	if d.Controller == "" || d.Point == "" {
		return compiled, penstock.Errorf(penstock.Invalid, "it needs a controller and a point; \"*\" matches all")
	}
	p := &compiled.template
	if d.Type != "" {
		kind, ok := penstock.ParseKind(d.Type)
		if !ok || kind == penstock.None {
			return compiled, penstock.Errorf(penstock.Invalid, "type %q is none of float64, int64, uint64, bool and text", d.Type)
		}
		p.kind, p.declared = kind, true
	}
	if err := penstock.CheckUnit(d.Unit); err != nil {
		return compiled, err
	}
	p.unit = d.Unit
	if d.Min == nil && d.Max == nil {
		return compiled, nil
	}
	if p.kind == penstock.Bool || p.kind == penstock.Text {
		return compiled, penstock.Errorf(penstock.Invalid, "a point of type %s has no min and max", p.kind)
	}
	r := &limits{math.Inf(-1), math.Inf(1)}
	if d.Min != nil {
		r.min = *d.Min
	}
	if d.Max != nil {
		r.max = *d.Max
	}
	if !(r.min <= r.max) { // NaN too
		return compiled, penstock.Errorf(penstock.Invalid, "min %v is not at or below max %v", r.min, r.max)
	}
	p.limits = r
	return compiled, nil
}

// declaredAs returns what the configuration says of a point: the zero point when
// it says nothing.
func (f *Fleet) declaredAs(controller, name string) point {
	for i := range f.declared {
		d := &f.declared[i]
		if d.controller.Covers(controller) && d.point.Covers(name) {
			return d.template
		}
	}
	return point{}
}
