package lineprotocol

import (
	"slices"
	"strings"

	"github.com/penstock/penstock"
)

// Config says how lines become names.
type Config struct {
	Controller string `yaml:"controller" jsonschema_description:"name of the controller: text with tags in braces, {host}; {a|b} is the first of both that a line has"`
	Point      string `yaml:"point" jsonschema_description:"name of the point, likewise; {measurement} and {field} are those of the line"`
}

// DefaultConfig fits what agents send that report for the machine they run on.
func DefaultConfig() Config {
	return Config{Controller: "{host}", Point: "{measurement}/{field}"}
}

// Validate returns an error of code [penstock.Invalid] when a template breaks a
// rule.
func (c Config) Validate() error {
	if _, err := parse(c.Controller); err != nil {
		return penstock.Errorf(penstock.Invalid, "controller: %w", err)
	}
	p, err := parse(c.Point)
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "point: %w", err)
	}
	if !p.names("field") {
		return penstock.Errorf(penstock.Invalid, "point: %q does not hold {field}: all fields of a line would be one point", c.Point)
	}
	return nil
}

// template is a parsed template: text and the names in braces in turn.
type template []part

// part is text, or one of several names.
type part struct {
	text  string
	names []string
}

func parse(text string) (template, error) {
	if text == "" {
		return nil, penstock.Errorf(penstock.Invalid, "the template is empty")
	}
	var t template
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return nil, penstock.Errorf(penstock.Invalid, "%q has a } without its {", text)
		}
		if before != "" {
			t = append(t, part{text: before})
		}
		if !found {
			break
		}
		inner, tail, closed := strings.Cut(after, "}")
		names := strings.Split(inner, "|")
		if !closed || slices.Contains(names, "") || strings.Contains(inner, "{") {
			return nil, penstock.Errorf(penstock.Invalid, "%q has braces that name no tag: write {host}, or {a|b} for the first of both", text)
		}
		t = append(t, part{names: names})
		rest = tail
	}
	return t, nil
}

func (t template) names(name string) bool {
	return slices.ContainsFunc(t, func(p part) bool { return slices.Contains(p.names, name) })
}

// append appends what the template makes of a line; value finds a name.
func (t template) append(dst []byte, value func(name string) (string, bool)) ([]byte, error) {
	for _, p := range t {
		if p.names == nil {
			dst = append(dst, p.text...)
			continue
		}
		found := false
		for _, name := range p.names {
			if v, ok := value(name); ok {
				dst, found = append(dst, v...), true
				break
			}
		}
		if !found {
			return nil, penstock.Errorf(penstock.Invalid, "the line has no tag %s", strings.Join(p.names, " nor "))
		}
	}
	return dst, nil
}
