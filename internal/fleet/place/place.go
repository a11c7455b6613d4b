// Package place is where a controller stands: its site, and the line that it
// shares with others.
package place

import (
	"unicode/utf8"
	"unique"

	"golang.org/x/text/unicode/norm"

	"github.com/penstock/penstock"
)

// The columns of a place, by which what is wrong with it is named.
const (
	ColumnSite = "site"
	ColumnLine = "line"
)

// Place is where a controller stands. What is not known is empty.
type Place struct {
	Site string
	Line string // a serial line, a radio's base, a switch: what fails for all on it at once
}

// Interned returns the place with names of its own: a fleet has few sites and many
// controllers.
func (p Place) Interned() Place {
	return Place{unique.Make(p.Site).Value(), unique.Make(p.Line).Value()}
}

// Over returns the place with what it leaves open taken from another.
func (p Place) Over(known Place) Place {
	if p.Site == "" {
		p.Site = known.Site
	}
	if p.Line == "" {
		p.Line = known.Line
	}
	return p
}

// Contradicts returns the column in which both say something, and not the same;
// empty for none.
func (p Place) Contradicts(o Place) string {
	switch {
	case p.Site != "" && o.Site != "" && p.Site != o.Site:
		return ColumnSite
	case p.Line != "" && o.Line != "" && p.Line != o.Line:
		return ColumnLine
	}
	return ""
}

// Check returns an error of code [penstock.Invalid], and the column that it is
// about, when a name breaks a rule: at most [penstock.MaxName] bytes of UTF-8 in
// normal form C, without control characters.
func (p Place) Check() (column string, err error) {
	for _, n := range []struct{ column, name string }{{ColumnSite, p.Site}, {ColumnLine, p.Line}} {
		if err := check(n.name); err != nil {
			return n.column, penstock.Errorf(penstock.Invalid, "the name of the %s %w", n.column, err)
		}
	}
	return "", nil
}

func check(name string) error {
	if len(name) > penstock.MaxName {
		return penstock.Errorf(penstock.Invalid, "has at most %d bytes, %.40q… has %d", penstock.MaxName, name, len(name))
	}
	if !utf8.ValidString(name) || !norm.NFC.IsNormalString(name) {
		return penstock.Errorf(penstock.Invalid, "%.40q is not UTF-8 in Unicode's normal form C", name)
	}
	for _, r := range name {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return penstock.Errorf(penstock.Invalid, "%.40q has a control character", name)
		}
	}
	return nil
}
