package lint

import (
	"go/ast"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/lint/tree"
)

// core is the packages that are functions of their input alone, so that the same
// code runs under a seeded simulation: no clock, randomness, I/O or goroutine.
var core = []string{".", "link", "internal/interval", "internal/ledger", "internal/reportjson", "internal/topic", "internal/sparkplug"}

var impureImports = []string{"os", "net", "syscall", "math/rand", "math/rand/v2", "crypto/rand", "log/slog", "io/fs", "os/exec"}

var impureCalls = []string{
	"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.NewTimer", "time.NewTicker", "time.Tick",
}

func corePurity() Rule {
	return Rule{
		Name: "core-purity",
		Says: "The core (root, link, interval, ledger, reportjson, topic, sparkplug) reads no clock, makes no random number, does no I/O and starts no goroutine.",
		check: func(m *tree.Module, report report) {
			for f := range m.Code {
				if slices.Contains(core, f.Package.Dir) {
					checkPurity(m, f, report)
				}
			}
		},
	}
}

func checkPurity(m *tree.Module, f *tree.File, report report) {
	for _, spec := range f.AST.Imports {
		target := tree.ImportPath(spec)
		if slices.Contains(impureImports, target) || strings.HasPrefix(target, "net/") && target != "net/netip" {
			report(m.At(spec.Pos()), target, "the core does not import %q: let the caller do it and hand in the result", target)
		}
	}
	names := tree.Imports(f.AST)
	tree.Enclosing(f.AST, func(function string, n ast.Node) {
		switch x := n.(type) {
		case *ast.GoStmt:
			report(m.At(x.Pos()), function, "the core starts no goroutine: return what is to be done as an effect")
		case *ast.SelectorExpr:
			if used := tree.Selector(names, x); slices.Contains(impureCalls, used) {
				report(m.At(x.Pos()), used, "the core does not use %s: take the time as an argument", used)
			} else if x.Sel.Name == "Go" && used == "" {
				report(m.At(x.Pos()), function, "the core starts no goroutine: return what is to be done as an effect")
			}
		}
	})
}
