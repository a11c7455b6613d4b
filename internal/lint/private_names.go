package lint

import (
	"bytes"
	"path"
	"regexp"
	"unicode"

	"github.com/penstock/penstock/internal/lint/tree"
)

// privateName matches what tells of the place where a file was made: registries
// and mirrors, and directories of the machine that built it. Each expression
// begins with a literal, which makes the search through all files quick.
var privateName = [...]*regexp.Regexp{
	regexp.MustCompile(`registry\.[a-z0-9-]+\.[a-z]{2,}`), regexp.MustCompile(`mirror\.[a-z0-9-]+\.[a-z]{2,}`),
	regexp.MustCompile(`proxy\.[a-z0-9-]+\.[a-z]{2,}`), regexp.MustCompile(`artifactory\.`), regexp.MustCompile(`nexus\.[a-z0-9-]+\.`),
	regexp.MustCompile(`/home/[a-z][a-z0-9_-]*/`), regexp.MustCompile(`/Users/[a-z][a-z0-9_-]*/`), regexp.MustCompile(`/root/[a-z.]`),
	regexp.MustCompile(`/work/[a-z][a-z0-9_-]*/`), regexp.MustCompile(`/workspace/[a-z][a-z0-9_-]*/`), regexp.MustCompile(`/builds/[a-z][a-z0-9_-]*/`),
	regexp.MustCompile(`C:\\Users\\`),
}

func privateNames() Rule {
	return Rule{
		Name: "private-names",
		Says: "No file names a package registry, or a directory of the machine that it was made on.",
		check: func(m *tree.Module, report report) {
			for _, t := range m.Texts {
				if path.Base(t.Name) == "go.sum" {
					continue
				}
				for _, name := range privateName {
					for _, at := range name.FindAllIndex(t.Data, -1) {
						if found := t.Data[at[0]:at[1]]; !continues(t.Data[:at[0]], found) {
							report(t.Line(bytes.Count(t.Data[:at[0]], []byte("\n"))+1), string(found),
								"%q tells of the machine the file was made on and is wrong on every other: take it out", found)
						}
					}
				}
			}
		},
	}
}

// continues tells whether the path that was found is the rest of a longer one,
// as in "the/home/page/".
func continues(before, found []byte) bool {
	if found[0] != '/' || len(before) == 0 {
		return false
	}
	last := rune(before[len(before)-1])
	return unicode.IsLetter(last) || unicode.IsDigit(last) || last == '.' || last == '_'
}
