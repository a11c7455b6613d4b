package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Planted is a bug that is planted on purpose, and the test that catches it.
type Planted struct {
	Bug  string // its name in package plant
	Test string // pattern of the test's name, as for go test -run
	Says string // part of what the test then prints; may be empty

	Flags []string // more flags for the test
}

// CatchPlanted builds the tests of the package in the working directory once
// more, with bugs planted, and sees that each is caught by its test, which passes
// without it. The caller stands in a file with the build constraint !plants, so
// that it is not in what is built here.
func CatchPlanted(t *testing.T, bugs ...Planted) {
	t.Helper()
	suite := filepath.Join(t.TempDir(), "suite")
	if out, err := exec.Command("go", "test", "-c", "-tags", "plants", "-o", suite, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, b := range bugs {
		t.Run(b.Bug, func(t *testing.T) {
			t.Parallel()
			for _, planted := range []bool{true, false} {
				cmd := exec.Command(suite, append([]string{"-test.run", b.Test}, b.Flags...)...)
				cmd.Env = slices.DeleteFunc(os.Environ(), isTorture)
				if planted {
					cmd.Env = append(cmd.Env, "PENSTOCK_PLANT="+b.Bug)
				}
				out, err := cmd.CombinedOutput()
				if planted != (err != nil) || planted && !strings.Contains(string(out), b.Says) {
					t.Fatalf("planted %v: %v, and it does not say %q:\n%s", planted, err, b.Says, out)
				}
			}
		})
	}
}

// isTorture finds the variable that asks for proofs at full length: a planted bug
// must be caught by what every change runs.
func isTorture(variable string) bool { return strings.HasPrefix(variable, "PENSTOCK_TORTURE=") }
