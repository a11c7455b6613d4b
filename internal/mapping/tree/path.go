package tree

import (
	"strconv"
	"strings"

	"github.com/penstock/penstock"
)

// Origin says where a path begins.
type Origin uint8

// The origins. Whether a plain name is one of the payload or of the fields is for
// the reader of the path to say.
const (
	InPayload  Origin = iota // the JSON of the payload
	InFields                 // the fields of bytes or text
	InElement                // an element of a list that is gone through
	InEnvelope               // what the envelope tells
)

// Path leads to a value, or with [*] to any number of them.
//
//	path    = start *( "." name / "[" number "]" / "[*]" / `["` text `"]` )
//	start   = name / "." [ name ] / ".." [ name ] / "$" name
//
// A name is any run of characters without space and without . [ ] { }.
type Path struct {
	Text  string // as written
	From  Origin
	Up    int    // InElement: 0 is the innermost list's
	Fact  string // InEnvelope: its name
	Steps []Step
}

// Step is one way down: into an object by name, into a list by index, or into
// every element of it.
type Step struct {
	Name  string
	Index int // or ByName, or All
}

// What an index may be beside a place in a list.
const (
	ByName = -1
	All    = -2
)

// maxSteps bounds the length of a path.
const maxSteps = 32

// ParsePath reads a path. Its error says what is wrong and where.
func ParsePath(text string) (Path, error) {
	p := Path{Text: text}
	rest := text
	switch {
	case text == "":
		return p, penstock.Errorf(penstock.Invalid, "a path is empty: write a name, as in {level}")
	case text[0] == '$':
		p.From = InEnvelope
		rest = text[1:]
	case text[0] == '.':
		p.From = InElement
		rest = text[1:]
		for strings.HasPrefix(rest, ".") {
			p.Up++
			rest = rest[1:]
		}
		if rest == "" {
			return p, nil
		}
	}
	var err error
	if p.Steps, err = parseSteps(rest); err != nil {
		return p, penstock.Errorf(penstock.Invalid, "{%.80s}: %w", text, err)
	}
	if p.From == InEnvelope {
		if len(p.Steps) == 0 {
			return p, penstock.Errorf(penstock.Invalid, "{$}: a name is due behind the $, as in {$topic}")
		}
		p.Fact, p.Steps = p.Steps[0].Name, p.Steps[1:]
	}
	return p, nil
}

func parseSteps(rest string) ([]Step, error) {
	var steps []Step
	for first := true; rest != ""; first = false {
		var s Step
		var err error
		switch {
		case rest[0] == '[':
			s, rest, err = parseBracket(rest)
		case rest[0] == '.' && !first:
			s, rest, err = parseName(rest[1:])
		case first:
			s, rest, err = parseName(rest)
		default:
			err = penstock.Errorf(penstock.Invalid, "a . or [ is due before %.20q", rest)
		}
		if err != nil {
			return nil, err
		}
		if steps = append(steps, s); len(steps) > maxSteps {
			return nil, penstock.Errorf(penstock.Invalid, "a path has at most %d parts", maxSteps)
		}
	}
	return steps, nil
}

func parseName(rest string) (Step, string, error) {
	end := strings.IndexAny(rest, ".[]{} \t\n")
	if end < 0 {
		end = len(rest)
	}
	if end == 0 {
		return Step{}, "", penstock.Errorf(penstock.Invalid, `a name is due before %.20q; a name with other characters is written ["so"]`, rest)
	}
	return Step{Name: rest[:end], Index: ByName}, rest[end:], nil
}

func parseBracket(rest string) (Step, string, error) {
	if quoted, found := strings.CutPrefix(rest, `["`); found {
		name, after, found := strings.Cut(quoted, `"]`)
		if !found || name == "" {
			return Step{}, "", penstock.Errorf(penstock.Invalid, `a name in brackets ends with "]`)
		}
		return Step{Name: name, Index: ByName}, after, nil
	}
	inner, after, found := strings.Cut(rest[1:], "]")
	if !found {
		return Step{}, "", penstock.Errorf(penstock.Invalid, "a [ is not closed")
	}
	if inner == "*" {
		return Step{Index: All}, after, nil
	}
	n, err := strconv.ParseUint(inner, 10, 31)
	if err != nil {
		return Step{}, "", penstock.Errorf(penstock.Invalid, `[%.20s] is neither a number, nor [*], nor a name as in ["so"]`, inner)
	}
	return Step{Index: int(n)}, after, nil
}

// Many tells whether the path leads to any number of values.
func (p *Path) Many() bool {
	for _, s := range p.Steps {
		if s.Index == All {
			return true
		}
	}
	return false
}
