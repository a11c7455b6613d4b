package tree

import (
	"go/ast"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Functions yields the functions and methods of the files.
func (m *Module) Functions(yield func(*File, *ast.FuncDecl) bool) {
	for f := range m.Files {
		for _, decl := range f.AST.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && !yield(f, fn) {
				return
			}
		}
	}
}

// FunctionName returns the name as exceptions give it: "Name" or "Type.Name".
func FunctionName(fn *ast.FuncDecl) string {
	if receiver := ReceiverName(fn); receiver != "" {
		return receiver + "." + fn.Name.Name
	}
	return fn.Name.Name
}

// ReceiverName returns the name of the method's type, empty for a function.
func ReceiverName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	t := fn.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	switch generic := t.(type) {
	case *ast.IndexExpr:
		t = generic.X
	case *ast.IndexListExpr:
		t = generic.X
	}
	if name, ok := t.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

// Types yields the type declarations of the files.
func (m *Module) Types(yield func(*File, *ast.TypeSpec) bool) {
	for f := range m.Files {
		for _, decl := range f.AST.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				if t, ok := spec.(*ast.TypeSpec); ok && !yield(f, t) {
					return
				}
			}
		}
	}
}

// Imports returns the import paths of a file under the names that stand for
// them in its code.
func Imports(f *ast.File) map[string]string {
	names := map[string]string{}
	for _, spec := range f.Imports {
		target := ImportPath(spec)
		name := defaultName(target)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = target
	}
	return names
}

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// defaultName guesses the package name of an import path, which is its last
// part that is not a major version.
func defaultName(target string) string {
	base := path.Base(target)
	if majorVersion.MatchString(base) && strings.Contains(target, "/") {
		base = path.Base(path.Dir(target))
	}
	return base
}

// ImportPath returns the path that an import names.
func ImportPath(spec *ast.ImportSpec) string {
	target, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return target
}

// Selector returns "path.Name" for an expression such as time.Now, where path
// is what the name before the dot imports; empty for any other expression.
func Selector(names map[string]string, expr ast.Expr) string {
	sel, ok := expr.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok || names[x.Name] == "" {
		return ""
	}
	return names[x.Name] + "." + sel.Sel.Name
}

// Enclosing calls visit for every node of the file together with the name of
// the declaration it stands in: a function, or the first name of a group.
func Enclosing(f *ast.File, visit func(declared string, n ast.Node)) {
	for _, decl := range f.Decls {
		name := declaredName(decl)
		ast.Inspect(decl, func(n ast.Node) bool {
			if n != nil {
				visit(name, n)
			}
			return true
		})
	}
}

func declaredName(decl ast.Decl) string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return FunctionName(d)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				return s.Name.Name
			case *ast.ValueSpec:
				return s.Names[0].Name
			}
		}
	}
	return ""
}

// Local returns the directory of an import path within the module.
func (m *Module) Local(target string) (dir string, ok bool) {
	if target == m.Path {
		return ".", true
	}
	return strings.CutPrefix(target, m.Path+"/")
}
