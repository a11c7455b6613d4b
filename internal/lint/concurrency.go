package lint

import (
	"go/ast"
	"go/token"

	"github.com/penstock/penstock/internal/lint/tree"
)

func bareGo() Rule {
	return eachFile("bare-go", "No go statement; a goroutine is started with sync.WaitGroup.Go by an owner that waits for it. (Tests may, where a leak check or a bubble of testing/synctest waits.)",
		func(m *tree.Module, f *tree.File, report report) {
			if f.Test && (usesSynctest(f) || hasLeakCheck(f.Package)) {
				return
			}
			tree.Enclosing(f.AST, func(function string, n ast.Node) {
				if g, ok := n.(*ast.GoStmt); ok {
					report(m.At(g.Pos()), function, "nobody waits for this goroutine: start it with sync.WaitGroup.Go, and Wait where its owner ends")
				}
			})
		})
}

func exportedChannel() Rule {
	return Rule{
		Name: "exported-channel",
		Says: "No exported function, method, field or type shows a channel.",
		check: func(m *tree.Module, report report) {
			for f, fn := range m.Functions {
				name := tree.FunctionName(fn)
				receiver := tree.ReceiverName(fn)
				if f.Test || !fn.Name.IsExported() || receiver != "" && !ast.IsExported(receiver) {
					continue
				}
				if pos := findChannel(fn.Type); pos != token.NoPos {
					report(m.At(pos), name, "%s shows a channel: give a method that blocks until ctx ends, or takes a function to call", name)
				}
			}
			for f, t := range m.Types {
				if f.Test || !t.Name.IsExported() {
					continue
				}
				if pos := findChannel(exportedPart(t.Type)); pos != token.NoPos {
					report(m.At(pos), t.Name.Name, "%s shows a channel: keep it in one file and give a method instead", t.Name.Name)
				}
			}
		},
	}
}

// exportedPart returns the part of a type that other packages see.
func exportedPart(t ast.Expr) ast.Node {
	s, ok := t.(*ast.StructType)
	if !ok {
		return t
	}
	seen := &ast.FieldList{}
	for _, field := range s.Fields.List {
		if len(field.Names) == 0 || field.Names[0].IsExported() {
			seen.List = append(seen.List, field)
		}
	}
	return seen
}

func findChannel(n ast.Node) token.Pos {
	found := token.NoPos
	ast.Inspect(n, func(n ast.Node) bool {
		if c, ok := n.(*ast.ChanType); ok && found == token.NoPos {
			found = c.Pos()
		}
		return found == token.NoPos
	})
	return found
}
