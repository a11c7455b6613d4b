package mapping

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// lineLayout is what the parts of a line are called.
type lineLayout struct {
	separator string
	fields    []string
}

// lines returns the lines of a text that are not empty.
func (t *lineLayout) lines(payload []byte) ([]string, error) {
	if !utf8.Valid(payload) {
		return nil, penstock.Errorf(penstock.Invalid, "the payload is not valid UTF-8")
	}
	lines := strings.FieldsFunc(string(payload), func(r rune) bool { return r == '\n' || r == '\r' })
	return slices.DeleteFunc(lines, func(l string) bool { return strings.TrimSpace(l) == "" }), nil
}

// read puts the parts of a line into the scope. An empty part is no value.
func (t *lineLayout) read(line string, into map[string]any) error {
	parts := []string{line}
	if t.separator != "" {
		parts = strings.SplitN(line, t.separator, len(t.fields)+2)
	}
	if len(parts) > len(t.fields) {
		return penstock.Errorf(penstock.Invalid, "the line has more than the %d parts that have names", len(t.fields))
	}
	for i, p := range parts {
		v := penstock.Value{}
		if p = strings.TrimSpace(p); p != "" {
			v = penstock.TextValue(p)
		}
		into[t.fields[i]] = v
	}
	return nil
}
