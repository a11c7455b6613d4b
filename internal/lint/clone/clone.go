// Package clone finds code that was copied and then given other names.
//
// A clone is a run of lines inside a function that equals another run when names
// and literals are not looked at, except that names which are equal in the one
// must be equal in the other.
package clone

import (
	"go/scanner"
	"go/token"
	"hash/fnv"
	"strconv"
)

// The shortest run that counts. Six lines of error handling have fewer tokens
// and are no clone.
const (
	minLines  = 6
	minTokens = 50
)

// Function is the body of a function.
type Function struct {
	Name string
	File string
	Line int    // on which the source begins
	Body []byte // without the braces
}

// Run is some lines of a function.
type Run struct {
	Function Function
	Line     int // in the file
}

// Pair is a run and the earlier one that it equals.
type Pair struct {
	Copy, Original Run
	Lines          int // lines with code
}

// Result is what was found in some functions.
type Result struct {
	Pairs  []Pair
	Cloned int // lines that take part in a pair, on either side
	Total  int // lines with code
}

// Find compares all functions with each other.
func Find(functions []Function) Result {
	f := finder{seen: map[uint64]place{}, cloned: map[place]bool{}}
	for _, function := range functions {
		f.bodies = append(f.bodies, body{function, split(function)})
		f.compareLast()
	}
	f.result.Cloned = len(f.cloned)
	return f.result
}

type finder struct {
	bodies []body
	seen   map[uint64]place // the first run of each hash
	cloned map[place]bool
	result Result
}

type body struct {
	Function
	lines []line
}

// line is a line with code.
type line struct {
	number int
	words  []word
}

// word is a token; names keep their text, literals do not.
type word struct {
	token token.Token
	name  string
}

// place is a line of a body, both by index.
type place struct{ body, line int }

// compareLast compares the last body with those before it, and with itself.
func (f *finder) compareLast() {
	b := len(f.bodies) - 1
	lines := f.bodies[b].lines
	f.result.Total += len(lines)
	var before place // where the run one line further up has its original
	for i := 0; i+minLines <= len(lines); i++ {
		hash, words := fingerprint(lines[i : i+minLines])
		original, known := f.seen[hash]
		switch {
		case words < minTokens:
			before = place{}
			continue
		case !known:
			f.seen[hash] = place{b, i}
			before = place{}
			continue
		case original.body == b && original.line+minLines > i:
			continue // it would be its own original
		}
		for k := range minLines {
			f.cloned[place{b, i + k}] = true
			f.cloned[place{original.body, original.line + k}] = true
		}
		if last := len(f.result.Pairs) - 1; last >= 0 && before != (place{}) && original == (place{before.body, before.line + 1}) {
			f.result.Pairs[last].Lines++
		} else {
			f.result.Pairs = append(f.result.Pairs, Pair{f.run(place{b, i}), f.run(original), minLines})
		}
		before = original
	}
}

func (f *finder) run(p place) Run {
	b := f.bodies[p.body]
	return Run{b.Function, b.lines[p.line].number}
}

// split returns the lines with code, their comments left out.
func split(function Function) []line {
	var lines []line
	file := token.NewFileSet().AddFile("", -1, len(function.Body))
	var s scanner.Scanner
	s.Init(file, function.Body, func(token.Position, string) {}, 0)
	for {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			return lines
		}
		if tok == token.SEMICOLON && text == "\n" {
			continue // put in by the scanner
		}
		number := function.Line + file.Line(pos) - 1
		if n := len(lines); n == 0 || lines[n-1].number != number {
			lines = append(lines, line{number: number})
		}
		w := word{token: tok}
		if tok == token.IDENT {
			w.name = text
		}
		last := &lines[len(lines)-1]
		last.words = append(last.words, w)
	}
}

// fingerprint hashes a run with its names replaced by the order of their first
// use, and counts its words.
func fingerprint(lines []line) (hash uint64, words int) {
	order := map[string]int{}
	h := fnv.New64a()
	var text []byte
	for _, line := range lines {
		text = text[:0]
		for _, w := range line.words {
			text = strconv.AppendInt(text, int64(w.token), 10)
			if w.name != "" {
				if _, known := order[w.name]; !known {
					order[w.name] = len(order)
				}
				text = strconv.AppendInt(append(text, '$'), int64(order[w.name]), 10)
			}
			text = append(text, ' ')
		}
		_, _ = h.Write(append(text, '\n')) // a hash never fails
		words += len(line.words)
	}
	return h.Sum64(), words
}
