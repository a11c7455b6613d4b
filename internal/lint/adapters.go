package lint

import (
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/lint/tree"
)

// adapterRoots hold a folder for each adapter.
var adapterRoots = []string{"internal/source/", "internal/sink/"}

// compositionRoot is the only package, with those below it, that imports adapters.
const compositionRoot = "internal/app"

func adaptersApart() Rule {
	return Rule{
		Name: "adapters-apart",
		Says: "An adapter (a folder under internal/source or internal/sink) is imported by internal/app alone, never by another adapter.",
		check: func(m *tree.Module, report report) {
			for f := range m.Code {
				if f.Package.Dir == compositionRoot || strings.HasPrefix(f.Package.Dir, compositionRoot+"/") {
					continue
				}
				for _, spec := range f.AST.Imports {
					dir, local := m.Local(tree.ImportPath(spec))
					if local && isAdapter(dir) && adapterOf(dir) != adapterOf(f.Package.Dir) {
						report(m.At(spec.Pos()), dir, "%s imports the adapter %s: what both need belongs in the package above them, and %s joins them", f.Package.Dir, dir, compositionRoot)
					}
				}
			}
		},
	}
}

func isAdapter(dir string) bool {
	return !isTestSupport(dir) && slices.ContainsFunc(adapterRoots, func(root string) bool { return strings.HasPrefix(dir, root) })
}

// adapterOf returns the folder of the adapter that a directory belongs to.
func adapterOf(dir string) string {
	parts := strings.Split(dir, "/")
	return strings.Join(parts[:min(3, len(parts))], "/")
}
