package lint

import (
	"go/ast"
	"maps"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/lint/tree"
)

// calls calls visit for every call in the file of a function of another
// package, given as "path.Name", or of a builtin, given by its name.
func calls(f *tree.File, visit func(function, called string, call *ast.CallExpr)) {
	names := tree.Imports(f.AST)
	tree.Enclosing(f.AST, func(function string, n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return
		}
		if name, ok := call.Fun.(*ast.Ident); ok {
			visit(function, name.Name, call)
		} else if called := tree.Selector(names, call.Fun); called != "" {
			visit(function, called, call)
		}
	})
}

func exit() Rule {
	return eachFile("exit", "Only main, and TestMain in tests, ends the process.",
		func(m *tree.Module, f *tree.File, report report) {
			calls(f, func(function, called string, call *ast.CallExpr) {
				ends := called == "os.Exit" || called == "syscall.Exit" || strings.HasPrefix(called, "log.Fatal") || strings.HasPrefix(called, "log.Panic")
				inMain := f.AST.Name.Name == "main" && !f.Test || f.Test && function == "TestMain"
				if ends && !inMain {
					report(m.At(call.Pos()), function, "%s ends the process past everything that wants to close: return an error", called)
				}
			})
		})
}

func noPanic() Rule {
	return eachFile("panic", "Code outside of tests panics only where exceptions.go lists an invariant of the program itself; input never makes it panic.",
		func(m *tree.Module, f *tree.File, report report) {
			calls(f, func(function, called string, call *ast.CallExpr) {
				if called == "panic" && !f.Test && !isTestSupport(f.Package.Dir) && !abortsHandler(f, call) {
					report(m.At(call.Pos()), function, "panic: return an error; if only a mistake in the program can come here, list it in exceptions.go with the reason")
				}
			})
		})
}

// abortsHandler tells whether the call is the one that net/http documents for
// cutting a connection without an answer.
func abortsHandler(f *tree.File, call *ast.CallExpr) bool {
	return len(call.Args) == 1 && tree.Selector(tree.Imports(f.AST), call.Args[0]) == "net/http.ErrAbortHandler"
}

func testSleep() Rule {
	return eachFile("test-sleep", "No test sleeps, but in a bubble of testing/synctest.",
		func(m *tree.Module, f *tree.File, report report) {
			calls(f, func(function, called string, call *ast.CallExpr) {
				if f.Test && called == "time.Sleep" && !usesSynctest(f) {
					report(m.At(call.Pos()), function, "a sleep is too short on a slow machine and too long on every other: wait with testkit.Eventually, for a signal, or run in a testing/synctest bubble")
				}
			})
		})
}

// usesSynctest tells whether the file runs tests in a bubble of virtual time,
// in which a sleep costs nothing and is exact.
func usesSynctest(f *tree.File) bool {
	return slices.Contains(slices.Collect(maps.Values(tree.Imports(f.AST))), "testing/synctest")
}
