package fleet

import (
	"errors"
	"math"
	"strings"

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
	rank              int // its place in the configuration
	controller, point penstock.Scope
	template          point
}

// declarations are those of the configuration. The first that matches holds.
// Those that name one point are found at once, because lists of all points of a
// plant are long; patterns are few.
type declarations struct {
	exact    map[[2]string]declaration // by controller and point
	patterns []declaration             // by rank
}

func compile(all []Declaration) (*declarations, error) {
	compiled := &declarations{exact: map[[2]string]declaration{}}
	var problems []error
	for i := range all {
		d, err := all[i].compile()
		if err != nil {
			problems = append(problems, penstock.Errorf(penstock.Invalid, "declared point %d: %w", i+1, err))
		}
		d.rank = i
		name := [2]string{all[i].Controller, all[i].Point}
		if strings.Contains(name[0]+name[1], "*") {
			compiled.patterns = append(compiled.patterns, d)
		} else if _, earlier := compiled.exact[name]; !earlier {
			compiled.exact[name] = d
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "%w", err)
	}
	return compiled, nil
}

// of returns what the configuration says of a point: the zero point when it says
// nothing.
func (d *declarations) of(controller, name string) point {
	exact, found := d.exact[[2]string{controller, name}]
	for i := range d.patterns {
		p := &d.patterns[i]
		if found && exact.rank < p.rank {
			break
		}
		if p.controller.Covers(controller) && p.point.Covers(name) {
			return p.template
		}
	}
	return exact.template
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
