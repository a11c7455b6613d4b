package lint

import (
	"bytes"
	"go/ast"

	"github.com/penstock/penstock/internal/lint/tree"
)

func leakCheck() Rule {
	return Rule{
		Name: "leak-check",
		Says: "Where a package starts goroutines and has tests, its TestMain finds those that are left behind.",
		check: func(m *tree.Module, report report) {
			starts, tested, checked := map[*tree.Package]ast.Node{}, map[*tree.Package]bool{}, map[*tree.Package]bool{}
			for f := range m.Files {
				switch p := f.Package; {
				case f.Test:
					tested[p] = true
					checked[p] = checked[p] || bytes.Contains(f.Data, []byte("testkit.Main(")) || bytes.Contains(f.Data, []byte("goleak.VerifyTestMain("))
				case starts[p] == nil && !isTestSupport(p.Dir):
					starts[p] = startsGoroutine(f)
				}
			}
			for _, p := range m.Packages {
				if n := starts[p]; n != nil && tested[p] && !checked[p] {
					report(m.At(n.Pos()), p.Dir, "%s starts goroutines here: write func TestMain(m *testing.M) { testkit.Main(m) } in its tests", p.Dir)
				}
			}
		},
	}
}

// startsGoroutine returns the first place in the file where a goroutine is
// started, nil when there is none.
func startsGoroutine(f *tree.File) ast.Node {
	var first ast.Node
	tree.Enclosing(f.AST, func(_ string, n ast.Node) {
		if first != nil {
			return
		}
		switch x := n.(type) {
		case *ast.GoStmt:
			first = x
		case *ast.CallExpr:
			if sel, ok := x.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" && len(x.Args) == 1 {
				first = x
			}
		}
	})
	return first
}
