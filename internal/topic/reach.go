package topic

import (
	"slices"
	"strings"
)

// Reach tells whether may agrees to one of the routes under which a topic can
// come that the filter matches. A filter is a topic of the dialect in which
// levels may be wildcards. May is told the controller, and that it is known, when
// the filter leaves no doubt of it. Routes that name no controller are left out;
// those of Sparkplug B name one in their own way, which is not looked at here.
func (r *Router) Reach(filter string, may func(controller string, known bool) bool) bool {
	return slices.ContainsFunc(r.routes, func(c route) bool {
		if !c.named && c.payload != Sparkplug {
			return false
		}
		values, ok := c.pattern.reach(filter)
		if !ok {
			return false
		}
		if c.payload == Sparkplug {
			return may("", false)
		}
		for _, part := range c.controller.parts {
			if valueOf(part, c.pattern.names, values) == "" {
				return may("", false)
			}
		}
		return may(c.controller.Expand(c.pattern.names, values), true)
	})
}

// reach tells whether some topic matches both the pattern and the filter, and
// returns what the names then stand for: empty for those that the filter leaves
// open.
func (p Pattern) reach(filter string) (values []string, ok bool) {
	values = make([]string, len(p.names))
	parts := strings.Split(filter, p.dialect.Separator)
	at := 0
	for i, l := range p.levels {
		last := p.open && i == len(p.levels)-1
		if last && (l.name == "" || i < len(parts)) {
			return values, true
		}
		if i == len(parts) {
			return nil, false
		}
		part := parts[i]
		if part == rest {
			return values, true
		}
		literal := part != p.dialect.One
		if literal && !l.capture && part != l.text {
			return nil, false
		}
		if l.name != "" {
			if literal {
				values[at] = part
			}
			at++
		}
	}
	left := parts[len(p.levels):]
	return values, len(left) == 0 || left[0] == rest
}
