package tree

import (
	"strings"

	"github.com/penstock/penstock"
)

// Template is a text with paths in it. One that is a single path gives the value
// as it is, any other gives text. {{ and }} stand for braces.
type Template struct {
	Parts []Part
}

// Part is literal text, or a path.
type Part struct {
	Text string
	Path *Path // nil for literal text
}

// ParseTemplate reads a template. Its error says what is wrong and where.
func ParseTemplate(source string) (Template, error) {
	var t Template
	var literal strings.Builder
	for rest := source; rest != ""; {
		at := strings.IndexAny(rest, "{}")
		if at < 0 {
			literal.WriteString(rest)
			break
		}
		literal.WriteString(rest[:at])
		brace, after := rest[at], rest[at+1:]
		if after != "" && after[0] == brace {
			literal.WriteByte(brace)
			rest = after[1:]
			continue
		}
		inner, behind, closed := strings.Cut(after, "}")
		if brace == '}' || !closed {
			return t, penstock.Errorf(penstock.Invalid, "%.80q: a %c has no partner; %c%c stands for the character itself", source, brace, brace, brace)
		}
		p, err := ParsePath(strings.TrimSpace(inner))
		if err != nil {
			return t, err
		}
		t.literal(&literal)
		t.Parts = append(t.Parts, Part{Path: &p})
		rest = behind
	}
	t.literal(&literal)
	return t, nil
}

func (t *Template) literal(b *strings.Builder) {
	if b.Len() > 0 {
		t.Parts = append(t.Parts, Part{Text: b.String()})
		b.Reset()
	}
}

// Single returns the template's path where it is nothing else.
func (t *Template) Single() *Path {
	if len(t.Parts) == 1 {
		return t.Parts[0].Path
	}
	return nil
}

// Empty tells whether there is nothing in the template.
func (t *Template) Empty() bool { return len(t.Parts) == 0 }
