package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/spool/disk"
)

// The names in a data directory that a restore makes.
const (
	// MarkName is a file that is there while a restore is under way: no gateway starts
	// on such a directory.
	MarkName = "restore.incomplete"
	// NoteName is the file that tells the gateway that it runs on a copy: see [Note].
	NoteName = "restored.json"
)

// Note is what a restored data directory says of itself.
type Note struct {
	Backup   time.Time         `json:"backup"`   // when the copy was made
	Position penstock.Position `json:"position"` // the last one of the copy
	Record   string            `json:"record"`
	Restored time.Time         `json:"restored"`
}

// ReadNote reads the note of a data directory, nil when it has none.
func ReadNote(fs vfs.FS, data string) (*Note, error) {
	text, err := readFile(fs, fs.PathJoin(data, NoteName), 1<<16)
	if disk.IsMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	n := &Note{}
	if err := json.Unmarshal(text, n); err != nil {
		return nil, penstock.Errorf(penstock.Corrupt, "%s cannot be read: %w", NoteName, err)
	}
	return n, nil
}

// Restoration is what a restore needs.
type Restoration struct {
	FS   vfs.FS
	From string // a backup: a directory or a tar archive
	To   string // data directory: empty or not there
	Keys string // directory for the key-encryption key; empty for that in the data directory
	Now  func() time.Time
	// Key returns the key, of the id that is given; wrapped is the one in the backup,
	// nil without one.
	Key func(id string, wrapped []byte) (keyring.Key, error)
	// AcceptDamage goes on with a backup of which files are damaged.
	AcceptDamage bool
}

// Restore puts a backup back as a data directory, verifies it there, frame by frame and
// value by value, and syncs it. Until that is done the directory holds a mark that
// keeps gateways away; a restore that was cut off is begun anew by the same call.
// Of a damaged backup it restores nothing unless that is accepted.
func Restore(r Restoration) (Verified, error) {
	if err := r.prepare(); err != nil {
		return Verified{}, err
	}
	if err := Unpack(r.FS, r.From, r.To); err != nil {
		return Verified{}, err
	}
	m, err := ReadManifest(r.FS, r.To)
	if err != nil {
		return Verified{}, err
	}
	wrapped, err := readFile(r.FS, r.FS.PathJoin(r.To, WrappedName), maxText)
	if err != nil && !disk.IsMissing(err) {
		return Verified{}, err
	}
	key, err := r.Key(m.Key, wrapped)
	if err != nil {
		return Verified{}, err
	}
	v, err := Verify(r.FS, r.To, &key)
	if err != nil {
		return v, err
	}
	if len(v.Damage) > 0 && !r.AcceptDamage {
		return v, penstock.Errorf(penstock.Corrupt, "%d files of the backup are damaged, the first is %s: %s", len(v.Damage), v.Damage[0].Path, v.Damage[0].What)
	}
	if err := r.place(m, key); err != nil {
		return v, err
	}
	return v, r.finish(m)
}

// prepare makes an empty directory with a mark in it.
func (r *Restoration) prepare() error {
	names, err := r.FS.List(r.To)
	if err != nil && !disk.IsMissing(err) {
		return disk.Error(err, "list %s", r.To)
	}
	begun := false
	for _, name := range names {
		begun = begun || name == MarkName
	}
	if len(names) > 0 && !begun {
		return penstock.Errorf(penstock.Conflict, "%s is not empty, and nothing of it was changed: name a new directory, or move what is there away", r.To)
	}
	for _, name := range names {
		if name == MarkName {
			continue
		}
		if err := r.FS.RemoveAll(r.FS.PathJoin(r.To, name)); err != nil {
			return disk.Error(err, "remove %s of a restore that was cut off", name)
		}
	}
	if err := makeDirs(r.FS, r.To); err != nil {
		return err
	}
	return writeSynced(r.FS, r.To, MarkName, []byte("A restore of "+r.From+" is under way, or was cut off: run it again.\n"))
}

// place opens what the backup sealed and puts it where the gateway has it.
func (r *Restoration) place(m *Manifest, key keyring.Key) error {
	keysDir := r.FS.PathJoin(r.To, KeysDir)
	ring, err := keyring.LoadUnder(r.FS, keysDir, key)
	if err != nil {
		return err
	}
	kekDir := r.Keys
	if kekDir == "" {
		kekDir = keysDir
	}
	if err := key.Write(r.FS, kekDir); err != nil {
		return err
	}
	into := &folderTarget{Folder: Folder{r.FS, r.To}, temp: r.To, dirs: []string{r.To}}
	for _, f := range m.Files {
		if !f.Sealed {
			continue
		}
		content, err := readSealed(r.FS, r.To, f, ring)
		if err != nil && r.AcceptDamage {
			continue // it was named
		}
		if err != nil {
			return err
		}
		name := f.Path
		if below, ok := strings.CutPrefix(name, StateDir+"/"); ok {
			name = below
		}
		if err := into.file(name, int64(len(content)), bytes.NewReader(content)); err != nil {
			return err
		}
	}
	for _, dir := range into.dirs {
		if err := disk.SyncDir(r.FS, dir); err != nil {
			return err
		}
	}
	return nil
}

// finish takes away what only the backup has, leaves the note, and last takes the
// mark away.
func (r *Restoration) finish(m *Manifest) error {
	text, err := json.MarshalIndent(Note{Backup: m.Time, Position: m.Position, Record: m.Record, Restored: r.Now().UTC()}, "", "  ")
	if err != nil {
		return err
	}
	var problems []error
	for _, name := range []string{ManifestName, SumName, WrappedName} {
		problems = append(problems, disk.Remove(r.FS, r.FS.PathJoin(r.To, name)))
	}
	if err := r.FS.RemoveAll(r.FS.PathJoin(r.To, StateDir)); err != nil {
		problems = append(problems, disk.Error(err, "remove %s", StateDir))
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	if err := writeSynced(r.FS, r.To, NoteName, append(text, '\n')); err != nil {
		return err
	}
	for _, dir := range []string{SpoolDir, StoreDir, KeysDir, SpoolDir + "/aside"} {
		path := r.FS.PathJoin(r.To, dir)
		if _, err := r.FS.Stat(path); disk.IsMissing(err) {
			continue
		}
		if err := disk.SyncDir(r.FS, path); err != nil {
			return err
		}
	}
	if err := disk.Remove(r.FS, r.FS.PathJoin(r.To, MarkName)); err != nil {
		return err
	}
	return disk.SyncDir(r.FS, r.To)
}

// writeSynced makes a small file durable with its name.
func writeSynced(fs vfs.FS, dir, name string, content []byte) error {
	if err := write(fs, fs.PathJoin(dir, name), int64(len(content)), bytes.NewReader(content)); err != nil {
		return err
	}
	return disk.SyncDir(fs, dir)
}
