package tree

import (
	"regexp"
	"strings"
)

// Row is a row of a Markdown table.
type Row struct {
	Line  int
	Cells []string
}

// TableRows returns the rows of all tables of a document, without the lines
// under their headings. Tables inside code blocks are no tables.
func TableRows(t *Text) []Row {
	var rows []Row
	for number, line := range Prose(t) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|-") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, Row{number, cells})
	}
	return rows
}

// Prose yields the lines of a document that are not in a code block, each
// with its number.
func Prose(t *Text) func(yield func(number int, line string) bool) {
	return func(yield func(int, string) bool) {
		number, fenced := 0, false
		for line := range strings.Lines(string(t.Data)) {
			number++
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				fenced = !fenced
				continue
			}
			if !fenced && !yield(number, line) {
				return
			}
		}
	}
}

// InBackticks matches a piece of code in a line of Markdown.
var InBackticks = regexp.MustCompile("`([^`]+)`")

// Quoted returns what stands in backticks.
func Quoted(s string) []string {
	var names []string
	for _, match := range InBackticks.FindAllStringSubmatch(s, -1) {
		names = append(names, match[1])
	}
	return names
}
