package capture

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Files writes a file for each instance, NAME-2.log, and moves it aside when it
// is full: NAME-2.log.1 is the newest of those, the oldest are removed.
type Files struct {
	dir  string
	size int64 // bytes of a file
	keep int   // files moved aside
	open map[string]*file
}

type file struct {
	*os.File
	size int64
}

// NewFiles returns a destination in the directory, which is made with mode 0750.
func NewFiles(dir string, size int64, keep int) (*Files, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("directory of the logs: %w", err)
	}
	return &Files{dir: dir, size: size, keep: keep, open: map[string]*file{}}, nil
}

// Write implements [Destination].
func (f *Files) Write(l *Line) error {
	name := strings.ReplaceAll(l.Name(), "/", "-") + ".log"
	text := appendText(nil, l)
	out, err := f.fileOf(name, int64(len(text)))
	if err != nil {
		return err
	}
	n, err := out.Write(text)
	out.size += int64(n)
	if err != nil {
		return fmt.Errorf("write a log: %w", err)
	}
	return nil
}

// fileOf returns the file that has room for so many bytes more.
func (f *Files) fileOf(name string, more int64) (*file, error) {
	path := filepath.Join(f.dir, name)
	out := f.open[name]
	if out != nil && out.size > 0 && out.size+more > f.size {
		out.Close() // every line was written before; nothing waits
		delete(f.open, name)
		if err := f.rotate(path); err != nil {
			return nil, err
		}
		out = nil
	}
	if out != nil {
		return out, nil
	}
	opened, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open a log: %w", err)
	}
	info, err := opened.Stat()
	if err != nil {
		opened.Close()
		return nil, fmt.Errorf("open a log: %w", err)
	}
	out = &file{opened, info.Size()}
	f.open[name] = out
	if out.size > 0 && out.size+more > f.size {
		return f.fileOf(name, more)
	}
	return out, nil
}

// rotate moves every file one place on.
func (f *Files) rotate(path string) error {
	for i := f.keep; i >= 1; i-- {
		from := path
		if i > 1 {
			from = path + "." + strconv.Itoa(i-1)
		}
		if err := os.Rename(from, path+"."+strconv.Itoa(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rotate a log: %w", err)
		}
	}
	if f.keep == 0 {
		return os.Remove(path)
	}
	return nil
}

// Close implements [Destination].
func (f *Files) Close() error {
	var problems []error
	for _, out := range f.open {
		problems = append(problems, out.Close())
	}
	return errors.Join(problems...)
}
