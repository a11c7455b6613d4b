package lint

import (
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/lint/tree"
)

// dependenciesFile lists the direct dependencies with their reasons.
const dependenciesFile = "docs/dependencies.md"

// dependency is one row of the list.
type dependency struct {
	module    string
	line      int
	usedBy    []string // directories; nil when only tests use it
	testsOnly bool
}

func dependencies() Rule {
	return Rule{
		Name: "dependencies",
		Says: "The direct dependencies in go.mod are those in docs/dependencies.md, and only the packages named there import them.",
		check: func(m *tree.Module, report report) {
			doc := m.Find(dependenciesFile)
			if doc == nil {
				return
			}
			listed := readDependencies(doc)
			checkRequires(m, doc, listed, report)
			used := map[string]bool{} // "module directory"
			for f := range m.Files {
				checkDependencyImports(m, f, listed, report)
				markUsed(f, listed, used)
			}
			checkUsed(doc, listed, used, report)
		},
	}
}

// readDependencies reads the rows whose first cell is a module path: module,
// why, used by; rows of two cells are for tests only.
func readDependencies(doc *tree.Text) []dependency {
	var listed []dependency
	for _, row := range tree.TableRows(doc) {
		module := strings.Trim(row.Cells[0], "`")
		if !strings.Contains(module, ".") || len(row.Cells) < 2 || strings.Contains(module, " ") {
			continue
		}
		d := dependency{module: module, line: row.Line, testsOnly: len(row.Cells) == 2}
		if !d.testsOnly {
			d.usedBy = tree.Quoted(row.Cells[2])
		}
		listed = append(listed, d)
	}
	return listed
}

func checkRequires(m *tree.Module, doc *tree.Text, listed []dependency, report report) {
	for _, r := range m.Requires {
		if !slices.ContainsFunc(listed, func(d dependency) bool { return d.module == r.Module }) {
			report(m.Find("go.mod").Line(r.Line), r.Module, "%s has no line in %s: say there why it is worth its weight", r.Module, dependenciesFile)
		}
	}
	for _, d := range listed {
		if !slices.ContainsFunc(m.Requires, func(r tree.Require) bool { return r.Module == d.module }) {
			report(doc.Line(d.line), d.module, "%s is not a direct dependency in go.mod: take the line out", d.module)
		}
	}
}

func checkDependencyImports(m *tree.Module, f *tree.File, listed []dependency, report report) {
	for _, spec := range f.AST.Imports {
		target := tree.ImportPath(spec)
		if _, local := m.Local(target); local || isStandard(target) {
			continue
		}
		d := dependencyOf(listed, target)
		switch {
		case d == nil:
			report(m.At(spec.Pos()), target, "%s belongs to no direct dependency: do without, or require it and say why in %s", target, dependenciesFile)
		case f.Test || isTestSupport(f.Package.Dir):
		case d.testsOnly:
			report(m.At(spec.Pos()), target, "%s is for tests only", d.module)
		case !slices.ContainsFunc(d.usedBy, func(dir string) bool { return isBelow(f.Package.Dir, dir) }):
			report(m.At(spec.Pos()), target, "%s does not say that %s uses %s: add it there, or ask the package that wraps it", dependenciesFile, f.Package.Dir, d.module)
		}
	}
}

// markUsed notes which of the listed packages import which module.
func markUsed(f *tree.File, listed []dependency, used map[string]bool) {
	for _, spec := range f.AST.Imports {
		d := dependencyOf(listed, tree.ImportPath(spec))
		if d == nil || f.Test {
			continue
		}
		for _, dir := range d.usedBy {
			if isBelow(f.Package.Dir, dir) {
				used[d.module+" "+dir] = true
			}
		}
	}
}

// checkUsed reports packages that are said to use a module and do not.
func checkUsed(doc *tree.Text, listed []dependency, used map[string]bool, report report) {
	for _, d := range listed {
		for _, dir := range d.usedBy {
			if !used[d.module+" "+dir] {
				report(doc.Line(d.line), dir, "%s does not use %s: take it out of the line", dir, d.module)
			}
		}
	}
}

// isBelow tells whether the directory is root or lies below it.
func isBelow(dir, root string) bool { return dir == root || strings.HasPrefix(dir, root+"/") }

// dependencyOf returns the module of a package, nil for none. A module may lie below
// another: the longest path has it.
func dependencyOf(listed []dependency, target string) (found *dependency) {
	for i, d := range listed {
		if isBelow(target, d.module) && (found == nil || len(d.module) > len(found.module)) {
			found = &listed[i]
		}
	}
	return found
}
