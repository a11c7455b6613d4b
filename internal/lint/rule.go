package lint

import (
	"cmp"
	"fmt"
	"go/token"
	"slices"

	"github.com/penstock/penstock/internal/lint/tree"
)

// Finding is a breach of a rule.
type Finding struct {
	Rule    string
	File    string // slash-separated path in the module
	Line    int
	Subject string // the declaration, import or text at fault; an exception names it
	Message string // what is wrong and what to write instead
}

// String returns the finding in the form that editors can jump from.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Rule, f.Message)
}

// Rule is one rule of the house.
type Rule struct {
	Name  string
	Says  string // the rule in one sentence
	check func(m *tree.Module, report report)
}

// eachFile returns a rule that looks at one file at a time, tests too.
func eachFile(name, says string, check func(m *tree.Module, f *tree.File, report report)) Rule {
	return Rule{Name: name, Says: says, check: func(m *tree.Module, report report) {
		for f := range m.Files {
			check(m, f, report)
		}
	}}
}

// report takes one breach.
type report func(at token.Position, subject, format string, args ...any)

// Rules returns all rules, in the order in which CONTRIBUTING.md lists them.
func Rules() []Rule {
	return []Rule{
		functionLength(), complexity(), parameters(), fileLength(), packageLength(),
		structFields(), typeMethods(), interfaceMethods(),
		packageComment(), exportedDocs(), packageName(), toDo(), noSuppression(),
		noInit(), packageVars(), blankImport(), bannedImport(),
		storedContext(), contextFirst(), bareGo(), exportedChannel(), exit(), noPanic(), errorText(), testSleep(), leakCheck(),
		corePurity(), storageSeam(), importDirection(), adaptersApart(), testReach(), dependencies(),
		formatted(), generatedMarker(), clones(),
		privateNames(), markdownLinks(),
	}
}

// Exception allows one breach of a rule.
type Exception struct {
	Rule    string
	File    string
	Subject string // as in the finding
	Reason  string
}

// exceptionsFile is where a person looks for the exceptions.
const exceptionsFile = "internal/lint/exceptions.go"

// Check returns the breaches of the rules that no exception allows, in the
// order of files and lines, and the exceptions that nothing needs.
func Check(m *tree.Module, rules []Rule, exceptions []Exception) []Finding {
	var findings []Finding
	used := make([]bool, len(exceptions))
	for _, rule := range rules {
		rule.check(m, func(at token.Position, subject, format string, args ...any) {
			f := Finding{Rule: rule.Name, File: at.Filename, Line: at.Line, Subject: subject, Message: fmt.Sprintf(format, args...)}
			i := slices.IndexFunc(exceptions, func(e Exception) bool {
				return e.Rule == f.Rule && e.File == f.File && e.Subject == f.Subject
			})
			if i >= 0 {
				used[i] = true
				return
			}
			findings = append(findings, f)
		})
	}
	for i, e := range exceptions {
		if !used[i] {
			findings = append(findings, Finding{
				Rule: "exceptions", File: exceptionsFile, Line: 1, Subject: e.Subject,
				Message: fmt.Sprintf("nothing needs the exception from %s for %q in %s any more: take it out", e.Rule, e.Subject, e.File),
			})
		}
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return findings
}
