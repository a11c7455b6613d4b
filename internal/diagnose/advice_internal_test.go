package diagnose

import (
	"slices"
	"testing"
)

// What is advised on a rule is given when that rule decides, and every rule has advice.
func TestAdvice(t *testing.T) {
	for name, want := range adviceOn {
		if !slices.ContainsFunc(rules, func(r rule) bool { return r.name == name && r.or == "" }) {
			t.Errorf("no rule %q", name)
		}
		if next, send := advice(&Verdict{Cause: Controller, Rule: name}); next != want.next || send != want.send {
			t.Errorf("%s: %q, %q", name, next, send)
		}
		// Where it cannot be told from another cause, the check is the one that tells.
		if next, _ := advice(&Verdict{Cause: Unclear, Between: [2]Cause{Controller, Physical}, Rule: name}); next == want.next {
			t.Errorf("%s: %q of what is unclear", name, next)
		}
	}
	for _, r := range rules {
		for _, of := range []Of{OfController, OfLine, OfSite, OfSource, OfNode} {
			v := Verdict{Cause: r.cause, Rule: r.name, Scope: Scope{Of: of}}
			if r.or != "" {
				v.Cause, v.Between = Unclear, [2]Cause{r.cause, r.or}
			}
			if next, send := advice(&v); next == "" || send == "" {
				t.Errorf("nothing is advised on %s of a %s", r.name, of)
			}
		}
	}
}
