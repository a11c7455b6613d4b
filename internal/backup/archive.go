package backup

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/spool/disk"
)

// ReceiveArchive reads the stream of a gateway, which must be whole, into a new tar
// archive. Until it is whole and synced it has no name.
func ReceiveArchive(fs vfs.FS, path string, r io.Reader, extras Extras) (Received, error) {
	if _, err := fs.Stat(path); err == nil {
		return Received{}, penstock.Errorf(penstock.Conflict, "%s is there already: name another file", path)
	}
	t := &archiveTarget{fs: fs, path: path, temp: path + ".partial"}
	var err error
	if t.out, err = create(fs, t.temp); err != nil {
		return Received{}, err
	}
	t.tar = tar.NewWriter(t.out)
	got, err := receive(r, t, extras)
	return got, errors.Join(err, t.close())
}

// archiveTarget is a backup on its way into a tar archive.
type archiveTarget struct {
	fs         vfs.FS
	path, temp string
	out        vfs.File // nil when closed
	tar        *tar.Writer
}

func (t *archiveTarget) file(name string, size int64, content io.Reader) error {
	if err := t.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: time.Unix(0, 0)}); err != nil {
		return disk.Error(err, "write %s", t.temp)
	}
	from := &reading{r: content}
	if _, err := io.CopyN(t.tar, from, size); err != nil {
		if from.err != nil {
			return brokeOff(from.err)
		}
		return disk.Error(err, "write %s", t.temp)
	}
	return nil
}

// reading remembers that it was the reading that failed.
type reading struct {
	r   io.Reader
	err error
}

func (r *reading) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.err = err
	return n, err
}

func (t *archiveTarget) reuse(f File) error {
	return penstock.Errorf(penstock.Corrupt, "%s did not come", f.Path)
}

func (t *archiveTarget) finish(_ *Manifest, manifest, sum []byte) error {
	for _, f := range []struct {
		name string
		text []byte
	}{{ManifestName, manifest}, {SumName, sum}} {
		if err := t.file(f.name, int64(len(f.text)), bytes.NewReader(f.text)); err != nil {
			return err
		}
	}
	err := t.tar.Close()
	if err == nil {
		err = t.out.Sync()
	}
	if err = errors.Join(err, t.close()); err != nil {
		return disk.Error(err, "write %s", t.temp)
	}
	return disk.Publish(t.fs, t.temp, t.path)
}

func (t *archiveTarget) close() error {
	out := t.out
	if out == nil {
		return nil
	}
	t.out = nil
	return out.Close()
}

func (t *archiveTarget) abort() error { return errors.Join(t.close(), disk.Remove(t.fs, t.temp)) }

// Unpack brings the files of a backup, a directory or a tar archive, into dir as they
// are, with the manifest. It verifies nothing but names.
func Unpack(fs vfs.FS, from, dir string) error {
	info, err := fs.Stat(from)
	if err != nil {
		return penstock.Errorf(penstock.NotFound, "the backup %s: %w", from, err)
	}
	into := &folderTarget{Folder: Folder{fs, dir}, temp: dir, dirs: []string{dir}}
	if err := makeDirs(fs, dir); err != nil {
		return err
	}
	if info.IsDir() {
		return into.copyFrom(from)
	}
	in, err := fs.Open(from)
	if err != nil {
		return disk.Error(err, "open %s", from)
	}
	defer in.Close()
	return into.untar(tar.NewReader(in))
}

func (t *folderTarget) untar(r *tar.Reader) error {
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return penstock.Errorf(penstock.Corrupt, "the archive is damaged: %w", err)
		}
		if h.Name != ManifestName && h.Name != SumName {
			if err := checkPath(h.Name); err != nil {
				return err
			}
		}
		if err := t.file(h.Name, h.Size, r); err != nil {
			return err
		}
	}
}

// copyFrom copies the files of a backup in a directory. One that cannot be read is left
// out: verifying finds it.
func (t *folderTarget) copyFrom(from string) error {
	m, err := ReadManifest(t.fs, from)
	if err != nil {
		return err
	}
	names := []string{ManifestName, SumName}
	for _, f := range m.Files {
		names = append(names, f.Path)
	}
	for _, name := range names {
		path := t.fs.PathJoin(from, name)
		info, err := t.fs.Stat(path)
		if disk.IsMissing(err) {
			continue
		}
		if err != nil {
			return disk.Error(err, "look at %s", path)
		}
		if err := t.copyOne(path, name, info.Size()); err != nil {
			return err
		}
	}
	return nil
}

func (t *folderTarget) copyOne(path, name string, size int64) error {
	in, err := t.fs.Open(path)
	if err != nil {
		return disk.Error(err, "open %s", path)
	}
	defer in.Close()
	return t.file(name, size, in)
}
