package repair

import (
	"errors"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock/internal/spool/segment"
)

// Forgiving is a file system to read from on which what the disk cannot read is zeros,
// which every format of the spool takes for damage. It remembers which files those
// were.
type Forgiving struct {
	vfs.FS
	mu  sync.Mutex // guards bad
	bad map[string]int64
}

// NewForgiving returns a forgiving view of fs.
func NewForgiving(fs vfs.FS) *Forgiving { return &Forgiving{FS: fs, bad: map[string]int64{}} }

// Unwrap implements vfs.FS.
func (f *Forgiving) Unwrap() vfs.FS { return f.FS }

// Bad returns how many bytes of a file could not be read, of what was asked for.
func (f *Forgiving) Bad(path string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bad[path]
}

// Open implements vfs.FS.
func (f *Forgiving) Open(path string, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.Open(path, opts...)
	if err != nil {
		return nil, err
	}
	return &forgivingFile{File: file, fs: f, path: path}, nil
}

type forgivingFile struct {
	vfs.File
	fs   *Forgiving
	path string
	at   int64 // of the next Read
}

// Read implements io.Reader.
func (f *forgivingFile) Read(b []byte) (int, error) {
	n, err := f.ReadAt(b, f.at)
	f.at += int64(n)
	if n > 0 {
		return n, nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt. A part that cannot be read is read again sector by
// sector.
func (f *forgivingFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(b, off)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	end := min(info.Size(), off+int64(len(b)))
	for at := off; at < end; {
		next := min(end, at/segment.Sector*segment.Sector+segment.Sector)
		part := b[at-off : next-off]
		if n, err := f.File.ReadAt(part, at); n < len(part) {
			if errors.Is(err, io.EOF) {
				return int(at-off) + n, io.EOF
			}
			clear(part)
			f.note(int64(len(part)))
		}
		at = next
	}
	if n = int(max(0, end-off)); n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *forgivingFile) note(n int64) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.fs.bad[f.path] += n
}
