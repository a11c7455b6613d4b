package outbox

import (
	"errors"
	"io"
	"os"
)

// A File is one segment, or whatever else stands in the directory.
type File interface {
	io.Writer
	io.ReaderAt
	io.Closer
	// Sync returns when all that was written is on the disk.
	Sync() error
}

// Files is the directory of an outbox. Names have no directory in them.
type Files interface {
	List() ([]string, error)
	// Open opens a file to read, or makes an empty one in place of what is there.
	Open(name string, create bool) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	// Sync returns when the names in the directory are on the disk.
	Sync() error
}

// Directory is [Files] in a directory of the operating system.
type Directory string

var _ Files = Directory("")

// List implements [Files].
func (d Directory) List() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Open implements [Files].
func (d Directory) Open(name string, create bool) (File, error) {
	if create {
		return os.OpenFile(d.path(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	}
	return os.Open(d.path(name))
}

// Rename implements [Files].
func (d Directory) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

// Remove implements [Files].
func (d Directory) Remove(name string) error { return os.Remove(d.path(name)) }

// Sync implements [Files].
func (d Directory) Sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d Directory) path(name string) string { return string(d) + string(os.PathSeparator) + name }
