package lint

import (
	"go/ast"
	"go/token"
	"strings"

	"github.com/penstock/penstock/internal/lint/tree"
)

func exportedDocs() Rule {
	return Rule{
		Name: "exported-docs",
		Says: "Every exported type, function, method, constant and variable has a comment; that of a type or function begins with its name.",
		check: func(m *tree.Module, report report) {
			for f := range m.Code {
				for _, decl := range f.AST.Decls {
					switch d := decl.(type) {
					case *ast.FuncDecl:
						checkFunctionDoc(m, d, report)
					case *ast.GenDecl:
						checkGroupDoc(m, d, report)
					}
				}
			}
		},
	}
}

func checkFunctionDoc(m *tree.Module, fn *ast.FuncDecl, report report) {
	receiver := tree.ReceiverName(fn)
	if !fn.Name.IsExported() || receiver != "" && !ast.IsExported(receiver) {
		return
	}
	checkDoc(m.At(fn.Pos()), tree.FunctionName(fn), fn.Doc.Text(), report)
}

func checkGroupDoc(m *tree.Module, group *ast.GenDecl, report report) {
	for _, spec := range group.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				checkDoc(m.At(s.Pos()), s.Name.Name, firstText(s.Doc, alone(group)), report)
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() && firstText(s.Doc, s.Comment, group.Doc) == "" {
					report(m.At(name.Pos()), name.Name, "%s has no comment: say what it means, with its unit", name.Name)
				}
			}
		}
	}
}

// alone returns the comment of a declaration without parentheses, which is that
// of its only type.
func alone(group *ast.GenDecl) *ast.CommentGroup {
	if group.Lparen == token.NoPos {
		return group.Doc
	}
	return nil
}

func firstText(comments ...*ast.CommentGroup) string {
	for _, c := range comments {
		if text := c.Text(); text != "" {
			return text
		}
	}
	return ""
}

func checkDoc(at token.Position, subject, doc string, report report) {
	if doc == "" {
		report(at, subject, "%s has no comment: say what it does for the caller, its units and its errors", subject)
		return
	}
	name := subject[strings.LastIndex(subject, ".")+1:]
	for _, article := range []string{"A ", "An ", "The "} {
		doc = strings.TrimPrefix(doc, article)
	}
	if !strings.HasPrefix(doc, name) {
		report(at, subject, "the comment of %s begins with its name, so that it reads as a sentence in the documentation", subject)
	}
}
