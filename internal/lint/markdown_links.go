package lint

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/penstock/penstock/internal/lint/tree"
)

var (
	inlineLink = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	htmlLink   = regexp.MustCompile(`(?:src|srcset|href)="([^"\s]+)"`)
	heading    = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*\s*$`)
)

func markdownLinks() Rule {
	return Rule{
		Name: "markdown-links",
		Says: "Every link in a Markdown file to another file, or to a heading, leads somewhere.",
		check: func(m *tree.Module, report report) {
			for _, t := range m.Texts {
				if path.Ext(t.Name) != ".md" {
					continue
				}
				for number, line := range tree.Prose(t) {
					line = tree.InBackticks.ReplaceAllString(line, "")
					for _, match := range append(inlineLink.FindAllStringSubmatch(line, -1), htmlLink.FindAllStringSubmatch(line, -1)...) {
						if why := broken(m, t, match[1]); why != "" {
							report(t.Line(number), match[1], "the link %s leads nowhere: %s", match[1], why)
						}
					}
				}
			}
		},
	}
}

// broken says why a link in the document leads nowhere, empty when it leads
// somewhere or out of the module.
func broken(m *tree.Module, from *tree.Text, link string) string {
	if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
		return ""
	}
	target, anchor, _ := strings.Cut(link, "#")
	name := from.Name
	if target != "" {
		name = path.Join(path.Dir(from.Name), target)
	}
	doc := m.Find(name)
	switch {
	case doc == nil && !isDirectory(m, name) && !slices.Contains(m.Others, name):
		return "there is no file " + name
	case anchor != "" && (doc == nil || !hasHeading(doc, anchor)):
		return name + " has no heading for #" + anchor
	}
	return ""
}

func isDirectory(m *tree.Module, name string) bool {
	for _, t := range m.Texts {
		if strings.HasPrefix(t.Name, name+"/") {
			return true
		}
	}
	return false
}

func hasHeading(doc *tree.Text, anchor string) bool {
	for _, line := range tree.Prose(doc) {
		if match := heading.FindStringSubmatch(strings.TrimRight(line, "\n")); match != nil && anchorOf(match[1]) == anchor {
			return true
		}
	}
	return false
}

// anchorOf returns the name under which a heading can be linked to.
func anchorOf(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			b.WriteRune(r)
		case r == ' ':
			b.WriteRune('-')
		}
	}
	return b.String()
}
