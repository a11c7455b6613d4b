package trial_test

import (
	"bytes"
	"os"
	"strconv"
	"testing"

	"github.com/penstock/penstock/internal/diagnose/trial"
)

// runs is how many runs of each kind are made: one always, many for the record.
func runs() int {
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_TRIALS")); err == nil && n > 0 {
		return n
	}
	return 1
}

// The verdicts on injected faults are right often enough, and tell physical from
// software. Set PENSTOCK_TRIALS for more runs of each kind.
func TestVerdictsOnInjectedFaults(t *testing.T) {
	var all trial.Score
	for _, kind := range trial.Kinds() {
		var s trial.Score
		for i := range runs() {
			cases := trial.Run(kind, uint64(9000+i))
			s.Add(cases)
			all.Add(cases)
			for _, c := range cases {
				if c.Label != c.Said.Cause {
					t.Logf("%s run %d: was %s, said %s %v by %s (%.2f) %q but %q", kind, i, c.Label, c.Said.Cause, c.Said.Between, c.Said.Rule, c.Said.Confidence, c.Said.For, c.Said.Against)
				}
			}
		}
	}
	var text bytes.Buffer
	if err := all.Write(&text); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &text)
	if share, answers := all.PhysicalAgainstSoftware(); share < 0.97 || answers < 30*runs() {
		t.Errorf("physical and software are told apart in %.3f of %d answers", share, answers)
	}
	if f := all.MacroF1(); f < 0.84 || f <= all.BaselineF1() {
		t.Errorf("macro-F1 is %.3f, that of the four states %.3f", f, all.BaselineF1())
	}
}

// A plant that is well is called so.
func TestHealthyPlant(t *testing.T) {
	hours := 60.0
	if runs() > 1 {
		hours = 3000
	}
	wrong, said := trial.Healthy(hours, 9005)
	for _, v := range said {
		t.Logf("%+v", v)
	}
	if float64(wrong) > hours/1000 {
		t.Errorf("%d false verdicts in %.0f controller-hours", wrong, hours)
	}
	t.Logf("%d false verdicts in %.0f controller-hours", wrong, hours)
}
