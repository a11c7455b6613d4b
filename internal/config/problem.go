package config

import (
	"strconv"
	"strings"

	"github.com/penstock/penstock/internal/suggest"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Source  string // file name, "environment NAME", "--set KEY"; empty for a default
	Line    int    // counted from 1, 0 when the source has no lines
	Column  int    // counted from 1, in characters
	Key     string // dotted path, such as "listen.https" or "points[2].unit"
	Text    string // what is wrong and what to do
	Excerpt string // the line with a caret under the column, empty when there is none

	at place
}

// Error returns "file:line:column: key: text", and the excerpt below it.
func (p Problem) Error() string {
	var b strings.Builder
	if where := p.where(); where != "" {
		b.WriteString(where + ": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	if p.Excerpt != "" {
		b.WriteString("\n" + p.Excerpt)
	}
	return b.String()
}

func (p Problem) where() string {
	if p.Line == 0 {
		return p.Source
	}
	return p.Source + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

// Error holds every problem that was found, in the order of the sources and of
// the lines in them.
type Error struct {
	Problems []Problem
}

// Error returns the problems, each on lines of its own.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// place is where a key got its value.
type place struct {
	source       *source
	line, column int
	section      bool // it holds keys, each with a place of its own
}

func (p place) problem(key, text string) Problem {
	made := Problem{Key: key, Text: text, at: p}
	if p.source == nil {
		return made
	}
	made.Source = p.source.name
	if p.source.lines != nil {
		made.Line, made.Column = p.line, p.column
	}
	return made
}

// withExcerpts adds the excerpts once all keys are known, so that no value of an
// unknown key, which may be a secret, is shown.
func withExcerpts(problems []Problem) []Problem {
	for i, p := range problems {
		if p.at.source != nil && p.at.line == p.Line {
			problems[i].Excerpt = p.at.source.excerpt(p.Line, p.Column)
		}
	}
	return problems
}

// String returns the place for people: "penstock.yaml:3:5", "--set log.level".
func (p place) String() string {
	if p.source == nil {
		return "default"
	}
	return p.problem("", "").where()
}

// source is one origin of values.
type source struct {
	name    string
	lines   []string // of a file, to show the line in question; nil for the others
	secrets []string // names of keys whose values must not be shown, unknown ones among them
}

// excerpt returns the line with a caret under the column. What may be a secret
// is left out.
func (s *source) excerpt(line, column int) string {
	if line < 1 || line > len(s.lines) {
		return ""
	}
	const longest = 120
	shown := []rune(s.redact(strings.ReplaceAll(s.lines[line-1], "\t", " ")))
	if len(shown) > longest {
		shown = append(shown[:longest], '…')
	}
	number := strconv.Itoa(line)
	margin := strings.Repeat(" ", len(number))
	caret := strings.Repeat(" ", min(max(column-1, 0), longest))
	return "  " + number + " | " + string(shown) + "\n  " + margin + " | " + caret + "^"
}

// redact cuts a line after the first key that is a secret, that may be a
// secret's name misspelled, or that is not known.
func (s *source) redact(line string) string {
	for i, c := range line {
		if c != ':' {
			continue
		}
		name := line[strings.LastIndexAny(line[:i], " ,{")+1 : i]
		if s.isSecret(strings.Trim(name, `"'`)) {
			return line[:i+1] + " …"
		}
	}
	return line
}

func (s *source) isSecret(name string) bool {
	for _, secret := range s.secrets {
		if suggest.Near(name, secret) {
			return true
		}
	}
	return false
}
