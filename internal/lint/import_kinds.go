package lint

import (
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/lint/tree"
)

func blankImport() Rule {
	return eachFile("blank-import", "No import is blank (embed apart) and none is a dot import.",
		func(m *tree.Module, f *tree.File, report report) {
			for _, spec := range f.AST.Imports {
				target := tree.ImportPath(spec)
				switch {
				case spec.Name == nil:
				case spec.Name.Name == ".":
					report(m.At(spec.Pos()), target, "a dot import hides where a name comes from: import %s under its name", target)
				case spec.Name.Name == "_" && target != "embed":
					report(m.At(spec.Pos()), target, "an import for its side effects registers something behind the reader's back: list it in internal/app")
				}
			}
		})
}

// banned holds import paths that nothing may use, and what to use instead.
var banned = map[string]string{
	"C":                             "Penstock is one static binary without cgo",
	"unsafe":                        "say in exceptions.go why nothing else will do",
	"math/rand":                     "take an io.Reader for secrets, math/rand/v2 with a seed for simulations",
	"io/ioutil":                     "use io and os",
	"log":                           "take a *slog.Logger",
	"expvar":                        "declare the metric in internal/metrics",
	"net/http/pprof":                "it registers itself on the default mux",
	"golang.org/x/net/context":      "use context",
	"github.com/pkg/errors":         "use errors and fmt.Errorf with %w",
	"github.com/stretchr/testify":   "compare with ==, reflect.DeepEqual or slices.Equal and say got and want",
	"golang.org/x/exp/slices":       "use slices",
	"github.com/cockroachdb/errors": "use errors and penstock.Errorf",
}

// allowedInTests are those of the banned imports that tests may use.
var allowedInTests = []string{"log", "unsafe"}

func bannedImport() Rule {
	return eachFile("banned-import", "No cgo, no unsafe, no math/rand of the first version, no global loggers or registries.",
		func(m *tree.Module, f *tree.File, report report) {
			for _, spec := range f.AST.Imports {
				target := tree.ImportPath(spec)
				if instead, ok := banned[target]; ok && !(f.Test && slices.Contains(allowedInTests, target)) {
					report(m.At(spec.Pos()), target, "%q is not used here: %s", target, instead)
				}
			}
			checkLinkname(m, f, report)
		})
}

func checkLinkname(m *tree.Module, f *tree.File, report report) {
	for _, group := range f.AST.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:link"+"name ") {
				report(m.At(c.Pos()), "linkname", "reaching into another package's private parts breaks with its next version")
			}
		}
	}
}
