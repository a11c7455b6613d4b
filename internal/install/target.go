package install

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/penstock/penstock"
)

// Target is the machine, or the image of one, that is set up.
type Target struct {
	Root string // "/" for this machine
	// Run runs a program of this machine. It is not called for an image.
	Run func(ctx context.Context, name string, args ...string) error
	// Chown gives a file to an account.
	Chown func(path string, uid, gid int) error
	// Key makes a key-encryption key in a directory, unless there is one.
	Key func(dir string) error
}

// live tells whether the target is this machine, and not an image.
func (t *Target) live() bool { return filepath.Clean(t.Root) == "/" }

// systemd tells whether systemd runs on the target.
func (t *Target) systemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return t.live() && err == nil
}

func (t *Target) path(name string) string { return filepath.Join(t.Root, name) }

// owner is to whom a file belongs: names of an account and of a group.
type owner struct{ user, group string }

func (o owner) String() string { return o.user + ":" + o.group }

// give gives a file of the target to its owner.
func (t *Target) give(name string, o owner) error {
	uid, err := t.id("etc/passwd", o.user)
	if err != nil {
		return err
	}
	gid, err := t.id("etc/group", o.group)
	if err != nil {
		return err
	}
	return t.Chown(t.path(name), uid, gid)
}

// id returns the number of an account or a group.
func (t *Target) id(file, name string) (int, error) {
	if name == "root" {
		return 0, nil
	}
	lines, err := t.lines(file)
	if err != nil {
		return 0, err
	}
	for _, line := range lines {
		if fields := strings.Split(line, ":"); len(fields) > 2 && fields[0] == name {
			return strconv.Atoi(fields[2])
		}
	}
	return 0, penstock.Errorf(penstock.NotFound, "%s has no %s", t.path(file), name)
}

// lines returns the lines of a file, none when it is not there.
func (t *Target) lines(file string) ([]string, error) {
	text, err := os.ReadFile(t.path(file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Split(strings.TrimRight(string(text), "\n"), "\n"), err
}

// writeFile replaces a file so that there is the old one or the new one, whole.
func (t *Target) writeFile(name string, content []byte, mode fs.FileMode) error {
	path := t.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // does nothing once it has its name
	_, err = f.Write(content)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
