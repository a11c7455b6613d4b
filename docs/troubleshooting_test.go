package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest = regexp.MustCompile("`([a-z0-9/]+) (Test[A-Za-z0-9]+)`")
	anyRow    = regexp.MustCompile(`(?m)^\| [^|]+ \|.*\|$`)
	headOfRow = regexp.MustCompile(`^\| (symptom|:?-)`)
)

// TestTroubleshooting holds every row of the matrix against the tests that it names.
func TestTroubleshooting(t *testing.T) {
	text, err := os.ReadFile("operations/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, row := range anyRow.FindAllString(string(text), -1) {
		if headOfRow.MatchString(row) {
			continue
		}
		rows++
		if !namedTest.MatchString(row) {
			t.Errorf("no test reproduces %s", row)
		}
	}
	if rows < 30 {
		t.Errorf("only %d rows were found: does the pattern still fit?", rows)
	}
	for _, found := range namedTest.FindAllStringSubmatch(string(text), -1) {
		if !hasTest(t, filepath.Join("..", found[1]), found[2]) {
			t.Errorf("%s has no %s", found[1], found[2])
		}
	}
}

func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}
