package crashfs

import (
	"io"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is the file system. It is safe for concurrent use.
type FS struct {
	mu       sync.Mutex
	disk     *disk
	start    *disk // the disk before the journal; nil when none is kept
	journal  []op
	locked   map[string]bool
	faults   []*Fault
	capacity int64
	calls    int
}

var _ vfs.FS = (*FS)(nil)

// New returns an empty file system that keeps a journal.
func New() *FS { return newFS(newDisk(), true) }

func newFS(d *disk, recorded bool) *FS {
	fs := &FS{disk: d, locked: map[string]bool{}}
	d.inodes[0].path = "/"
	if recorded {
		fs.start = d.clone()
	}
	return fs
}

func (fs *FS) do(o op) {
	fs.disk.do(o)
	if fs.start != nil {
		fs.journal = append(fs.journal, o)
	}
}

func pathError(op, name string, err error) error {
	return &os.PathError{Op: op, Path: name, Err: err}
}

// lookup returns the inode that name means.
func (fs *FS) lookup(op, name string) (*inode, error) {
	n := fs.disk.inodes[0]
	for part := range strings.SplitSeq(clean(name), "/") {
		if part == "" {
			continue
		}
		if !n.isDir() {
			return nil, pathError(op, name, syscall.ENOTDIR)
		}
		child := n.entries[part]
		if child == nil {
			return nil, pathError(op, name, syscall.ENOENT)
		}
		n = child
	}
	return n, nil
}

func clean(name string) string { return path.Clean("/" + name) }

// parent returns the directory that holds name, and the last part of name.
func (fs *FS) parent(op, name string) (*inode, string, error) {
	name = clean(name)
	dir, err := fs.lookup(op, path.Dir(name))
	if err != nil {
		return nil, "", err
	}
	if !dir.isDir() || name == "/" {
		return nil, "", pathError(op, name, syscall.ENOTDIR)
	}
	return dir, path.Base(name), nil
}

// Create implements vfs.FS.
func (fs *FS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.create(name)
}

func (fs *FS) create(name string) (vfs.File, error) {
	if err := fs.fault(Create, name); err != nil {
		return nil, pathError("create", name, err)
	}
	dir, base, err := fs.parent("create", name)
	if err != nil {
		return nil, err
	}
	if n := dir.entries[base]; n != nil && n.isDir() {
		return nil, pathError("create", name, syscall.EISDIR)
	}
	fs.do(op{kind: Create, path: name, dir: dir.id, name: base})
	return &file{fs: fs, node: dir.entries[base], writable: true}, nil
}

// Link implements vfs.FS.
func (fs *FS) Link(oldname, newname string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.fault(Link, newname); err != nil {
		return pathError("link", newname, err)
	}
	n, err := fs.lookup("link", oldname)
	if err != nil {
		return err
	}
	dir, base, err := fs.parent("link", newname)
	if err != nil {
		return err
	}
	if dir.entries[base] != nil {
		return pathError("link", newname, syscall.EEXIST)
	}
	fs.do(op{kind: Link, path: newname, node: n.id, dir: dir.id, name: base})
	return nil
}

// Open implements vfs.FS.
func (fs *FS) Open(name string, _ ...vfs.OpenOption) (vfs.File, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.open(name, false)
}

func (fs *FS) open(name string, writable bool) (vfs.File, error) {
	if err := fs.fault(Open, name); err != nil {
		return nil, pathError("open", name, err)
	}
	n, err := fs.lookup("open", name)
	if err != nil {
		return nil, err
	}
	return &file{fs: fs, node: n, writable: writable}, nil
}

// OpenReadWrite implements vfs.FS.
func (fs *FS) OpenReadWrite(name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if _, err := fs.lookup("open", name); err != nil {
		return fs.create(name)
	}
	return fs.open(name, true)
}

// OpenDir implements vfs.FS.
func (fs *FS) OpenDir(name string) (vfs.File, error) { return fs.Open(name) }

// Remove implements vfs.FS.
func (fs *FS) Remove(name string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.fault(Remove, name); err != nil {
		return pathError("remove", name, err)
	}
	dir, base, err := fs.parent("remove", name)
	if err != nil {
		return err
	}
	n := dir.entries[base]
	switch {
	case n == nil:
		return pathError("remove", name, syscall.ENOENT)
	case len(n.entries) > 0:
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	fs.do(op{kind: Remove, path: name, dir: dir.id, name: base})
	return nil
}

// RemoveAll implements vfs.FS.
func (fs *FS) RemoveAll(name string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.fault(Remove, name); err != nil {
		return pathError("remove", name, err)
	}
	dir, base, err := fs.parent("remove", name)
	if err != nil || dir.entries[base] == nil {
		return nil // as os.RemoveAll
	}
	fs.do(op{kind: Remove, path: name, dir: dir.id, name: base})
	return nil
}

// Rename implements vfs.FS.
func (fs *FS) Rename(oldname, newname string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.fault(Rename, newname); err != nil {
		return pathError("rename", newname, err)
	}
	return fs.rename(oldname, newname)
}

func (fs *FS) rename(oldname, newname string) error {
	oldDir, old, err := fs.parent("rename", oldname)
	if err != nil {
		return err
	}
	dir, base, err := fs.parent("rename", newname)
	if err != nil {
		return err
	}
	n := oldDir.entries[old]
	if n == nil {
		return pathError("rename", oldname, syscall.ENOENT)
	}
	if clean(oldname) == clean(newname) {
		return nil
	}
	fs.do(op{kind: Rename, path: newname, node: n.id, dir: dir.id, name: base, oldDir: oldDir.id, old: old})
	return nil
}

// ReuseForWrite implements vfs.FS.
func (fs *FS) ReuseForWrite(oldname, newname string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.fault(Rename, newname); err != nil {
		return nil, pathError("rename", newname, err)
	}
	if err := fs.rename(oldname, newname); err != nil {
		return nil, err
	}
	return fs.open(newname, true)
}

// MkdirAll implements vfs.FS.
func (fs *FS) MkdirAll(name string, _ os.FileMode) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.fault(Mkdir, name); err != nil {
		return pathError("mkdir", name, err)
	}
	dir := fs.disk.inodes[0]
	for part := range strings.SplitSeq(clean(name), "/") {
		if part == "" {
			continue
		}
		if dir.entries[part] == nil {
			fs.do(op{kind: Mkdir, path: path.Join(dir.path, "/", part), dir: dir.id, name: part})
		}
		if dir = dir.entries[part]; !dir.isDir() {
			return pathError("mkdir", name, syscall.ENOTDIR)
		}
	}
	return nil
}

// Lock implements vfs.FS.
func (fs *FS) Lock(name string) (io.Closer, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.locked[clean(name)] {
		return nil, pathError("lock", name, syscall.EAGAIN)
	}
	if _, err := fs.create(name); err != nil {
		return nil, err
	}
	fs.locked[clean(name)] = true
	return &lock{fs: fs, path: clean(name)}, nil
}

type lock struct {
	fs   *FS
	path string
}

// Close releases the lock.
func (l *lock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.fs.locked, l.path)
	return nil
}

// List implements vfs.FS.
func (fs *FS) List(name string) ([]string, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.fault(List, name); err != nil {
		return nil, pathError("list", name, err)
	}
	n, err := fs.lookup("list", name)
	if err != nil {
		return nil, err
	}
	return sortedNames(n.entries), nil
}

// Stat implements vfs.FS.
func (fs *FS) Stat(name string) (vfs.FileInfo, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.fault(Stat, name); err != nil {
		return nil, pathError("stat", name, err)
	}
	n, err := fs.lookup("stat", name)
	if err != nil {
		return nil, err
	}
	return info{name: path.Base(name), size: int64(len(n.data)), dir: n.isDir()}, nil
}

// PathBase implements vfs.FS.
func (*FS) PathBase(p string) string { return path.Base(p) }

// PathJoin implements vfs.FS.
func (*FS) PathJoin(elem ...string) string { return path.Join(elem...) }

// PathDir implements vfs.FS.
func (*FS) PathDir(p string) string { return path.Dir(p) }

// GetDiskUsage implements vfs.FS.
func (fs *FS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	const endless = 1 << 40
	total, used := fs.capacity, fs.disk.used()
	if total == 0 {
		total = endless
	}
	return vfs.DiskUsage{TotalBytes: uint64(total), UsedBytes: uint64(used), AvailBytes: uint64(max(0, total-used))}, nil
}

// Unwrap implements vfs.FS: it wraps nothing.
func (*FS) Unwrap() vfs.FS { return nil }
