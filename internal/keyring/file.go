package keyring

import (
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
)

// maxFile bounds what is read of a keyring or KEK file.
const maxFile = 8 << 20

const fileMode = 0o600

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, penstock.Errorf(penstock.Unavailable, "open %s: %w", path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, penstock.Errorf(penstock.Unavailable, "read %s: %w", path, err)
	}
	return b, nil
}

// writeFile replaces a file so that after a crash there is the old one or the
// new one, whole.
func writeFile(fs vfs.FS, dir, name string, b []byte) error {
	path := fs.PathJoin(dir, name)
	if err := writeSynced(fs, path+".tmp", b); err != nil {
		return penstock.Errorf(penstock.Unavailable, "write %s: %w", path, err)
	}
	if err := fs.Rename(path+".tmp", path); err != nil {
		return penstock.Errorf(penstock.Unavailable, "name %s: %w", path, err)
	}
	return syncDir(fs, dir)
}

func writeSynced(fs vfs.FS, path string, b []byte) (err error) {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	// The file is still empty: nobody can have read a secret from it.
	if c, ok := f.(interface{ Chmod(os.FileMode) error }); ok {
		if err := c.Chmod(fileMode); err != nil {
			return err
		}
	}
	// A vfs.File may change what it is given to write.
	if _, err := f.Write(append([]byte(nil), b...)); err != nil {
		return err
	}
	return f.Sync()
}

// makeDir makes dir and its missing parents, with the entries that name them
// durable, also when an earlier process made dir and was cut off.
func makeDir(fs vfs.FS, dir string) error {
	parents := []string{fs.PathDir(dir)}
	for d := fs.PathDir(dir); fs.PathDir(d) != d; d = fs.PathDir(d) {
		if _, err := fs.Stat(d); err == nil {
			break
		}
		parents = append(parents, fs.PathDir(d))
	}
	if err := fs.MkdirAll(dir, dirMode); err != nil {
		return penstock.Errorf(penstock.Unavailable, "make directory %s: %w", dir, err)
	}
	for _, parent := range parents {
		if err := syncDir(fs, parent); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return penstock.Errorf(penstock.Unavailable, "open directory %s: %w", dir, err)
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return penstock.Errorf(penstock.Unavailable, "sync directory %s: %w", dir, err)
	}
	return nil
}
