package lint

import (
	"fmt"
	"go/ast"
	"go/scanner"
	"go/token"
	"hash/fnv"
	"strings"

	"github.com/penstock/penstock/internal/lint/tree"
)

// A clone is a run of lines inside a function that another run equals when
// names and literals are not looked at, except that equal names must stay equal.
const (
	cloneLines   = 6  // shortest run
	cloneTokens  = 50 // fewest tokens in it: six lines of error handling are no clone
	clonePercent = 1  // of the lines of all functions
)

func clones() Rule {
	return Rule{
		Name: "clones",
		Says: "At most 1 % of the lines of functions are copies of others, names and literals not looked at, in runs of 6 lines or more.",
		check: func(m *tree.Module, report report) {
			var bodies []codeLines
			total := 0
			for f, fn := range m.Functions {
				name := tree.FunctionName(fn)
				if f.Test || isTestSupport(f.Package.Dir) || fn.Body == nil || isTable(fn) {
					continue
				}
				body := linesOf(m, name, f, fn)
				total += len(body.lines)
				bodies = append(bodies, body)
			}
			pairs, cloned := findClones(bodies)
			if cloned*100 <= total*clonePercent {
				return
			}
			for _, pair := range pairs {
				report(pair.first, pair.function, "%d lines are a copy of %s (copies are %d of %d lines, at most %d %%): give what both do one function",
					pair.lines, pair.second, cloned, total, clonePercent)
			}
		},
	}
}

// codeLines is the lines with code of one function.
type codeLines struct {
	function string
	file     string
	lines    []codeLine
}

type codeLine struct {
	number int
	tokens []string // keywords and operators as they are; names with a leading '$', literals as their kind
}

func linesOf(m *tree.Module, name string, f *tree.File, fn *ast.FuncDecl) codeLines {
	body := codeLines{function: name, file: f.Name}
	from, to := m.At(fn.Body.Lbrace), m.At(fn.Body.Rbrace)
	if from.Line == to.Line {
		return body
	}
	src := f.Data[from.Offset+1 : to.Offset]
	set := token.NewFileSet()
	file := set.AddFile("", set.Base(), len(src))
	var s scanner.Scanner
	s.Init(file, src, func(token.Position, string) {}, 0)
	for {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			return body
		}
		if tok == token.SEMICOLON && text == "\n" {
			continue
		}
		number := from.Line + file.Line(pos) - 1
		if n := len(body.lines); n == 0 || body.lines[n-1].number != number {
			body.lines = append(body.lines, codeLine{number: number})
		}
		last := &body.lines[len(body.lines)-1]
		last.tokens = append(last.tokens, normal(tok, text))
	}
}

func normal(tok token.Token, text string) string {
	switch {
	case tok == token.IDENT:
		return "$" + text
	case tok.IsLiteral():
		return tok.String()
	}
	return tok.String()
}

// clonePair is a run of lines and the earlier one that it copies.
type clonePair struct {
	function      string
	first, second token.Position
	lines         int
}

type place struct{ body, line int }

// findClones returns the longest runs that copy earlier ones, and how many lines
// take part in them on either side.
func findClones(bodies []codeLines) ([]clonePair, int) {
	seen := map[uint64]place{}
	marked := map[place]bool{}
	var pairs []clonePair
	for b, body := range bodies {
		for i := 0; i+cloneLines <= len(body.lines); i++ {
			hash, tokens := fingerprint(body.lines[i : i+cloneLines])
			if tokens < cloneTokens {
				continue
			}
			earlier, ok := seen[hash]
			if !ok {
				seen[hash] = place{b, i}
				continue
			}
			if earlier.body == b && earlier.line+cloneLines > i {
				continue // a run does not copy itself
			}
			for k := range cloneLines {
				marked[place{b, i + k}] = true
				marked[place{earlier.body, earlier.line + k}] = true
			}
			pairs = extend(pairs, body, i, bodies[earlier.body], earlier.line)
		}
	}
	return pairs, len(marked)
}

// extend adds a pair, or lengthens the last one when this run goes on from it.
func extend(pairs []clonePair, body codeLines, i int, other codeLines, j int) []clonePair {
	second := token.Position{Filename: other.file, Line: other.lines[j].number}
	if n := len(pairs); n > 0 {
		last := &pairs[n-1]
		end := i + cloneLines - 1
		if last.function == body.function && last.first.Filename == body.file && last.second.Filename == other.file &&
			body.lines[end-1].number-last.first.Line < 2*last.lines+cloneLines && body.lines[i].number > last.first.Line {
			last.lines++
			return pairs
		}
	}
	return append(pairs, clonePair{
		function: body.function,
		first:    token.Position{Filename: body.file, Line: body.lines[i].number},
		second:   second,
		lines:    cloneLines,
	})
}

// fingerprint hashes a run of lines with its names replaced by the order of
// their first use, and counts its tokens.
func fingerprint(lines []codeLine) (hash uint64, tokens int) {
	order := map[string]int{}
	h := fnv.New64a()
	for _, line := range lines {
		for _, t := range line.tokens {
			if strings.HasPrefix(t, "$") {
				if _, ok := order[t]; !ok {
					order[t] = len(order)
				}
				t = fmt.Sprintf("$%d", order[t])
			}
			_, _ = h.Write([]byte(t))
			_, _ = h.Write([]byte{0})
		}
		_, _ = h.Write([]byte{'\n'})
		tokens += len(line.tokens)
	}
	return h.Sum64(), tokens
}
