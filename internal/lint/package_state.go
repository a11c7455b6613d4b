package lint

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/lint/tree"
)

func noInit() Rule {
	return Rule{
		Name: "no-init",
		Says: "There is no init function.",
		check: func(m *tree.Module, report report) {
			for _, fn := range m.Functions {
				name := tree.FunctionName(fn)
				if name == "init" {
					report(m.At(fn.Pos()), name, "init hides what a program does before main: build the value in a constructor and hand it on")
				}
			}
		},
	}
}

// fixedCalls make values that nobody changes afterwards.
var fixedCalls = []string{
	"errors.New", "fmt.Errorf", "Errorf", "RetryLater",
	"regexp.MustCompile", "sync.OnceValue", "sync.OnceValues", "sync.OnceFunc", "strings.NewReplacer",
	"hash/crc32.MakeTable", "hash/crc64.MakeTable", "encoding/base32.NewEncoding", "encoding/base32.StdEncoding.WithPadding",
	"encoding/base64.NewEncoding", "net/netip.MustParsePrefix", "net/netip.MustParseAddr",
	"time.Date", "html/template.Must", "text/template.Must", "unicode.In", "math.NaN", "math.Inf",
}

func packageVars() Rule {
	return Rule{
		Name: "package-vars",
		Says: "A package-level variable is an error, embedded data, a table that nothing changes, a compiled expression or a sync.OnceValue.",
		check: func(m *tree.Module, report report) {
			for _, p := range m.Packages {
				checkPackageVars(m, p, report)
			}
		},
	}
}

func checkPackageVars(m *tree.Module, p *tree.Package, report report) {
	fixed := map[string]bool{}
	for f := range m.Code {
		if f.Package != p {
			continue
		}
		for _, decl := range f.AST.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.VAR {
				continue
			}
			for _, spec := range group.Specs {
				v := spec.(*ast.ValueSpec)
				embedded := isEmbedded(v.Doc) || isEmbedded(group.Doc)
				for i, name := range v.Names {
					if name.Name != "_" && !embedded && !isFixed(tree.Imports(f.AST), v, i) {
						report(m.At(name.Pos()), name.Name, "%s can change: make it a const, a field of the value that needs it, or a parameter", name.Name)
					}
					fixed[name.Name] = true
				}
			}
		}
	}
	for f := range m.Code {
		if f.Package == p {
			checkAssignments(m, f, fixed, report)
		}
	}
}

func isEmbedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// isFixed tells whether the i-th variable of the declaration holds a table or
// the result of a call that makes a fixed value.
func isFixed(names map[string]string, v *ast.ValueSpec, i int) bool {
	if len(v.Values) != len(v.Names) {
		return false
	}
	switch value := v.Values[i].(type) {
	case *ast.CompositeLit:
		return true
	case *ast.UnaryExpr:
		return pointsToOwn(value)
	case *ast.CallExpr:
		return slices.Contains(fixedCalls, calledName(names, value.Fun))
	}
	return false
}

// pointsToOwn tells whether the value is &T{…} with a T of the same package: an
// entry of a table that is told apart by its address.
func pointsToOwn(value *ast.UnaryExpr) bool {
	literal, ok := value.X.(*ast.CompositeLit)
	if !ok {
		return false
	}
	_, own := literal.Type.(*ast.Ident)
	return own
}

// calledName returns the function's name with its import path, without it for
// functions of the domain.
func calledName(names map[string]string, fun ast.Expr) string {
	if index, ok := fun.(*ast.IndexExpr); ok { // sync.OnceValue[T]
		fun = index.X
	}
	switch f := fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if inner, ok := f.X.(*ast.CallExpr); ok { // a method of what a call returns
			return calledName(names, inner.Fun)
		}
		if inner := tree.Selector(names, f.X); inner != "" {
			return inner + "." + f.Sel.Name
		}
		if called := tree.Selector(names, f); strings.HasSuffix(called, "penstock."+f.Sel.Name) {
			return f.Sel.Name
		}
		return tree.Selector(names, f)
	}
	return ""
}

// checkAssignments reports where a function changes one of the fixed variables.
func checkAssignments(m *tree.Module, f *tree.File, fixed map[string]bool, report report) {
	for _, decl := range f.AST.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		own := declaredIn(fn)
		ast.Inspect(fn, func(n ast.Node) bool {
			for _, target := range changed(n) {
				if name := variableOf(target); fixed[name] && !own[name] && name != "_" {
					report(m.At(n.Pos()), name, "%s is a package's table and must not change: copy it, or make it a field", name)
				}
			}
			return true
		})
	}
}

// changed returns the expressions that a statement or call changes.
func changed(n ast.Node) []ast.Expr {
	switch x := n.(type) {
	case *ast.AssignStmt:
		if x.Tok != token.DEFINE {
			return x.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{x.X}
	case *ast.CallExpr:
		if name, ok := x.Fun.(*ast.Ident); ok && (name.Name == "delete" || name.Name == "clear") && len(x.Args) > 0 {
			return x.Args[:1]
		}
	}
	return nil
}

// variableOf returns the variable at the root of a.b[c].d.
func variableOf(expr ast.Expr) string {
	for {
		switch x := expr.(type) {
		case *ast.Ident:
			return x.Name
		case *ast.SelectorExpr:
			expr = x.X
		case *ast.IndexExpr:
			expr = x.X
		case *ast.StarExpr:
			expr = x.X
		case *ast.ParenExpr:
			expr = x.X
		default:
			return ""
		}
	}
}

// declaredIn returns the names that the function declares itself.
func declaredIn(fn *ast.FuncDecl) map[string]bool {
	own := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.Field:
			for _, name := range x.Names {
				own[name.Name] = true
			}
		case *ast.ValueSpec:
			for _, name := range x.Names {
				own[name.Name] = true
			}
		case *ast.AssignStmt:
			if x.Tok == token.DEFINE {
				for _, target := range x.Lhs {
					own[variableOf(target)] = true
				}
			}
		case *ast.RangeStmt:
			for _, target := range []ast.Expr{x.Key, x.Value} {
				if target != nil {
					own[variableOf(target)] = true
				}
			}
		}
		return true
	})
	return own
}
