package config

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Sources are the places that values come from, from weak to strong. Empty ones
// are left out.
type Sources struct {
	File     string   // a YAML file, which must exist
	DotEnv   string   // a file of NAME=value lines, which need not exist
	Environ  []string // NAME=value, as os.Environ gives them
	Set      []string // key=value; the value is YAML
	Reserved []string // names of variables that begin with [EnvPrefix] and are no keys
}

// maxFile is the largest file that is read, in bytes.
const maxFile = 4 << 20

// Loaded tells how a configuration came about.
type Loaded struct {
	Warnings []string // what is odd and yet no error
	places   map[string]place
}

// Where tells where the key got its value: "penstock.yaml:3:10", "environment
// PENSTOCK_LISTEN_HTTPS", "--set listen.https" or "default".
func (l *Loaded) Where(key string) string { return l.places[key].String() }

// Load fills dst, a pointer to a struct that holds the defaults, from the
// sources, then reads the files that secrets refer to, and then calls
// Validate() error of every value that has it, the inner ones first. Validate
// looks at its own value only; its message may begin with the path of the key in
// question ("https: …"), and it may join several errors.
//
// The error is an [*Error] with all problems; dst is then of no use.
func Load(dst any, from Sources) (*Loaded, error) {
	root := reflect.ValueOf(dst).Elem()
	l := &loader{
		binder:  binder{root: root.Type(), places: map[string]place{}},
		dst:     root,
		secrets: secretNames(root.Type(), map[reflect.Type]bool{}),
	}
	if from.File != "" {
		l.file(from.File)
	}
	if from.DotEnv != "" {
		l.dotEnv(from.DotEnv, from.Reserved)
	}
	l.environ(from.Environ, from.Reserved)
	for _, assignment := range from.Set {
		l.set(assignment)
	}
	l.check(filepath.Dir(from.File))
	if len(l.problems) > 0 {
		return nil, &Error{Problems: withExcerpts(l.problems)}
	}
	return &Loaded{Warnings: l.warnings, places: l.places}, nil
}

type loader struct {
	binder
	dst      reflect.Value
	secrets  []string
	warnings []string
}

func (l *loader) file(path string) {
	l.source = &source{name: path, secrets: slices.Clone(l.secrets)}
	content, err := readLimited(path)
	if err != nil {
		l.refuse(place{source: l.source}, "", "cannot be read: "+reason(err))
		return
	}
	if !utf8.Valid(content) {
		l.refuse(place{source: l.source}, "", "is not valid UTF-8: save it as UTF-8")
		return
	}
	text := strings.TrimPrefix(string(content), "\ufeff")
	l.source.lines = strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if node := l.parse(text); node != nil {
		l.bind(l.dst, node, "")
	}
	slices.SortStableFunc(l.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// parse returns the one document of a YAML text, nil when it is empty or wrong.
func (l *loader) parse(text string) ast.Node {
	parsed, err := parser.ParseBytes([]byte(text), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		where, message := place{source: l.source}, err.Error()
		if located, ok := err.(yaml.Error); ok {
			where, message = l.placeOf(located.GetToken()), located.GetMessage()
		}
		l.refuse(where, "", "is not valid YAML: "+message)
		return nil
	}
	var body ast.Node
	for _, document := range parsed.Docs {
		if document.Body == nil || document.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			l.refuse(l.placeOf(document.Body.GetToken()), "", "holds more than one document: keep one")
			return nil
		}
		body = document.Body
	}
	return body
}

// set applies one --set.
func (l *loader) set(assignment string) {
	key, text, found := strings.Cut(assignment, "=")
	key = strings.TrimSpace(key)
	l.source = &source{name: "--set " + key}
	if !found || key == "" {
		l.source.name = fmt.Sprintf("--set %q", assignment)
		l.refuse(place{source: l.source}, "", "is not of the form key=value")
		return
	}
	path := strings.Split(key, ".")
	if slices.Contains(path, "") {
		l.refuse(place{source: l.source}, "", "the key has an empty part")
		return
	}
	before := len(l.problems)
	node := l.valueNode(path, text)
	if node == nil && len(l.problems) == before {
		l.refuse(place{source: l.source}, key, "has no value: give one, or leave it out")
	}
	if node != nil {
		l.assign(path, node)
	}
}

// valueNode returns the node of a value that came without a file. Where the key
// takes a scalar, an unquoted value is taken as it is, so that "[::1]:8080" needs
// no quotes.
func (l *loader) valueNode(path []string, text string) ast.Node {
	kind := l.formAt(path)
	written := strings.TrimSpace(text)
	quoted := strings.HasPrefix(written, `"`) || strings.HasPrefix(written, `'`)
	if (kind == scalarForm || kind == textForm) && !quoted {
		return plainNode(text)
	}
	return l.parse(text)
}

// formAt returns the form of the values at a path, ownForm where it does not
// lead anywhere.
func (l *loader) formAt(path []string) form {
	kind, t := formOf(l.root)
	for _, name := range path {
		switch kind {
		case structForm:
			f, found := fieldNamed(t, name)
			if !found {
				return ownForm
			}
			kind, t = formOf(f.typ)
		case mapForm:
			kind, t = formOf(t.Elem())
		default:
			return ownForm
		}
	}
	return kind
}

// assign binds the node below nested keys.
func (l *loader) assign(path []string, node ast.Node) {
	for _, name := range slices.Backward(path) {
		tk := token.New(name, name, &token.Position{})
		node = ast.Mapping(tk, false, ast.MappingValue(tk, ast.String(tk), node))
	}
	l.bind(l.dst, node, "")
}

// plainNode returns a scalar of the text as it would be without quotes.
func plainNode(text string) ast.Node {
	return ast.String(token.New(text, text, &token.Position{}))
}

func readLimited(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() && info.Mode()&os.ModeNamedPipe == 0 && info.Mode()&os.ModeCharDevice == 0 {
		return nil, fmt.Errorf("it is no file")
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", info.Size(), maxFile)
	}
	return os.ReadFile(path)
}
