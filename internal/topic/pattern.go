package topic

import (
	"slices"
	"strings"

	"github.com/penstock/penstock"
)

// A Dialect is how a broker writes topics.
type Dialect struct {
	Separator string // between levels
	One       string // the wildcard for one level
}

// The dialects. Both write # for the rest.
var (
	MQTT = Dialect{Separator: "/", One: "+"}
	AMQP = Dialect{Separator: ".", One: "*"}
)

// rest is the wildcard for all levels that follow.
const rest = "#"

// restMark stands for the three dots while a pattern is read.
const restMark = "…"

// maxLevels bounds a pattern. Deeper topics match where the pattern ends in a
// rest.
const maxLevels = 32

// Pattern is a topic with names for some of its levels.
type Pattern struct {
	dialect Dialect
	levels  []level
	names   []string // of the levels that have one, in order
	open    bool     // the last level takes the rest
}

// level is one level of a pattern: literal text, or a capture with or without a
// name.
type level struct {
	text    string
	capture bool
	name    string // of a capture; empty for a wildcard
}

// ParsePattern reads a pattern. Its errors have code [penstock.Invalid].
func ParsePattern(text string, d Dialect) (Pattern, error) {
	p := Pattern{dialect: d}
	refuse := func(format string, args ...any) (Pattern, error) {
		return Pattern{}, penstock.Errorf(penstock.Invalid, "topic %q: "+format, append([]any{text}, args...)...)
	}
	if text == "" {
		return refuse("is empty; # takes every topic")
	}
	// The dots of {point...} are no separators, not even where a dot is one.
	parts := strings.Split(strings.ReplaceAll(text, "...}", restMark+"}"), d.Separator)
	if len(parts) > maxLevels {
		return refuse("has %d levels; at most %d are possible", len(parts), maxLevels)
	}
	for i, part := range parts {
		l, open, err := parseLevel(part, d)
		if err != nil {
			return refuse("%w", err)
		}
		if open && i < len(parts)-1 {
			return refuse("%s takes the rest and stands last", part)
		}
		if l.name != "" {
			if slices.Contains(p.names, l.name) {
				return refuse("the name {%s} stands twice", l.name)
			}
			p.names = append(p.names, l.name)
		}
		p.levels, p.open = append(p.levels, l), open
	}
	return p, nil
}

// parseLevel reads one level and tells whether it takes the rest.
func parseLevel(part string, d Dialect) (l level, open bool, err error) {
	switch {
	case part == d.One:
		return level{capture: true}, false, nil
	case part == rest:
		return level{capture: true}, true, nil
	case !strings.ContainsAny(part, "{}"):
		if strings.ContainsAny(part, rest+d.One) {
			return level{}, false, penstock.Errorf(penstock.Invalid, "a wildcard stands alone in its level, not as in %q", part)
		}
		return level{text: part}, false, nil
	}
	name, begun := strings.CutPrefix(part, "{")
	name, ended := strings.CutSuffix(name, "}")
	if !begun || !ended {
		return level{}, false, penstock.Errorf(penstock.Invalid, "a name in braces takes a whole level, not a part of it as in %q", part)
	}
	name, open = strings.CutSuffix(name, restMark)
	if !isName(name) {
		return level{}, false, penstock.Errorf(penstock.Invalid, "%q names nothing: write {controller}, {point}, or {point...} for the rest", part)
	}
	return level{capture: true, name: name}, open, nil
}

// isName tells whether s can stand in braces: lower-case letters, digits and _.
func isName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// Filter returns the pattern as the broker subscribes to it.
func (p Pattern) Filter() string {
	parts := make([]string, len(p.levels))
	for i, l := range p.levels {
		switch {
		case !l.capture:
			parts[i] = l.text
		case p.open && i == len(p.levels)-1:
			parts[i] = rest
		default:
			parts[i] = p.dialect.One
		}
	}
	return strings.Join(parts, p.dialect.Separator)
}

// Names returns the names in the pattern, in their order.
func (p Pattern) Names() []string { return p.names }

// Match returns what the names stand for in the topic, in the order of
// [Pattern.Names], and false when the pattern does not match. A rest that has a
// name is not empty; the wildcard # matches the level above it too.
func (p Pattern) Match(topic string) ([]string, bool) {
	if p.levels[0].capture && strings.HasPrefix(topic, "$") {
		return nil, false
	}
	values := make([]string, 0, len(p.names))
	left, more := topic, true
	for i, l := range p.levels {
		if p.open && i == len(p.levels)-1 {
			if l.name == "" {
				return values, true
			}
			return append(values, left), more && left != ""
		}
		if !more {
			return nil, false
		}
		var part string
		part, left, more = strings.Cut(left, p.dialect.Separator)
		switch {
		case !l.capture && part != l.text:
			return nil, false
		case l.name != "":
			values = append(values, part)
		}
	}
	return values, !more
}
