package backup

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/spool/disk"
	"github.com/penstock/penstock/internal/spool/inspect"
	"github.com/penstock/penstock/internal/store"
)

// Damage is a file of a backup that is not as it was written.
type Damage struct {
	Path string `json:"path"`
	What string `json:"what"`
}

// Verified is what a verification found.
type Verified struct {
	Manifest *Manifest `json:"-"`
	Files    int       `json:"files"`
	Bytes    int64     `json:"bytes"`
	Opened   bool      `json:"opened"`  // with the key: every frame and value was opened
	Frames   int       `json:"frames"`  // of the log
	Entries  int       `json:"entries"` // of the log
	Values   int       `json:"values"`  // of the store
	Damage   []Damage  `json:"damage"`
	Notes    []string  `json:"notes"` // what was so on the node too
}

// ReadManifest reads the manifest of the backup in dir.
func ReadManifest(fs vfs.FS, dir string) (*Manifest, error) {
	text, err := readFile(fs, fs.PathJoin(dir, ManifestName), maxManifest)
	if disk.IsMissing(err) {
		return nil, penstock.Errorf(penstock.NotFound, "%s is no backup: it has no %s", dir, ManifestName)
	}
	if err != nil {
		return nil, err
	}
	sum, err := readFile(fs, fs.PathJoin(dir, SumName), 1<<10)
	if err != nil && !disk.IsMissing(err) {
		return nil, err
	}
	return decode(text, sum)
}

// Verify reads every byte of the backup in dir. With a key it also opens every frame
// of the log, every value of the store and every file that the backup sealed. The
// error says why it could not look.
func Verify(fs vfs.FS, dir string, key *keyring.Key) (Verified, error) {
	v := Verified{Damage: []Damage{}, Notes: []string{}}
	var err error
	if v.Manifest, err = ReadManifest(fs, dir); err != nil {
		if penstock.CodeOf(err) == penstock.Corrupt {
			v.Damage = append(v.Damage, Damage{ManifestName, err.Error()})
			return v, nil
		}
		return v, err
	}
	for _, f := range v.Manifest.Files {
		v.Files++
		v.Bytes += f.Size
		if what := checkFile(fs, dir, f); what != "" {
			v.Damage = append(v.Damage, Damage{f.Path, what})
		}
	}
	if key == nil || len(v.Damage) > 0 {
		return v, nil
	}
	if key.ID() != v.Manifest.Key {
		return v, penstock.Errorf(penstock.Unauthenticated, "the backup opens with the key-encryption key %s, the one given is %s", v.Manifest.Key, key.ID())
	}
	return v, v.open(fs, dir, *key)
}

// checkFile returns what is wrong with a file, empty for nothing.
func checkFile(fs vfs.FS, dir string, f File) string {
	in, err := fs.Open(fs.PathJoin(dir, f.Path))
	if disk.IsMissing(err) {
		return "it is missing"
	}
	if err != nil {
		return "it cannot be opened: " + err.Error()
	}
	defer in.Close()
	h := sha256.New()
	n, err := io.Copy(h, in)
	switch {
	case err != nil:
		return "it cannot be read: " + err.Error()
	case n != f.Size:
		return fmt.Sprintf("it has %d bytes and had %d", n, f.Size)
	case hexSum(h) != f.SHA256:
		return "its content is not what was written"
	}
	return ""
}

// open opens everything that is sealed.
func (v *Verified) open(fs vfs.FS, dir string, key keyring.Key) error {
	keys, err := keyring.LoadUnder(fs, fs.PathJoin(dir, KeysDir), key)
	if err != nil {
		return err
	}
	v.Opened = true
	for _, f := range v.Manifest.Files {
		if !f.Sealed {
			continue
		}
		if _, err := readSealed(fs, dir, f, keys); err != nil {
			v.Damage = append(v.Damage, Damage{f.Path, err.Error()})
		}
	}
	found, err := inspect.Verify(fs, fs.PathJoin(dir, SpoolDir), keys)
	if err != nil {
		return err
	}
	v.Frames, v.Entries = found.Frames, found.Entries
	v.Notes = append(v.Notes, found.Notes...)
	for _, d := range found.Damage {
		// The bytes are those that the gateway sent.
		v.Notes = append(v.Notes, fmt.Sprintf("the node's own spool was damaged: %s, bytes %d to %d: %s", strings.TrimPrefix(d.Path, dir), d.From, d.To, d.What))
	}
	if v.Values, err = store.Verify(fs, fs.PathJoin(dir, StoreDir), keys); err != nil {
		v.Damage = append(v.Damage, Damage{StoreDir, err.Error()})
	}
	return nil
}

func readSealed(fs vfs.FS, dir string, f File, keys *keyring.Keyring) ([]byte, error) {
	b, err := readFile(fs, fs.PathJoin(dir, f.Path), MaxSealed+(1<<10))
	if err != nil {
		return nil, err
	}
	return open(keys, f.Path, b)
}

// readFile reads a file of at most so many bytes.
func readFile(fs vfs.FS, path string, most int64) ([]byte, error) {
	size, b, err := disk.Prefix(fs, path, most)
	if err != nil {
		return nil, err
	}
	if size > most {
		return nil, penstock.Errorf(penstock.TooLarge, "%s has %d bytes, at most %d are read", path, size, most)
	}
	return b, nil
}

type chmoder interface{ Chmod(os.FileMode) error }
