package lint_test

import (
	"flag"
	"os"
	"testing"

	"github.com/penstock/penstock/internal/lint"
	"github.com/penstock/penstock/internal/lint/tree"
)

var dir = flag.String("dir", "../..", "root of the module to check")

// TestHouse holds the whole module against the rules.
func TestHouse(t *testing.T) {
	m, err := tree.Load(os.DirFS(*dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range lint.Check(m, lint.Rules(), lint.Exceptions()) {
		t.Error(f)
	}
}

// TestExceptionsHaveReasons keeps the list of exceptions honest.
func TestExceptionsHaveReasons(t *testing.T) {
	for _, e := range lint.Exceptions() {
		if e.Reason == "" {
			t.Errorf("the exception from %s for %q in %s has no reason", e.Rule, e.Subject, e.File)
		}
	}
}
