package backup

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/spool/disk"
)

// nameLayout is the name of a backup in a folder: its time.
const nameLayout = "20060102T150405.000Z"

// partial is how the name of what is not yet, or no longer, a backup begins.
const partial = ".partial-"

const dirMode = 0o700

// Folder is a directory of backups, one directory each. Files that did not change from
// one to the next have one place on the disk and two names.
type Folder struct {
	fs  vfs.FS
	dir string
}

// OpenFolder returns the folder in dir, which need not be there yet.
func OpenFolder(fs vfs.FS, dir string) Folder { return Folder{fs, dir} }

// List returns the names of the backups, the oldest first.
func (f Folder) List() ([]string, error) {
	names, err := f.fs.List(f.dir)
	if disk.IsMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, disk.Error(err, "list the backups in %s", f.dir)
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		_, err := time.Parse(nameLayout, name)
		return err != nil
	})
	slices.Sort(names)
	return names, nil
}

// Path returns the directory of a backup.
func (f Folder) Path(name string) string { return f.fs.PathJoin(f.dir, name) }

// Base is an earlier backup whose files need not be sent again.
type Base struct {
	path  string
	files map[string]File
}

// Have returns the files of the base that are whole.
func (b Base) Have() []File {
	have := make([]File, 0, len(b.files))
	for _, f := range b.files {
		have = append(have, f)
	}
	slices.SortFunc(have, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return have
}

// Base reads the newest backup of the folder, all of it: files that are not as they
// were written are no part of the base, and are named. Without a backup that can be
// read it is empty.
func (f Folder) Base() (b Base, damaged []Damage, err error) {
	names, err := f.List()
	if err != nil || len(names) == 0 {
		return Base{}, nil, err
	}
	b = Base{path: f.Path(names[len(names)-1]), files: map[string]File{}}
	m, err := ReadManifest(f.fs, b.path)
	if err != nil {
		return Base{}, []Damage{{Path: b.path, What: err.Error()}}, nil
	}
	for _, file := range m.Files {
		if file.Sealed || file.Path == WrappedName {
			continue // sealed anew each time
		}
		if what := checkFile(f.fs, b.path, file); what != "" {
			damaged = append(damaged, Damage{Path: f.fs.PathJoin(b.path, file.Path), What: what})
			continue
		}
		b.files[file.Path] = file
	}
	return b, damaged, nil
}

// Receive reads the stream of a gateway into a new backup of the folder. Until it is
// whole and synced it has no name; what an earlier call left is removed.
func (f Folder) Receive(r io.Reader, base Base, extras Extras) (Received, error) {
	if err := makeDirs(f.fs, f.dir); err != nil {
		return Received{}, err
	}
	if err := f.sweep(); err != nil {
		return Received{}, err
	}
	temp := f.Path(partial + "new")
	if err := f.fs.MkdirAll(temp, dirMode); err != nil {
		return Received{}, disk.Error(err, "make %s", temp)
	}
	return receive(r, &folderTarget{Folder: f, temp: temp, base: base, dirs: []string{temp}}, extras)
}

// makeDirs makes a directory with its parents durable.
func makeDirs(fs vfs.FS, dir string) error {
	var missing []string
	for d := dir; ; d = fs.PathDir(d) {
		if _, err := fs.Stat(d); err == nil || fs.PathDir(d) == d {
			break
		}
		missing = append(missing, fs.PathDir(d))
	}
	if err := fs.MkdirAll(dir, dirMode); err != nil {
		return disk.Error(err, "make %s", dir)
	}
	for _, parent := range missing {
		if err := disk.SyncDir(fs, parent); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes what never became a backup, or was given up.
func (f Folder) sweep() error {
	names, err := f.fs.List(f.dir)
	if err != nil {
		return disk.Error(err, "list the backups in %s", f.dir)
	}
	for _, name := range names {
		if strings.HasPrefix(name, partial) {
			if err := f.fs.RemoveAll(f.Path(name)); err != nil {
				return disk.Error(err, "remove %s", f.Path(name))
			}
		}
	}
	return nil
}

// Keep removes all but the newest n backups, and returns the names of those that are
// gone.
func (f Folder) Keep(n int) (gone []string, err error) {
	names, err := f.List()
	if err != nil {
		return nil, err
	}
	for _, name := range names[:max(0, len(names)-n)] {
		away := f.Path(partial + name)
		if err := f.fs.Rename(f.Path(name), away); err != nil {
			return gone, disk.Error(err, "give up the backup %s", name)
		}
		if err := f.fs.RemoveAll(away); err != nil {
			return gone, disk.Error(err, "remove %s", away)
		}
		gone = append(gone, name)
	}
	return gone, nil
}

// folderTarget is a backup on its way into a folder.
type folderTarget struct {
	Folder
	temp string
	base Base
	dirs []string
}

// place returns where a file goes, and makes its directory.
func (t *folderTarget) place(name string) (string, error) {
	path := t.fs.PathJoin(t.temp, name)
	dir := t.fs.PathDir(path)
	if !slices.Contains(t.dirs, dir) {
		if err := t.fs.MkdirAll(dir, dirMode); err != nil {
			return "", disk.Error(err, "make %s", dir)
		}
		for d := dir; d != t.temp && !slices.Contains(t.dirs, d); d = t.fs.PathDir(d) {
			t.dirs = append(t.dirs, d)
		}
	}
	return path, nil
}

func (t *folderTarget) file(name string, size int64, content io.Reader) error {
	path, err := t.place(name)
	if err != nil {
		return err
	}
	return write(t.fs, path, size, content)
}

// write makes a file of so many bytes, and syncs it.
func write(fs vfs.FS, path string, size int64, content io.Reader) (err error) {
	out, err := create(fs, path)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := out.Close(); err == nil && cerr != nil {
			err = disk.Error(cerr, "close %s", path)
		}
	}()
	b := make([]byte, 1<<20)
	for left := size; left > 0; {
		n, err := io.ReadFull(content, b[:min(left, int64(len(b)))])
		if err != nil {
			return brokeOff(err)
		}
		left -= int64(n)
		if _, err := out.Write(b[:n]); err != nil {
			return disk.Error(err, "write %s", path)
		}
	}
	if err := out.Sync(); err != nil {
		return disk.Error(err, "sync %s", path)
	}
	return nil
}

// reuse gives a file of the base a second name, or copies it where the file system
// knows no second names.
func (t *folderTarget) reuse(f File) error {
	there, ok := t.base.files[f.Path]
	if !ok || there.SHA256 != f.SHA256 {
		return penstock.Errorf(penstock.Corrupt, "%s did not come", f.Path)
	}
	path, err := t.place(f.Path)
	if err != nil {
		return err
	}
	from := t.fs.PathJoin(t.base.path, f.Path)
	if t.fs.Link(from, path) == nil {
		return nil
	}
	return copyFile(t.fs, from, path, f)
}

// copyFile copies a file and checks that it has the right content.
func copyFile(fs vfs.FS, from, to string, f File) error {
	in, err := fs.Open(from)
	if err != nil {
		return disk.Error(err, "open %s", from)
	}
	defer in.Close()
	h := sha256.New()
	if err := write(fs, to, f.Size, io.TeeReader(in, h)); err != nil {
		return err
	}
	if hexSum(h) != f.SHA256 {
		return penstock.Errorf(penstock.Corrupt, "%s is not as it was written", from)
	}
	return nil
}

func (t *folderTarget) finish(m *Manifest, manifest, sum []byte) error {
	for name, text := range map[string][]byte{ManifestName: manifest, SumName: sum} {
		if err := write(t.fs, t.fs.PathJoin(t.temp, name), int64(len(text)), bytes.NewReader(text)); err != nil {
			return err
		}
	}
	for _, dir := range t.dirs {
		if err := disk.SyncDir(t.fs, dir); err != nil {
			return err
		}
	}
	name := NameOf(m.Time)
	if _, err := t.fs.Stat(t.Path(name)); err == nil {
		return penstock.Errorf(penstock.Conflict, "there is a backup %s already: the clock stands, or was set back", name)
	}
	return disk.Publish(t.fs, t.temp, t.Path(name))
}

func (t *folderTarget) abort() error {
	if err := t.fs.RemoveAll(t.temp); err != nil {
		return disk.Error(err, "remove what is there of the backup, %s", t.temp)
	}
	return nil
}

// create makes a file that only its owner may read.
func create(fs vfs.FS, path string) (vfs.File, error) {
	out, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, disk.Error(err, "make %s", path)
	}
	if c, ok := out.(chmoder); ok {
		if err := c.Chmod(0o600); err != nil {
			return nil, errors.Join(disk.Error(err, "protect %s", path), out.Close())
		}
	}
	return out, nil
}

// NameOf returns the name of a backup in its folder.
func NameOf(t time.Time) string { return t.UTC().Format(nameLayout) }
