package lint

import (
	"github.com/penstock/penstock/internal/lint/clone"
	"github.com/penstock/penstock/internal/lint/tree"
)

// maxClonePercent is how many of the lines of all functions may be clones.
const maxClonePercent = 1

func clones() Rule {
	return Rule{
		Name: "clones",
		Says: "At most 1 % of the lines of functions are copies of others, names and literals not looked at, in runs of 6 lines or more.",
		check: func(m *tree.Module, report report) {
			found := clone.Find(bodies(m))
			if found.Cloned*100 <= found.Total*maxClonePercent {
				return
			}
			for _, p := range found.Pairs {
				at := (&tree.Text{Name: p.Copy.Function.File}).Line(p.Copy.Line)
				report(at, p.Copy.Function.Name, "%d lines are a copy of %s:%d (copies are %d of %d lines, at most %d %%): give what both do one function",
					p.Lines, p.Original.Function.File, p.Original.Line, found.Cloned, found.Total, maxClonePercent)
			}
		},
	}
}

// bodies returns the bodies of all functions but those of tests and tables.
func bodies(m *tree.Module) []clone.Function {
	var all []clone.Function
	for f, fn := range m.Functions {
		if f.Test || isTestSupport(f.Package.Dir) || fn.Body == nil || isTable(fn) {
			continue
		}
		from, to := m.At(fn.Body.Lbrace), m.At(fn.Body.Rbrace)
		all = append(all, clone.Function{
			Name: tree.FunctionName(fn), File: f.Name, Line: from.Line, Body: f.Data[from.Offset+1 : to.Offset],
		})
	}
	return all
}
