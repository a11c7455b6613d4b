package crashfs

import (
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

type file struct {
	fs       *FS
	node     *inode
	pos      int64
	writable bool
	closed   bool
}

var _ vfs.File = (*file)(nil)

func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return pathError("close", f.node.path, os.ErrClosed)
	}
	f.closed = true
	return nil
}

func (f *file) Read(p []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n, err := f.readAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.readAt(p, off)
}

func (f *file) readAt(p []byte, off int64) (int, error) {
	if f.closed {
		return 0, pathError("read", f.node.path, os.ErrClosed)
	}
	if f.node.isDir() {
		return 0, pathError("read", f.node.path, syscall.EISDIR)
	}
	if err := f.fs.fault(Read, f.node.path); err != nil {
		return 0, pathError("read", f.node.path, err)
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) Write(p []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n, err := f.writeAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.writeAt(p, off)
}

func (f *file) writeAt(p []byte, off int64) (int, error) {
	if f.closed {
		return 0, pathError("write", f.node.path, os.ErrClosed)
	}
	if !f.writable {
		return 0, pathError("write", f.node.path, syscall.EBADF)
	}
	err := f.fs.fault(Write, f.node.path)
	grow := off + int64(len(p)) - int64(len(f.node.data))
	if err == nil && f.fs.capacity > 0 && grow > 0 && f.fs.disk.used()+grow > f.fs.capacity {
		err = syscall.ENOSPC
	}
	if err != nil {
		p = p[:len(p)/2]
		if int64(len(p)) > max(0, int64(len(f.node.data))-off) && err == syscall.ENOSPC {
			p = nil
		}
	}
	if len(p) > 0 {
		f.fs.do(op{kind: Write, path: f.node.path, node: f.node.id, off: off, data: slices.Clone(p)})
	}
	if err != nil {
		return len(p), pathError("write", f.node.path, err)
	}
	return len(p), nil
}

func (f *file) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return pathError("sync", f.node.path, os.ErrClosed)
	}
	err := f.fs.fault(Sync, f.node.path)
	failed := err != nil
	if !failed || !f.node.isDir() {
		f.fs.do(op{kind: Sync, path: f.node.path, node: f.node.id, failed: failed})
	}
	if failed {
		return pathError("sync", f.node.path, err)
	}
	return nil
}

func (f *file) SyncData() error { return f.Sync() }

// SyncTo promises nothing, as sync_file_range does not.
func (f *file) SyncTo(int64) (bool, error) { return false, nil }

func (f *file) Stat() (vfs.FileInfo, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return info{name: f.fs.PathBase(f.node.path), size: int64(len(f.node.data)), dir: f.node.isDir()}, nil
}

func (*file) Preallocate(int64, int64) error { return nil }
func (*file) Prefetch(int64, int64) error    { return nil }
func (*file) Fd() uintptr                    { return vfs.InvalidFd }

type info struct {
	name string
	size int64
	dir  bool
}

func (i info) Name() string           { return i.name }
func (i info) Size() int64            { return i.size }
func (i info) IsDir() bool            { return i.dir }
func (i info) ModTime() time.Time     { return time.Time{} }
func (i info) Sys() any               { return nil }
func (i info) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

func (i info) Mode() os.FileMode {
	if i.dir {
		return os.ModeDir | 0o700
	}
	return 0o600
}
