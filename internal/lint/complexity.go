package lint

import (
	"go/ast"
	"go/token"

	"github.com/penstock/penstock/internal/lint/tree"
)

func complexity() Rule {
	return Rule{
		Name: "complexity",
		Says: "A function has a cyclomatic complexity of at most 15 (25 in tests).",
		check: func(m *tree.Module, report report) {
			for f, fn := range m.Functions {
				name := tree.FunctionName(fn)
				if limit, n := complexityBudget.of(f.Test), cyclomatic(fn); n > limit {
					report(m.At(fn.Pos()), name, "%s has a cyclomatic complexity of %d, at most %d: give each decision that stands alone a function with a name",
						name, n, limit)
				}
			}
		},
	}
}

// cyclomatic counts the ways through a function, those of the function literals
// in it too, because they are read with it.
func cyclomatic(fn *ast.FuncDecl) int {
	n := 1
	ast.Inspect(fn, func(node ast.Node) bool {
		switch x := node.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			n++
		case *ast.CaseClause:
			if x.List != nil { // default is no decision
				n++
			}
		case *ast.CommClause:
			if x.Comm != nil {
				n++
			}
		case *ast.BinaryExpr:
			if x.Op == token.LAND || x.Op == token.LOR {
				n++
			}
		}
		return true
	})
	return n
}
