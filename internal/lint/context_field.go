package lint

import (
	"go/ast"

	"github.com/penstock/penstock/internal/lint/tree"
)

func storedContext() Rule {
	return eachFile("stored-context", "No struct holds a context.Context; it is a function's first parameter.",
		func(m *tree.Module, f *tree.File, report report) {
			names := tree.Imports(f.AST)
			tree.Enclosing(f.AST, func(declared string, n ast.Node) {
				s, ok := n.(*ast.StructType)
				if !ok {
					return
				}
				for _, field := range s.Fields.List {
					if tree.Selector(names, field.Type) == "context.Context" {
						report(m.At(field.Pos()), declared, "a struct holds a context: pass it to the call that it belongs to, as its first parameter")
					}
				}
			})
		})
}
