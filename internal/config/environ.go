package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/suggest"
)

// environ applies the variables of the environment that name a key; an empty one
// counts as not set. Others with the prefix are warned about: an orchestrator may
// have put them there.
func (l *loader) environ(environ, reserved []string) {
	names := l.variables()
	for _, pair := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, EnvPrefix) || slices.Contains(reserved, name) {
			continue
		}
		l.source = &source{name: "environment " + name}
		l.variable(names, name, value, place{source: l.source})
	}
}

// dotEnv applies a file of NAME=value lines, as shells and service managers
// read them: blank lines and # comments, an optional "export", single or double
// quotes.
func (l *loader) dotEnv(path string, reserved []string) {
	content, err := readLimited(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	// Any line may hold another program's secret: lines are named, not shown.
	l.source = &source{name: path, lines: []string{}}
	if err != nil {
		l.refuse(place{source: l.source}, "", "cannot be read: "+reason(err))
		return
	}
	names := l.variables()
	for i, line := range strings.Split(string(content), "\n") {
		where := place{source: l.source, line: i + 1, column: 1}
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name = strings.TrimSpace(name)
		value, ok := unquote(strings.TrimSpace(value))
		if !found || !ok || name == "" {
			l.refuse(where, "", "is not of the form NAME=value, or a quote is not closed")
			continue
		}
		if strings.HasPrefix(name, EnvPrefix) && !slices.Contains(reserved, name) {
			l.variable(names, name, value, where)
		}
	}
}

func (l *loader) variable(names map[string][]string, name, value string, where place) {
	if value == "" {
		return
	}
	switch keys := names[name]; len(keys) {
	case 0:
		warning := fmt.Sprintf("%s: %s names no key of the configuration", where, name)
		known := make([]string, 0, len(names))
		for n := range names {
			known = append(known, n)
		}
		slices.Sort(known)
		if meant := suggest.Nearest(name, known); meant != "" {
			warning += "; did you mean " + meant + "?"
		}
		l.warnings = append(l.warnings, warning)
	case 1:
		before := len(l.problems)
		l.assign(strings.Split(keys[0], "."), plainNode(value))
		for i := range l.problems[before:] {
			l.problems[before+i].Line, l.problems[before+i].Column = where.line, where.column
		}
		l.places[keys[0]] = where
	default:
		l.refuse(where, "", fmt.Sprintf("%s may mean %s: use --set or the file", name, strings.Join(keys, " or ")))
	}
}

// variables returns the keys that each environment variable may mean.
func (l *loader) variables() map[string][]string {
	names := map[string][]string{}
	for _, leaf := range leavesOf(l.root, "") {
		names[leaf.name] = append(names[leaf.name], leaf.key)
	}
	return names
}

// unquote removes quotes around a value, or a comment after one without quotes.
func unquote(value string) (string, bool) {
	if value == "" {
		return "", true
	}
	if quote := value[0]; quote == '\'' || quote == '"' {
		end := strings.LastIndexByte(value, quote)
		return value[1:max(end, 1)], end == len(value)-1 && end > 0
	}
	bare, _, _ := strings.Cut(value, " #")
	return strings.TrimSpace(bare), true
}

// reason returns an error of the file system without the path, which stands
// before it already.
func reason(err error) string {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}
