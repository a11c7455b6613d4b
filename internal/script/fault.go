package script

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"modernc.org/quickjs"
)

// Kind says in which way a script failed.
type Kind string

// The kinds of fault.
const (
	Threw   Kind = "threw"   // an exception, or an answer that is no report
	Slow    Kind = "slow"    // over its time, and stopped
	Stuck   Kind = "stuck"   // over its time in an operation that cannot be stopped
	Hungry  Kind = "hungry"  // over its memory
	Deep    Kind = "deep"    // recursion without an end
	Resting Kind = "resting" // not run, because it was stopped too often on the controller's reports
)

// Fault is what a script did wrong, and where.
type Fault struct {
	Kind   Kind
	File   string
	Line   int // of the file, 0 when it is not known
	Column int
	Text   string
}

// Error returns the place and what went wrong: "clean.js:12:5: TypeError: …".
func (f *Fault) Error() string {
	place := f.File
	if f.Line > 0 {
		place += ":" + strconv.Itoa(f.Line)
	}
	if f.Column > 0 {
		place += ":" + strconv.Itoa(f.Column)
	}
	return place + ": " + f.Text
}

// fresh tells whether the machine is not to be used again after the fault.
func (f *Fault) fresh() bool { return f.Kind != Threw && f.Kind != Resting }

// maxFault bounds the text of a fault: a script may throw megabytes.
const maxFault = 300

// faultOf makes a fault of what the engine returned. fallback is the line of the
// function that was called: out of memory there is none for a stack.
func faultOf(err error, c *Config, fallback int) *Fault {
	f := &Fault{Kind: Threw, File: c.name(), Line: fallback}
	var e *quickjs.Error
	if !errors.As(err, &e) {
		f.Text = clip(err.Error())
		return f
	}
	if line, column := placeIn(e.Stack, f.File); line > 0 {
		f.Line, f.Column = line, column
	}
	if e.FileName == f.File && e.LineNumber > 0 {
		f.Line, f.Column = e.LineNumber, e.ColumnNumber
	}
	thrown := e.Error()
	bare := e.Name == "" && e.Message == "" && e.Stack == ""
	switch {
	case e.Message == "interrupted" && e.Name == "InternalError":
		f.Kind, f.Text = Slow, fmt.Sprintf("took longer than %v and was stopped", c.Timeout)
	case strings.Contains(e.Message, "out of memory"), bare && thrown == "null": // no memory was left for an error
		f.Kind, f.Text = Hungry, fmt.Sprintf("used more than %v of memory and was stopped", c.Memory)
	case strings.HasSuffix(e.Message, "stack overflow"):
		f.Kind, f.Text = Deep, "calls itself without an end: "+e.Message
	case bare:
		f.Text = clip("threw " + thrown)
	default:
		f.Text = clip(e.Name + ": " + e.Message)
	}
	return f
}

// placeIn returns the innermost place of a stack that is in the file, as in
// "    at onReport (clean.js:12:5)", and 0 when there is none.
func placeIn(stack, file string) (line, column int) {
	for at := range strings.Lines(stack) {
		_, place, found := strings.Cut(at, file+":")
		if !found {
			continue
		}
		if n, _ := fmt.Sscanf(place, "%d:%d", &line, &column); n > 0 {
			return line, column
		}
	}
	return 0, 0
}

func clip(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) > maxFault {
		s = strings.ToValidUTF8(s[:maxFault], "") + "…"
	}
	return s
}
