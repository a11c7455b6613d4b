package lint

import (
	"go/ast"

	"github.com/penstock/penstock/internal/lint/tree"
)

const contextType = "context.Context"

func storedContext() Rule {
	return eachFile("stored-context", "No struct holds a context.Context.",
		func(m *tree.Module, f *tree.File, report report) {
			names := tree.Imports(f.AST)
			tree.Enclosing(f.AST, func(declared string, n ast.Node) {
				s, ok := n.(*ast.StructType)
				if !ok {
					return
				}
				for _, field := range s.Fields.List {
					if tree.Selector(names, field.Type) == contextType {
						report(m.At(field.Pos()), declared, "a struct holds a context: pass it to the call that it belongs to, as its first parameter")
					}
				}
			})
		})
}

func contextFirst() Rule {
	return eachFile("context-first", "A context.Context is the first parameter (in tests it may follow the test).",
		func(m *tree.Module, f *tree.File, report report) {
			names := tree.Imports(f.AST)
			tree.Enclosing(f.AST, func(declared string, n ast.Node) {
				fn, ok := n.(*ast.FuncType)
				if !ok || f.Test || isTestSupport(f.Package.Dir) {
					return
				}
				for i, field := range fn.Params.List {
					if i > 0 && tree.Selector(names, field.Type) == contextType {
						report(m.At(field.Pos()), declared, "the context comes first, so that nobody looks for it")
					}
				}
			})
		})
}
