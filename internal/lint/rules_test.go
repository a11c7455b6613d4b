package lint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/penstock/penstock/internal/lint"
	"github.com/penstock/penstock/internal/lint/tree"
)

// TestRules proves of every rule that it is not vacuous. The archive
// testdata/RULE.txtar holds a module under bad/, in which the rule must find
// what the archive's comment lists, a line a finding ("file:line subject"), and
// nothing else; and a module under good/, in which it must find nothing.
func TestRules(t *testing.T) {
	for _, rule := range lint.Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			archive, err := txtar.ParseFile(filepath.Join("testdata", rule.Name+".txtar"))
			if err != nil {
				t.Fatalf("every rule shows what it rejects and what it passes: %v", err)
			}
			bad, good := check(t, archive, "bad/", rule), check(t, archive, "good/", rule)
			want := strings.Split(strings.TrimSpace(string(archive.Comment)), "\n")
			if !slices.Equal(bad, want) {
				t.Errorf("in what is bad the rule finds\n\t%s\nwant\n\t%s", strings.Join(bad, "\n\t"), strings.Join(want, "\n\t"))
			}
			if len(good) > 0 {
				t.Errorf("in what is good the rule finds %q", good)
			}
		})
	}
}

// TestArchivesHaveRules finds archives whose rule is gone.
func TestArchivesHaveRules(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		rule := strings.TrimSuffix(filepath.Base(name), ".txtar")
		if !slices.ContainsFunc(lint.Rules(), func(r lint.Rule) bool { return r.Name == rule }) {
			t.Errorf("%s belongs to no rule", name)
		}
	}
}

func check(t *testing.T, archive *txtar.Archive, prefix string, rule lint.Rule) []string {
	t.Helper()
	files := fstest.MapFS{"go.mod": {Data: []byte("module example.org/m\n")}}
	for _, f := range archive.Files {
		if name, ok := strings.CutPrefix(f.Name, prefix); ok {
			files[name] = &fstest.MapFile{Data: expand(f.Data)}
		}
	}
	if len(files) == 1 {
		t.Fatalf("the archive has nothing under %s", prefix)
	}
	m, err := tree.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range lint.Check(m, []lint.Rule{rule}, nil) {
		found = append(found, fmt.Sprintf("%s:%d %s", f.File, f.Line, f.Subject))
		if f.Rule != rule.Name || !strings.Contains(f.Message, " ") || strings.Contains(f.Message, "%!") {
			t.Errorf("a finding that helps nobody: %s", f)
		}
	}
	return found
}

var repeat = regexp.MustCompile(`(?m)^repeat ([0-9]+): (.*)\n`)

// expand writes out the lines "repeat N: text", with # in text for the number.
func expand(data []byte) []byte {
	return repeat.ReplaceAllFunc(data, func(line []byte) []byte {
		parts := repeat.FindSubmatch(line)
		n, _ := strconv.Atoi(string(parts[1]))
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.ReplaceAll(string(parts[2]), "#", strconv.Itoa(i+1)) + "\n")
		}
		return []byte(b.String())
	})
}

// TestCheckExceptions shows that an exception allows exactly what it names, and
// that one which nothing needs is a finding.
func TestCheckExceptions(t *testing.T) {
	m, err := tree.Load(fstest.MapFS{
		"go.mod": {Data: []byte("module example.org/m\n")},
		"a.go":   {Data: []byte("package a\n\nfunc init() {}\n")},
		"b.go":   {Data: []byte("package a\n\nfunc init() {}\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	rules := slices.DeleteFunc(lint.Rules(), func(r lint.Rule) bool { return r.Name != "no-init" })
	for _, c := range []struct {
		exceptions []lint.Exception
		want       []string
	}{
		{nil, []string{"no-init a.go", "no-init b.go"}},
		{[]lint.Exception{{Rule: "no-init", File: "a.go", Subject: "init"}}, []string{"no-init b.go"}},
		{[]lint.Exception{{Rule: "no-init", File: "a.go", Subject: "Init"}},
			[]string{"no-init a.go", "no-init b.go", "exceptions internal/lint/exceptions.go"}},
	} {
		var got []string
		for _, f := range lint.Check(m, rules, c.exceptions) {
			got = append(got, f.Rule+" "+f.File)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("with %v: %q, want %q", c.exceptions, got, c.want)
		}
	}
}

// TestLoadRefuses shows what cannot be checked.
func TestLoadRefuses(t *testing.T) {
	for name, files := range map[string]fstest.MapFS{
		"no module":     {"a.go": {Data: []byte("package a\n")}},
		"broken syntax": {"go.mod": {Data: []byte("module m\n")}, "a.go": {Data: []byte("package\n")}},
	} {
		if _, err := tree.Load(files); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestRulesAreDocumented holds the list in CONTRIBUTING.md against the rules.
func TestRulesAreDocumented(t *testing.T) {
	data, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, r := range lint.Rules() {
		row := "| " + r.Name + " | " + r.Says + " |\n"
		i := strings.Index(string(data[at:]), row)
		if i < 0 {
			t.Errorf("CONTRIBUTING.md lacks this row, or has it in another place:\n%s", row)
			continue
		}
		at += i
	}
}
