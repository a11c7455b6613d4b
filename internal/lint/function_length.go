package lint

import (
	"go/ast"
	"slices"

	"github.com/penstock/penstock/internal/lint/tree"
)

// tableMarker exempts a function that is a list or a table from the limit of
// length. It stands in the function's comment, as a line of its own.
const tableMarker = "//lint:table"

// tableComplexity is how much a function marked as a table may decide.
const tableComplexity = 2

func functionLength() Rule {
	return Rule{
		Name: "function-length",
		Says: "A function has at most 70 lines (160 in tests). A list of data may be longer when its comment has the line `//lint:table`.",
		check: func(m *tree.Module, report report) {
			for f, fn := range m.Functions {
				name := tree.FunctionName(fn)
				limit, lines := functionBudget.of(f.Test), m.Lines(fn)
				switch {
				case lines <= limit:
				case !isTable(fn):
					report(m.At(fn.Pos()), name, "%s has %d lines, at most %d: keep the branching here and move whole steps into functions of their own",
						name, lines, limit)
				case cyclomatic(fn) > tableComplexity:
					report(m.At(fn.Pos()), name, "%s is marked %s but decides things: only data may be long", name, tableMarker)
				}
			}
		},
	}
}

func isTable(fn *ast.FuncDecl) bool {
	return fn.Doc != nil && slices.ContainsFunc(fn.Doc.List, func(c *ast.Comment) bool { return c.Text == tableMarker })
}
