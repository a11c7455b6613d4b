package apart_test

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/source/apart"
)

func TestLastWords(t *testing.T) {
	noise := strings.Repeat("a library prints a line\n", 10_000)
	for _, c := range []struct {
		name         string
		pieces       []string
		begins, gist string
		most         int // bytes of the text
	}{
		{"nothing", nil, "", "", 0},
		{"a line", []string{"first\n", "last\n"}, "first", "last", 20},
		{"noise", []string{noise, "the end"}, "", "the end", 4 << 10},
		{"a panic", []string{noise, "panic: boom\n\ngoroutine 1:\n", "main.go:3\n"}, "panic: boom\n\ngoroutine 1:\nmain.go:3", "panic: boom", 100},
		{"a panic in pieces", []string{noise, "pa", "nic", ": boom\n", "goroutine"}, "panic: boom\ngoroutine", "panic: boom", 100},
		{"a long story", []string{"fatal error: no memory\n", noise}, "fatal error: no memory\n", "fatal error: no memory", 16 << 10},
		{"one endless line", []string{strings.Repeat("x", 1<<20), "panic: not at the beginning"}, "", "", 4 << 10},
		{"no text", []string{"panic: \xff\n"}, "panic: ?", "panic: ?", 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, gist := apart.LastWords(c.pieces...)
			if !strings.HasPrefix(text, c.begins) || len(text) > c.most || c.gist != "" && gist != c.gist || strings.Contains(gist, "\n") {
				t.Errorf("%d bytes that begin with %.40q, in short %.40q", len(text), text, gist)
			}
		})
	}
}
