package place_test

import (
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/place"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		place  place.Place
		column string
	}{
		{place.Place{}, ""},
		{place.Place{Site: "north / well 3", Line: "radio-Ω"}, ""},
		{place.Place{Site: "a\nb"}, place.ColumnSite},
		{place.Place{Line: "\xff"}, place.ColumnLine},
		{place.Place{Line: "e\u0301"}, place.ColumnLine},
		{place.Place{Site: strings.Repeat("x", 129)}, place.ColumnSite},
	} {
		column, err := c.place.Check()
		if column != c.column || (err != nil) != (column != "") || err != nil && penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%+v: %q %v", c.place, column, err)
		}
	}
}

func TestOverAndContradicts(t *testing.T) {
	a, b := place.Place{Site: "north"}, place.Place{Site: "south", Line: "3"}
	if got := a.Over(b); got != (place.Place{Site: "north", Line: "3"}) {
		t.Errorf("%+v", got)
	}
	if a.Contradicts(b) != place.ColumnSite || a.Contradicts(place.Place{Line: "4"}) != "" || b.Contradicts(place.Place{Line: "4"}) != place.ColumnLine {
		t.Error("contradictions")
	}
	if b.Interned() != b {
		t.Error("interned")
	}
}
