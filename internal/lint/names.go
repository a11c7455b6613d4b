package lint

import (
	"regexp"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/lint/tree"
)

var emptyNames = []string{"util", "utils", "common", "types", "models", "model", "helper", "helpers", "misc", "shared", "base", "lib"}

func packageName() Rule {
	return Rule{
		Name: "package-name",
		Says: "A package is named after what it provides: none is called util, common, types, models or helpers.",
		check: func(m *tree.Module, report report) {
			for _, p := range m.Packages {
				name := strings.TrimSuffix(p.Files[0].AST.Name.Name, "_test")
				if slices.Contains(emptyNames, name) {
					report(p.Files[0].Line(1), name, "%s says nothing about the package: name what it provides", name)
				}
			}
		},
	}
}

var toDoMark = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)

func toDo() Rule {
	return eachFile("to-do", "No comment puts work off; what is missing stands in the list of issues.",
		func(m *tree.Module, f *tree.File, report report) {
			for _, group := range f.AST.Comments {
				for _, c := range group.List {
					if mark := toDoMark.FindString(c.Text); mark != "" {
						report(m.At(c.Pos()), mark, "%s: do it now, or open an issue and say here what the code does today", mark)
					}
				}
			}
		})
}

var suppression = regexp.MustCompile(`^//\s*(no` + `lint|no` + `sec|lint:ig` + `nore|rev` + `ive:disable)\b`)

func noSuppression() Rule {
	return eachFile("no-suppression", "No comment silences a checker: what may stand against a rule is in exceptions.go, what may be ignored is said in words.",
		func(m *tree.Module, f *tree.File, report report) {
			for _, group := range f.AST.Comments {
				for _, c := range group.List {
					if mark := suppression.FindString(c.Text); mark != "" {
						report(m.At(c.Pos()), mark, "nobody reads %s here: keep the reason and take out the mark", mark)
					}
				}
			}
		})
}
