// Package tree reads the sources and documents of a Go module, for rules to
// judge: its Go files parsed, its other texts as they are.
package tree

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Module is the sources and documents of a Go module.
type Module struct {
	Path     string // module path, as in go.mod
	Requires []Require
	Packages []*Package // by directory
	Texts    []*Text    // every text file, Go files too, by name
	Others   []string   // the names of all other files: pictures, data
	fset     *token.FileSet
}

// Require is a direct dependency of the module.
type Require struct {
	Module string
	Line   int // in go.mod
}

// Package is the Go files of one directory.
type Package struct {
	Dir   string // slash-separated, "." for the root
	Files []*File
}

// File is one Go file.
type File struct {
	*Text
	Package   *Package // the one it belongs to
	AST       *ast.File
	Test      bool // its name ends in _test.go
	Generated bool // it has the marker of generated files
}

// Text is one text file.
type Text struct {
	Name string // slash-separated path in the module
	Data []byte
}

// maxText is the size in bytes above which a file is taken for data.
const maxText = 1 << 20

// Load reads the module whose root is fsys. Of modules within it only the texts are
// read, not the packages. Directories and files that
// .gitignore names (whole names and simple patterns) are left out, and so are
// hidden directories other than .ci.
func Load(fsys fs.FS) (*Module, error) {
	m := &Module{fset: token.NewFileSet()}
	ignored, err := readIgnored(fsys)
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case name == ".":
			return nil
		case entry.IsDir() && (ignored(name) || path.Base(name)[0] == '.' && name != ".ci"):
			return fs.SkipDir
		case !entry.Type().IsRegular() || ignored(name) || name == ".git":
			return nil
		}
		return m.add(fsys, name)
	})
	if err != nil {
		return nil, err
	}
	return m, m.readGoMod()
}

// readIgnored returns a function that tells whether .gitignore names a path.
func readIgnored(fsys fs.FS) (func(name string) bool, error) {
	data, err := fs.ReadFile(fsys, ".gitignore")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var patterns []string
	for line := range strings.Lines(string(data)) {
		if p := strings.Trim(strings.TrimSpace(line), "/"); p != "" && p[0] != '#' {
			patterns = append(patterns, p)
		}
	}
	return func(name string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool {
			inBase, _ := path.Match(p, path.Base(name))
			inPath, _ := path.Match(p, name)
			return inBase || inPath
		})
	}, nil
}

func (m *Module) add(fsys fs.FS, name string) error {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	if len(data) > maxText || !utf8.Valid(data) {
		m.Others = append(m.Others, name)
		return nil
	}
	text := &Text{Name: name, Data: data}
	m.Texts = append(m.Texts, text)
	if path.Ext(name) != ".go" || slices.Contains(strings.Split(name, "/"), "testdata") || inOtherModule(fsys, name) {
		return nil
	}
	parsed, err := parser.ParseFile(m.fset, name, data, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("tree: %w", err)
	}
	p := m.pkg(path.Dir(name))
	p.Files = append(p.Files, &File{
		Text:      text,
		Package:   p,
		AST:       parsed,
		Test:      strings.HasSuffix(name, "_test.go"),
		Generated: ast.IsGenerated(parsed),
	})
	return nil
}

// inOtherModule tells whether the file belongs to a module of its own within this
// one: the go command leaves those out too.
func inOtherModule(fsys fs.FS, name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, err := fs.Stat(fsys, dir+"/go.mod"); err == nil {
			return true
		}
	}
	return false
}

// pkg returns the package of the directory, which is made when it is new.
func (m *Module) pkg(dir string) *Package {
	for _, p := range m.Packages {
		if p.Dir == dir {
			return p
		}
	}
	p := &Package{Dir: dir}
	m.Packages = append(m.Packages, p)
	return p
}

var requireLine = regexp.MustCompile(`^(?:require)?\s+(\S+)\s+v\S+(\s*//\s*indirect)?\s*$`)

func (m *Module) readGoMod() error {
	mod := m.Find("go.mod")
	if mod == nil {
		return errors.New("tree: there is no go.mod in the module's root")
	}
	number := 0
	for line := range strings.Lines(string(mod.Data)) {
		number++
		if name, ok := strings.CutPrefix(line, "module "); ok {
			m.Path = strings.TrimSpace(name)
		}
		if parts := requireLine.FindStringSubmatch(line); parts != nil && parts[2] == "" {
			m.Requires = append(m.Requires, Require{Module: parts[1], Line: number})
		}
	}
	return nil
}

// Find returns the file of the name, nil when there is none.
func (m *Module) Find(name string) *Text {
	i := slices.IndexFunc(m.Texts, func(t *Text) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return m.Texts[i]
}

// Files yields the Go files that people write.
func (m *Module) Files(yield func(*File) bool) {
	for _, p := range m.Packages {
		for _, f := range p.Files {
			if !f.Generated && !yield(f) {
				return
			}
		}
	}
}

// Code yields the files of files that are not tests.
func (m *Module) Code(yield func(*File) bool) {
	for f := range m.Files {
		if !f.Test && !yield(f) {
			return
		}
	}
}

// At returns the place of a node.
func (m *Module) At(pos token.Pos) token.Position { return m.fset.Position(pos) }

// Lines returns how many lines a node has.
func (m *Module) Lines(n ast.Node) int { return m.At(n.End()).Line - m.At(n.Pos()).Line + 1 }

// Line returns the place of a line of a text.
func (t *Text) Line(number int) token.Position { return token.Position{Filename: t.Name, Line: number} }
