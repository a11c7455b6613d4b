package lint

import (
	"strings"

	"github.com/penstock/penstock/internal/lint/tree"
)

func packageComment() Rule {
	return Rule{
		Name: "package-comment",
		Says: "A package has exactly one package comment, which says what the package provides.",
		check: func(m *tree.Module, report report) {
			for _, p := range m.Packages {
				checkPackageComment(p, report)
			}
		},
	}
}

func checkPackageComment(p *tree.Package, report report) {
	var first, documented *tree.File
	for _, f := range p.Files {
		if f.Test || f.Generated {
			continue
		}
		if first == nil {
			first = f
		}
		if f.AST.Doc == nil {
			continue
		}
		if documented != nil {
			report(f.Line(1), p.Dir, "the package comment stands in %s already: one file has it", documented.Name)
			continue
		}
		documented = f
		if want := wantedOpening(f); !strings.HasPrefix(f.AST.Doc.Text(), want) {
			report(f.Line(1), p.Dir, "the package comment begins with %q", want)
		}
	}
	if first != nil && documented == nil {
		report(first.Line(1), p.Dir, "the package has no comment: say in doc.go, or above the package clause of its main file, what it provides")
	}
}

func wantedOpening(f *tree.File) string {
	if f.AST.Name.Name == "main" {
		return "Command "
	}
	return "Package " + f.AST.Name.Name + " "
}
