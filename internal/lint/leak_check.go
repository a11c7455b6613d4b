package lint

import (
	"bytes"
	"go/ast"
	"slices"

	"github.com/penstock/penstock/internal/lint/tree"
)

func leakCheck() Rule {
	return Rule{
		Name: "leak-check",
		Says: "Where a package starts goroutines and has tests, its TestMain finds those that are left behind.",
		check: func(m *tree.Module, report report) {
			for _, p := range m.Packages {
				if n := firstGoroutine(p); n != nil && hasTests(p) && !hasLeakCheck(p) {
					report(m.At(n.Pos()), p.Dir, "%s starts goroutines here: write func TestMain(m *testing.M) { testkit.Main(m) } in its tests", p.Dir)
				}
			}
		},
	}
}

// firstGoroutine returns the first place where the package's code starts a
// goroutine, nil when there is none.
func firstGoroutine(p *tree.Package) ast.Node {
	if isTestSupport(p.Dir) {
		return nil
	}
	for _, f := range p.Files {
		if n := startsGoroutine(f); n != nil && !f.Test {
			return n
		}
	}
	return nil
}

func hasTests(p *tree.Package) bool {
	return slices.ContainsFunc(p.Files, func(f *tree.File) bool { return f.Test })
}

// hasLeakCheck tells whether the package's tests end with a search for
// goroutines that were left behind.
func hasLeakCheck(p *tree.Package) bool {
	return slices.ContainsFunc(p.Files, func(f *tree.File) bool {
		return f.Test && (bytes.Contains(f.Data, []byte("testkit.Main(")) || bytes.Contains(f.Data, []byte("goleak.VerifyTestMain(")))
	})
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
