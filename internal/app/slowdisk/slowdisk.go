// Package slowdisk slows a disk down on purpose, for drills.
package slowdisk

import (
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is the file system of a store. While the lever, a file, exists, each sync takes
// as long as stands in it: so a drill breaks the store of a gateway that runs, and
// sees what the gateway says of it. Without a lever nothing is ever slowed down.
func FS(fs vfs.FS, lever string, log *slog.Logger) vfs.FS {
	if lever == "" {
		return fs
	}
	log.Warn("this gateway is in a drill: its store stands still while a file exists", "file", lever)
	return slowFS{fs, lever}
}

type slowFS struct {
	vfs.FS
	file string
}

// Unwrap implements vfs.FS.
func (s slowFS) Unwrap() vfs.FS { return s.FS }

// Create implements vfs.FS.
func (s slowFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return s.slow(s.FS.Create(name, category))
}

// OpenReadWrite implements vfs.FS.
func (s slowFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return s.slow(s.FS.OpenReadWrite(name, category, opts...))
}

// ReuseForWrite implements vfs.FS.
func (s slowFS) ReuseForWrite(before, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return s.slow(s.FS.ReuseForWrite(before, name, category))
}

func (s slowFS) slow(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return slowFile{f, s.file}, nil
}

type slowFile struct {
	vfs.File
	file string
}

// wait takes as long as the file says, or until it is gone.
func (f slowFile) wait() {
	const look = 50 * time.Millisecond
	for begun := time.Now(); ; time.Sleep(look) {
		text, err := os.ReadFile(f.file)
		if err != nil {
			return
		}
		if d, err := time.ParseDuration(strings.TrimSpace(string(text))); err != nil || time.Since(begun) >= d {
			return
		}
	}
}

// Sync implements vfs.File.
func (f slowFile) Sync() error {
	f.wait()
	return f.File.Sync()
}

// SyncData implements vfs.File.
func (f slowFile) SyncData() error {
	f.wait()
	return f.File.SyncData()
}
