// Package name checks the names of a fleet, beyond the rules of the domain.
package name

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/penstock/penstock"
)

// CheckController returns an error of code [penstock.Invalid] when a
// controller may not register under the name. Beyond the domain's rules it must
// be in Unicode's normal form C, so that two ways to write one letter are not two
// controllers, and free of what a scope or a topic would take for a wildcard.
func CheckController(name string) error {
	if err := penstock.CheckControllerName(name); err != nil {
		return err
	}
	if i := strings.IndexAny(name, "*#+"); i >= 0 {
		return penstock.Errorf(penstock.Invalid, "the name of controller %q has a %q, which scopes and topics take for a wildcard", name, name[i])
	}
	if name[0] == '$' {
		return penstock.Errorf(penstock.Invalid, "the name of controller %q begins with '$', which brokers keep for themselves", name)
	}
	if !norm.NFC.IsNormalString(name) {
		return penstock.Errorf(penstock.Invalid, "the name of controller %q is not in Unicode's normal form C", name)
	}
	return nil
}

// CheckPoint is [CheckController] for a point.
func CheckPoint(name string) error {
	if err := penstock.CheckPointName(name); err != nil {
		return err
	}
	if !norm.NFC.IsNormalString(name) {
		return penstock.Errorf(penstock.Invalid, "the name of point %q is not in Unicode's normal form C", name)
	}
	return nil
}

// CheckText refuses what would hurt in a log or on a screen.
func CheckText(what, s string) error {
	if !utf8.ValidString(s) {
		return penstock.Errorf(penstock.Invalid, "the %s %q is not valid UTF-8", what, s)
	}
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return penstock.Errorf(penstock.Invalid, "the %s %q has a control character", what, s)
		}
	}
	return nil
}

// CheckPattern checks an entry of a scope: a controller's name in which '*'
// stands for any run of characters.
func CheckPattern(pattern string) error {
	if len(pattern) > penstock.MaxName {
		return penstock.Errorf(penstock.Invalid, "an entry of a scope has at most %d bytes, one has %d", penstock.MaxName, len(pattern))
	}
	return CheckController(strings.ReplaceAll(pattern, "*", "x"))
}
