package lint

import (
	"bytes"
	"path"
	"regexp"
	"strings"

	"github.com/penstock/penstock/internal/lint/tree"
)

// privateName matches what tells of the place where a file was made: registries
// and mirrors, and directories of the machine that built it.
var privateName = regexp.MustCompile(`(?i)` + strings.Join([]string{
	`registry\.[a-z0-9-]+\.[a-z]{2,}`, `proxy\.golang`, `sum\.golang\.org`, `goproxy\.[a-z]+`, `npm-?mirror\.`, `yarnpkg\.com`,
	`pypi\.org`, `pythonhosted\.org`, `crates\.io`, `artifactory\.`, `\bnexus\.[a-z0-9-]+\.`,
	`(^|[^\w.])/(home|Users|work|workspace|builds)/[a-z][a-z0-9_-]*/`, `(^|[^\w.])/root/[a-z.]`, `C:\\Users\\`,
}, "|"))

func privateNames() Rule {
	return Rule{
		Name: "private-names",
		Says: "No file names a package registry, or a directory of the machine that it was made on.",
		check: func(m *tree.Module, report report) {
			for _, t := range m.Texts {
				number := 0
				for line := range bytes.Lines(t.Data) {
					number++
					if found := string(bytes.TrimLeft(privateName.Find(line), " \t\"'`(=:,")); found != "" && path.Base(t.Name) != "go.sum" {
						report(t.Line(number), found, "%q tells of the machine the file was made on and is wrong on every other: take it out", found)
					}
				}
			}
		},
	}
}
