package lint

import (
	"go/ast"
	"go/token"
	"slices"

	"github.com/penstock/penstock/internal/lint/tree"
)

var textTests = []string{"strings.Contains", "strings.HasPrefix", "strings.HasSuffix", "strings.EqualFold", "strings.Index"}

func errorText() Rule {
	return eachFile("error-text", "Outside of tests nothing is decided by an error's text; programs act on penstock.CodeOf, errors.Is and errors.As.",
		func(m *tree.Module, f *tree.File, report report) {
			if f.Test {
				return
			}
			names := tree.Imports(f.AST)
			tree.Enclosing(f.AST, func(declared string, n ast.Node) {
				decides := false
				switch x := n.(type) {
				case *ast.CallExpr:
					decides = slices.Contains(textTests, tree.Selector(names, x.Fun)) && slices.ContainsFunc(x.Args, isErrorText)
				case *ast.BinaryExpr:
					decides = (x.Op == token.EQL || x.Op == token.NEQ) && (isErrorText(x.X) || isErrorText(x.Y))
				}
				if decides {
					report(m.At(n.Pos()), declared, "the text of an error is for people and changes: act on penstock.CodeOf, errors.Is or errors.As")
				}
			})
		})
}

// isErrorText tells whether the expression is x.Error().
func isErrorText(expr ast.Expr) bool {
	call, ok := expr.(*ast.CallExpr)
	if !ok || len(call.Args) > 0 {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Error"
}
