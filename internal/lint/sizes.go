package lint

import (
	"bytes"
	"go/ast"
	"slices"

	"github.com/penstock/penstock/internal/lint/tree"
)

func parameters() Rule {
	return Rule{
		Name: "parameters",
		Says: "A function takes at most 5 parameters (6 in tests).",
		check: func(m *tree.Module, report report) {
			for f, fn := range m.Functions {
				name := tree.FunctionName(fn)
				if limit, n := parameterBudget.of(f.Test), fn.Type.Params.NumFields(); n > limit {
					report(m.At(fn.Pos()), name, "%s takes %d parameters, at most %d: gather those that belong together in a struct", name, n, limit)
				}
			}
		},
	}
}

func fileLength() Rule {
	return Rule{
		Name: "file-length",
		Says: "A file has at most 500 lines (800 in tests); aim at 150.",
		check: func(m *tree.Module, report report) {
			for f := range m.Files {
				if limit, n := fileBudget.of(f.Test), lineCount(f); n > limit {
					report(f.Line(1), f.Name, "the file has %d lines, at most %d: split it by what its parts provide", n, limit)
				}
			}
		},
	}
}

func packageLength() Rule {
	return Rule{
		Name: "package-length",
		Says: "A package has at most 2,000 lines outside of tests.",
		check: func(m *tree.Module, report report) {
			sum := map[*tree.Package]int{}
			for f := range m.Code {
				sum[f.Package] += lineCount(f)
			}
			for _, p := range m.Packages {
				if n := sum[p]; n > maxPackageLines {
					report(p.Files[slices.IndexFunc(p.Files, isCode)].Line(1), p.Dir, "the package has %d lines, at most %d: find the part that others could use alone and give it a package", n, maxPackageLines)
				}
			}
		},
	}
}

func lineCount(f *tree.File) int { return bytes.Count(f.Data, []byte("\n")) }

func structFields() Rule {
	return Rule{
		Name: "struct-fields",
		Says: "A struct has at most 20 fields (no limit in tests).",
		check: func(m *tree.Module, report report) {
			for f, t := range m.Types {
				s, ok := t.Type.(*ast.StructType)
				if ok && !f.Test && s.Fields.NumFields() > maxStructFields {
					report(m.At(t.Pos()), t.Name.Name, "%s has %d fields, at most %d: fields that change together make a type of their own",
						t.Name.Name, s.Fields.NumFields(), maxStructFields)
				}
			}
		},
	}
}

func interfaceMethods() Rule {
	return Rule{
		Name: "interface-methods",
		Says: "An interface has at most 5 methods (no limit in tests).",
		check: func(m *tree.Module, report report) {
			for f, t := range m.Types {
				if i, ok := t.Type.(*ast.InterfaceType); ok && !f.Test && i.Methods.NumFields() > maxInterfaceMethods {
					report(m.At(t.Pos()), t.Name.Name, "%s has %d methods, at most %d: declare where it is used only what is used there",
						t.Name.Name, i.Methods.NumFields(), maxInterfaceMethods)
				}
			}
		},
	}
}

func typeMethods() Rule {
	return Rule{
		Name: "type-methods",
		Says: "A type has at most 30 methods (no limit in tests).",
		check: func(m *tree.Module, report report) {
			count := map[*tree.Package]map[string]int{}
			for _, p := range m.Packages {
				count[p] = map[string]int{}
			}
			for f, fn := range m.Functions {
				if !f.Test && !isTestSupport(f.Package.Dir) {
					count[f.Package][tree.ReceiverName(fn)]++
				}
			}
			for f, t := range m.Types {
				if n := count[f.Package][t.Name.Name]; n > maxTypeMethods {
					report(m.At(t.Pos()), t.Name.Name, "%s has %d methods, at most %d: it does the work of two types", t.Name.Name, n, maxTypeMethods)
				}
			}
		},
	}
}
