package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// Step is one thing to be done.
type Step interface {
	// String says what, in a line.
	String() string
	// Apply does it, and tells whether anything had to be done.
	Apply(context.Context, *Target) (changed bool, err error)
}

// Detailed is a step that has more to show: the content of a file.
type Detailed interface{ Detail() string }

// directory is made when it is not there.
type directory struct {
	path string
	mode fs.FileMode
	owner
}

// String implements [Step].
func (d directory) String() string {
	return fmt.Sprintf("directory  %s, mode %04o, %s", d.path, d.mode, d.owner)
}

// Apply implements [Step].
func (d directory) Apply(_ context.Context, t *Target) (bool, error) {
	info, err := os.Stat(t.path(d.path))
	changed := err != nil || info.Mode().Perm() != d.mode
	if err := os.MkdirAll(t.path(d.path), 0o755); err != nil {
		return false, err
	}
	return changed, errors.Join(os.Chmod(t.path(d.path), d.mode), t.give(d.path, d.owner))
}

// emptyRoot is a tree of empty directories, for a gateway to have as its root.
type emptyRoot struct{ path string }

// String implements [Step].
func (e emptyRoot) String() string {
	return "directory  " + e.path + ", mode 0755, root:root, with empty ones to mount on"
}

// Apply implements [Step].
func (e emptyRoot) Apply(_ context.Context, t *Target) (bool, error) {
	changed := false
	for _, dir := range mountPoints {
		path := t.path(e.path + "/" + dir)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		changed = true
		if err := os.MkdirAll(path, 0o755); err != nil {
			return false, err
		}
	}
	return changed, nil
}

// file is written when it is not there or differs.
type file struct {
	path    string
	content []byte
	mode    fs.FileMode
	owner
	keep bool // one that is there is the operator's
}

// String implements [Step].
func (f file) String() string {
	text := fmt.Sprintf("file       %s, mode %04o, %s", f.path, f.mode, f.owner)
	if f.keep {
		text += "; kept if it is there"
	}
	return text
}

// Detail implements [Detailed].
func (f file) Detail() string { return string(f.content) }

// Apply implements [Step].
func (f file) Apply(_ context.Context, t *Target) (bool, error) {
	there, err := os.ReadFile(t.path(f.path))
	if err == nil && (f.keep || bytes.Equal(there, f.content)) {
		return false, errors.Join(os.Chmod(t.path(f.path), f.mode), t.give(f.path, f.owner))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return true, errors.Join(t.writeFile(f.path, f.content, f.mode), t.give(f.path, f.owner))
}

// program is the gateway itself, copied.
type program struct{ from, path string }

// String implements [Step].
func (p program) String() string { return "program    " + p.path + ", a copy of " + p.from }

// Apply implements [Step].
func (p program) Apply(ctx context.Context, t *Target) (bool, error) {
	content, err := os.ReadFile(p.from)
	if err != nil {
		return false, err
	}
	return file{path: p.path, content: content, mode: 0o755, owner: root}.Apply(ctx, t)
}

// link has systemd start a unit with the machine.
type link struct{ path, target string }

// String implements [Step].
func (l link) String() string { return "enable     " + l.path + " -> " + l.target }

// Apply implements [Step].
func (l link) Apply(_ context.Context, t *Target) (bool, error) {
	if there, err := os.Readlink(t.path(l.path)); err == nil && there == l.target {
		return false, nil
	}
	if err := os.MkdirAll(t.path(l.path[:strings.LastIndexByte(l.path, '/')]), 0o755); err != nil {
		return false, err
	}
	if err := os.Remove(t.path(l.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return true, os.Symlink(l.target, t.path(l.path))
}

// key is the key-encryption key.
type key struct{ dir string }

// String implements [Step].
func (k key) String() string {
	return "key        " + k.dir + "/kek, mode 0600, root:root; kept if it is there"
}

// Apply implements [Step].
func (k key) Apply(_ context.Context, t *Target) (bool, error) {
	file := t.path(k.dir + "/kek")
	_, err := os.Stat(file)
	if err == nil {
		return false, nil
	}
	return true, errors.Join(t.Key(t.path(k.dir)), os.Chmod(file, 0o600), t.give(k.dir+"/kek", root))
}

// command runs on a machine whose systemd runs.
type command []string

// String implements [Step].
func (c command) String() string { return "run        " + strings.Join(c, " ") }

// Apply implements [Step].
func (c command) Apply(ctx context.Context, t *Target) (bool, error) {
	if !t.systemd() {
		return false, nil
	}
	return true, t.Run(ctx, c[0], c[1:]...)
}

// removal takes a file or an empty directory away, or with all a whole tree.
type removal struct {
	path string
	all  bool
}

// String implements [Step].
func (r removal) String() string {
	if r.all {
		return "remove     " + r.path + " with all that is in it"
	}
	return "remove     " + r.path
}

// Apply implements [Step].
func (r removal) Apply(_ context.Context, t *Target) (bool, error) {
	if _, err := os.Lstat(t.path(r.path)); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if r.all {
		return true, os.RemoveAll(t.path(r.path))
	}
	err := os.Remove(t.path(r.path))
	if errors.Is(err, syscall.ENOTEMPTY) {
		return false, nil // what else is in it is the operator's
	}
	return true, err
}
