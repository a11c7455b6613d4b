package lint

import (
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/lint/tree"
)

// architectureFile holds the table of packages and what each may import.
const architectureFile = "docs/ARCHITECTURE.md"

// Words of the table.
const (
	rootName        = "penstock"
	everythingAbove = "everything above"
	nothing         = "–"
)

// layer is one row of the table.
type layer struct {
	line    int
	dirs    []string
	imports []string // directories
	all     bool     // everything above
}

func importDirection() Rule {
	return Rule{
		Name: "import-direction",
		Says: "A package imports what its row in docs/ARCHITECTURE.md names, which stands further up in the table; the root imports the standard library only.",
		check: func(m *tree.Module, report report) {
			doc := m.Find(architectureFile)
			if doc == nil {
				return
			}
			layers := readLayers(doc, report)
			checkOrder(doc, layers, report)
			checkPresence(m, doc, layers, report)
			for _, p := range m.Packages {
				if l := layerOf(layers, p.Dir); l >= 0 {
					checkImports(m, p, layers, l, report)
				} else if hasCode(p) {
					report(p.Files[0].Line(1), p.Dir, "%s has no row in %s: say there what it provides and what it may import", p.Dir, architectureFile)
				}
			}
		},
	}
}

// readLayers reads the rows whose first cell names packages.
func readLayers(doc *tree.Text, report report) []layer {
	var layers []layer
	for _, row := range tree.TableRows(doc) {
		dirs := directories(tree.Quoted(row.Cells[0]))
		if len(row.Cells) != 3 || len(dirs) == 0 {
			continue
		}
		l := layer{line: row.Line, dirs: dirs}
		switch cell := row.Cells[2]; {
		case cell == everythingAbove:
			l.all = true
		case cell == nothing:
		default:
			l.imports = directories(tree.Quoted(cell))
			if rest := strings.Trim(tree.InBackticks.ReplaceAllString(cell, ""), ", "); rest != "" || len(l.imports) == 0 {
				report(doc.Line(row.Line), row.Cells[0], "the last cell of a row is a list of packages in backticks, %q or %q", everythingAbove, nothing)
			}
		}
		layers = append(layers, l)
	}
	return layers
}

func directories(names []string) []string {
	var dirs []string
	for _, name := range names {
		if name == rootName {
			name = "."
		}
		dirs = append(dirs, name)
	}
	return dirs
}

// checkOrder reports rows that may import what does not stand above them.
func checkOrder(doc *tree.Text, layers []layer, report report) {
	var above []string
	for _, l := range layers {
		for _, target := range l.imports {
			if !slices.Contains(above, target) {
				report(doc.Line(l.line), target, "%s stands in no row above this one: imports run upwards in the table", target)
			}
		}
		above = append(above, l.dirs...)
	}
}

// checkPresence reports packages that the table names and nobody wrote.
func checkPresence(m *tree.Module, doc *tree.Text, layers []layer, report report) {
	for _, l := range layers {
		for _, dir := range l.dirs {
			if !slices.ContainsFunc(m.Packages, func(p *tree.Package) bool { return isBelow(p.Dir, dir) }) {
				report(doc.Line(l.line), dir, "there is no package %s: take it out of the table", dir)
			}
		}
	}
}

// layerOf returns the index of the row for a directory or for the nearest
// directory above it that has one; -1 when there is none.
func layerOf(layers []layer, dir string) int {
	best, length := -1, -1
	for i, l := range layers {
		for _, d := range l.dirs {
			if isBelow(dir, d) && len(d) > length {
				best, length = i, len(d)
			}
		}
	}
	return best
}

func checkImports(m *tree.Module, p *tree.Package, layers []layer, own int, report report) {
	for f := range m.Code {
		if f.Package != p {
			continue
		}
		for _, spec := range f.AST.Imports {
			target := tree.ImportPath(spec)
			dir, local := m.Local(target)
			if !local {
				if p.Dir == "." && !isStandard(target) {
					report(m.At(spec.Pos()), target, "the root imports the standard library only: move what needs %s into a package of its own", target)
				}
				continue
			}
			if other := layerOf(layers, dir); other < 0 || !allowed(layers, own, other) {
				report(m.At(spec.Pos()), dir, "%s may not import %s: declare here the small interface that it needs, or change the row in %s with a reason", p.Dir, dir, architectureFile)
			}
		}
	}
}

func allowed(layers []layer, own, other int) bool {
	if own == other {
		return true
	}
	if layers[own].all {
		return other < own
	}
	return slices.ContainsFunc(layers[other].dirs, func(d string) bool { return slices.Contains(layers[own].imports, d) })
}

// isStandard tells whether an import path is the standard library's.
func isStandard(target string) bool {
	first, _, _ := strings.Cut(target, "/")
	return !strings.Contains(first, ".")
}

// hasCode tells whether the package has a file that is not a test.
func hasCode(p *tree.Package) bool {
	return slices.ContainsFunc(p.Files, isCode)
}

func isCode(f *tree.File) bool { return !f.Test }
