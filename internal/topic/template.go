package topic

import (
	"slices"
	"strings"

	"github.com/penstock/penstock"
)

// Template makes a name of the parts of a topic: "{site}:{unit}".
type Template struct {
	literal []string // one more than there are parts
	parts   []string // names between the literals
}

// ParseTemplate reads a template whose parts are among the names. Its errors
// have code [penstock.Invalid].
func ParseTemplate(text string, names ...string) (Template, error) {
	var t Template
	left := text
	for {
		literal, after, found := strings.Cut(left, "{")
		if strings.Contains(literal, "}") {
			return Template{}, penstock.Errorf(penstock.Invalid, "%q has a } without a {", text)
		}
		t.literal = append(t.literal, literal)
		if !found {
			return t, nil
		}
		name, behind, ended := strings.Cut(after, "}")
		if !ended {
			return Template{}, penstock.Errorf(penstock.Invalid, "%q has a { without a }", text)
		}
		if !slices.Contains(names, name) {
			return Template{}, penstock.Errorf(penstock.Invalid, "%q uses {%s}, which is none of {%s}", text, name, strings.Join(names, "}, {"))
		}
		t.parts = append(t.parts, name)
		left = behind
	}
}

// Expand returns the name for the values of names. Where a template joins
// several parts, ':' and '%' inside a part are written %3A and %25, so that two
// topics never give one name: a:b with c is not a with b:c.
func (t Template) Expand(names, values []string) string {
	if len(t.parts) == 1 && t.literal[0] == "" && t.literal[1] == "" {
		return valueOf(t.parts[0], names, values)
	}
	var b strings.Builder
	b.WriteString(t.literal[0])
	for i, part := range t.parts {
		value := valueOf(part, names, values)
		if len(t.parts) > 1 {
			value = apart.Replace(value)
		}
		b.WriteString(value)
		b.WriteString(t.literal[i+1])
	}
	return b.String()
}

// apart keeps joined parts apart.
var apart = strings.NewReplacer(":", "%3A", "%", "%25")

func valueOf(name string, names, values []string) string {
	if i := slices.Index(names, name); i >= 0 {
		return values[i]
	}
	return ""
}
