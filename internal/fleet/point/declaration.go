package point

import (
	"errors"
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
	Signal     string   `yaml:"signal,omitempty" jsonschema_description:"what the point tells of the controller's own link: rssi or optical_power in dBm, snr or attenuation in dB; its values stand at the controller in 'penstock links'"`
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
	rules             *Rules
}

// Declarations are those of the configuration. The first that matches holds.
// Those that name one point are found at once, because lists of all points of a
// plant are long; patterns are few.
type Declarations struct {
	exact    map[[2]string]declaration // by controller and point
	patterns []declaration             // by rank
}

// Compile makes the declarations ready to match, or returns an error of code
// [penstock.Invalid] that names all that are wrong.
func Compile(all []Declaration) (*Declarations, error) {
	compiled := &Declarations{exact: map[[2]string]declaration{}}
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

// Of returns what the configuration says of a point: nil when it says nothing.
func (d *Declarations) Of(controller, name string) *Rules {
	exact, found := d.exact[[2]string{controller, name}]
	for i := range d.patterns {
		p := &d.patterns[i]
		if found && exact.rank < p.rank {
			break
		}
		if p.controller.Covers(controller) && p.point.Covers(name) {
			return p.rules
		}
	}
	return exact.rules
}

func (d *Declaration) compile() (declaration, error) {
	compiled := declaration{controller: penstock.Scope{d.Controller}, point: penstock.Scope{d.Point}}
	if d.Controller == "" || d.Point == "" {
		return compiled, penstock.Errorf(penstock.Invalid, "it needs a controller and a point; \"*\" matches all")
	}
	r, wrong := d.Rules()
	if wrong != nil {
		return compiled, wrong.Err
	}
	compiled.rules = &r
	return compiled, nil
}
