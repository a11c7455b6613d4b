package lint

import (
	"path"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/lint/tree"
)

func testReach() Rule {
	return Rule{
		Name: "test-reach",
		Says: "No package for tests, and not the package testing, is reachable from cmd.",
		check: func(m *tree.Module, report report) {
			var reached []string
			for _, p := range m.Packages {
				if strings.HasPrefix(p.Dir, "cmd/") {
					reach(m, p.Dir, &reached)
				}
			}
			for f := range m.Code {
				if !slices.Contains(reached, f.Package.Dir) {
					continue
				}
				for _, spec := range f.AST.Imports {
					target := tree.ImportPath(spec)
					dir, local := m.Local(target)
					if target == "testing" || local && isTestSupport(dir) {
						report(m.At(spec.Pos()), target, "%s would be in the binary through %s: only tests import it", target, f.Package.Dir)
					}
				}
			}
		},
	}
}

// reach adds the directory and all that its code imports to reached.
func reach(m *tree.Module, dir string, reached *[]string) {
	if slices.Contains(*reached, dir) {
		return
	}
	*reached = append(*reached, dir)
	for f := range m.Code {
		if f.Package.Dir != dir {
			continue
		}
		for _, spec := range f.AST.Imports {
			if target, local := m.Local(tree.ImportPath(spec)); local {
				reach(m, target, reached)
			}
		}
	}
}

// isTestSupport tells whether a directory holds a package for tests: testkit,
// lint and what lies below, and packages such as sinktest.
func isTestSupport(dir string) bool {
	return isBelow(dir, "internal/testkit") || isBelow(dir, "internal/lint") || strings.HasSuffix(path.Base(dir), "test")
}
