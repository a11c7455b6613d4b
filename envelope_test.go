package penstock_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
)

func TestScopeCoversWhatItsPatternsMatch(t *testing.T) {
	letters := rapid.StringOfN(rapid.SampledFrom([]rune("ab*-")), 0, 8, -1)
	rapid.Check(t, func(t *rapid.T) {
		pattern := letters.Draw(t, "pattern")
		name := strings.ReplaceAll(letters.Draw(t, "name"), "*", "c")
		meant := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$")
		if got, want := (penstock.Scope{"x", pattern}).Covers(name), meant.MatchString(name); got != want {
			t.Fatalf("pattern %q covers %q: %v, want %v", pattern, name, got, want)
		}
	})
}

func TestScopeOfNothingCoversNothing(t *testing.T) {
	if (penstock.Scope{}).Covers("a") || penstock.Scope(nil).Covers("") {
		t.Error("an empty scope covers something")
	}
}
