package filter

import (
	"strings"

	"github.com/penstock/penstock"
)

// Limits of names and filters.
const (
	MaxBytes  = 1024
	MaxLevels = 32
)

// CheckTopic returns an error of code [penstock.Invalid] when nothing can be
// published under the name: it has 1 to [MaxBytes] bytes and at most [MaxLevels]
// levels, no wildcard and no '$' at its beginning, which is for the server's own.
func CheckTopic(name string) error {
	if err := checkLength("topic", name); err != nil {
		return err
	}
	if strings.ContainsAny(name, "+#") {
		return penstock.Errorf(penstock.Invalid, "the topic %.80q has a wildcard: only filters have", name)
	}
	if name[0] == '$' {
		return penstock.Errorf(penstock.Invalid, "the topic %.80q begins with $: such topics are not for clients", name)
	}
	return nil
}

// Check returns an error of code [penstock.Invalid] when the filter cannot
// be subscribed to.
func Check(filter string) error {
	if err := checkLength("filter", filter); err != nil {
		return err
	}
	for rest, more := filter, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if level == "#" && more {
			return penstock.Errorf(penstock.Invalid, "the filter %.80q goes on after #", filter)
		}
		if len(level) > 1 && strings.ContainsAny(level, "+#") {
			return penstock.Errorf(penstock.Invalid, "the filter %.80q has a wildcard that is not a level of its own", filter)
		}
	}
	return nil
}

func checkLength(what, s string) error {
	if s == "" || len(s) > MaxBytes {
		return penstock.Errorf(penstock.Invalid, "a %s has 1 to %d bytes, not %d", what, MaxBytes, len(s))
	}
	if n := strings.Count(s, "/") + 1; n > MaxLevels {
		return penstock.Errorf(penstock.Invalid, "a %s has at most %d levels, %.80q has %d", what, MaxLevels, s, n)
	}
	return nil
}

// Match tells whether the filter matches the name. A wildcard on the first level
// matches no name that begins with '$'.
func Match(filter, name string) bool {
	if name != "" && name[0] == '$' && filter != "" && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	for {
		f, filterRest, moreFilter := strings.Cut(filter, "/")
		if f == "#" {
			return true
		}
		n, nameRest, moreName := strings.Cut(name, "/")
		if f != "+" && f != n {
			return false
		}
		if !moreName {
			return !moreFilter || filterRest == "#"
		}
		if !moreFilter {
			return false
		}
		filter, name = filterRest, nameRest
	}
}
