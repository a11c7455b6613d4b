// Package disk holds the few operations by which the spool's files become
// durable, and gives the disk's errors their codes.
package disk

import (
	"errors"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
)

// Error gives an error of the disk its code: [penstock.Full] when there is no
// space, else [penstock.Unavailable]. The format says what was tried.
func Error(err error, format string, args ...any) error {
	code := penstock.Unavailable
	if vfs.IsNoSpaceError(err) {
		code = penstock.Full
	}
	return penstock.Errorf(code, format+": %w", append(args, err)...)
}

// IsMissing tells whether an error says that a file is not there.
func IsMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// Remove removes a file; it may be gone already.
func Remove(fs vfs.FS, path string) error {
	if err := fs.Remove(path); err != nil && !IsMissing(err) {
		return Error(err, "remove %s", path)
	}
	return nil
}

// SyncDir makes the names in a directory durable.
func SyncDir(fs vfs.FS, path string) error {
	f, err := fs.OpenDir(path)
	if err != nil {
		return Error(err, "open directory %s", path)
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return Error(err, "sync directory %s", path)
	}
	return nil
}

// Publish gives a synced file its name and makes the name durable.
func Publish(fs vfs.FS, from, to string) error {
	if err := fs.Rename(from, to); err != nil {
		return Error(err, "name %s", to)
	}
	return SyncDir(fs, fs.PathDir(to))
}

// Prefix returns the size of a file and at most its first n bytes.
func Prefix(fs vfs.FS, path string, n int64) (size int64, b []byte, err error) {
	f, err := fs.Open(path)
	if err != nil {
		return 0, nil, Error(err, "open %s", path)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return 0, nil, Error(err, "look at %s", path)
	}
	b = make([]byte, min(n, fi.Size()))
	if got, err := f.ReadAt(b, 0); got < len(b) {
		return 0, nil, Error(err, "read %s", path)
	}
	return fi.Size(), b, nil
}
