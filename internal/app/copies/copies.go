// Package copies makes backups of a gateway that runs.
package copies

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/backup"
	"github.com/penstock/penstock/internal/historian"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/store"
)

// Staging is the directory in the data directory that holds second names of files
// while a backup is made.
const Staging = "backup.staging"

// Parts are what a backup is made of. All must be given.
type Parts struct {
	FS        vfs.FS
	Dir       string // data directory
	Keys      string // directory of the key-encryption key
	Keyring   *keyring.Keyring
	Spool     *spool.Spool
	Store     *store.Store
	Historian *historian.Historian
	Flush     func() error // writes what is only in memory
	Version   string
	Record    func() string             // name of the system of record
	Config    func() (string, []string) // the configuration file, empty for none, and the files that it names
	Log       *slog.Logger
	Now       func() time.Time
}

// Maker makes backups, one at a time.
type Maker struct {
	Parts
	busy sync.Mutex
}

// New returns a maker, after it has removed what an earlier process left of a backup.
func New(p Parts) (*Maker, error) {
	m := &Maker{Parts: p}
	return m, m.sweep()
}

func (m *Maker) sweep() error {
	dir := m.FS.PathJoin(m.Dir, Staging)
	if err := m.FS.RemoveAll(dir); err != nil {
		return penstock.Errorf(penstock.Unavailable, "remove %s: %w", dir, err)
	}
	return nil
}

// Send writes a backup of this moment to w. The gateway goes on meanwhile; nothing of
// what is being sent is deleted before the end.
func (m *Maker) Send(ctx context.Context, w io.Writer, order backup.Order) error {
	if !m.busy.TryLock() {
		return penstock.Errorf(penstock.Conflict, "a backup is under way: wait for its end")
	}
	defer m.busy.Unlock()
	begun := m.Now()
	s, err := m.stage(order)
	if err == nil {
		err = backup.Send(ctx, w, s, order)
	}
	err = errors.Join(err, m.sweep())
	if err != nil {
		m.Log.Warn("a backup was not made", "error", err)
		return err
	}
	m.Log.Info("a backup was made", "position", s.Manifest.Position, "files", len(s.Parts), "took", m.Now().Sub(begun))
	return nil
}

// stage freezes everything.
func (m *Maker) stage(order backup.Order) (s backup.Sending, err error) {
	if err := m.sweep(); err != nil {
		return s, err
	}
	staging := m.FS.PathJoin(m.Dir, Staging)
	if err := m.FS.MkdirAll(staging, 0o700); err != nil {
		return s, penstock.Errorf(penstock.Unavailable, "make %s: %w", staging, err)
	}
	key, err := keyring.ReadKey(m.FS, m.Keys)
	if err != nil {
		return s, err
	}
	s.Keyring = m.Keyring
	if order.Key {
		s.Key = key.Text()
	}
	s.Manifest = backup.Manifest{
		Version: m.Version, Node: fmt.Sprintf("%x", m.Keyring.NodeID()), Key: key.ID(), Time: m.Now().UTC(), Record: m.Record(),
	}
	if err := m.Flush(); err != nil {
		return s, err
	}
	frozen, err := m.Spool.Freeze(m.FS.PathJoin(staging, backup.SpoolDir), func() error {
		s.Manifest.Settled = m.Historian.Through()
		return m.Store.Checkpoint(m.FS.PathJoin(staging, backup.StoreDir))
	})
	if err != nil {
		return s, err
	}
	s.Manifest.First, s.Manifest.Position = frozen.First, frozen.Durable
	for _, f := range frozen.Files {
		s.Parts = append(s.Parts, m.part(m.FS.PathJoin(staging, backup.SpoolDir, f.Name), backup.SpoolDir+"/"+filepath.ToSlash(f.Name), f.Size))
	}
	if err := m.addDir(&s, m.FS.PathJoin(staging, backup.StoreDir), backup.StoreDir, func(string) bool { return true }); err != nil {
		return s, err
	}
	if err := m.addDir(&s, m.FS.PathJoin(m.Dir, backup.KeysDir), backup.KeysDir, func(name string) bool { return strings.HasPrefix(name, "keyring.") }); err != nil {
		return s, err
	}
	return s, errors.Join(m.addConfig(&s), m.addState(&s))
}

func (m *Maker) part(from, path string, size int64) backup.Part {
	return backup.Part{Path: path, Size: size, Open: func() (io.ReadCloser, error) { return m.FS.Open(from) }}
}

// addDir adds the files of a directory that holds no others.
func (m *Maker) addDir(s *backup.Sending, dir, under string, takes func(name string) bool) error {
	names, err := m.FS.List(dir)
	if err != nil {
		return penstock.Errorf(penstock.Unavailable, "list %s: %w", dir, err)
	}
	slices.Sort(names)
	for _, name := range names {
		if !takes(name) {
			continue
		}
		path := m.FS.PathJoin(dir, name)
		info, err := m.FS.Stat(path)
		if err != nil {
			return penstock.Errorf(penstock.Unavailable, "look at %s: %w", path, err)
		}
		s.Parts = append(s.Parts, m.part(path, under+"/"+name, info.Size()))
	}
	return nil
}

// addConfig adds the configuration file and the .env beside it.
func (m *Maker) addConfig(s *backup.Sending) error {
	file, named := m.Config()
	for _, path := range named {
		if below, err := filepath.Rel(m.Dir, path); err != nil || !filepath.IsLocal(below) {
			s.Manifest.Elsewhere = append(s.Manifest.Elsewhere, path)
		}
	}
	if file == "" {
		return nil
	}
	s.Manifest.Config = file
	for _, path := range []string{file, filepath.Join(filepath.Dir(file), ".env")} {
		err := m.seal(s, path, backup.ConfigDir+"/"+filepath.Base(path))
		if err != nil && (path == file || !errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	return nil
}

// seal adds a file that the backup seals.
func (m *Maker) seal(s *backup.Sending, path, as string) error {
	info, err := m.FS.Stat(path)
	if err != nil {
		return penstock.Errorf(penstock.Unavailable, "look at %s: %w", path, err)
	}
	if info.Size() > backup.MaxSealed {
		s.Manifest.LeftOut = append(s.Manifest.LeftOut, path)
		return nil
	}
	in, err := m.FS.Open(path)
	if err != nil {
		return penstock.Errorf(penstock.Unavailable, "open %s: %w", path, err)
	}
	content, err := io.ReadAll(io.LimitReader(in, backup.MaxSealed))
	if err = errors.Join(err, in.Close()); err != nil {
		return penstock.Errorf(penstock.Unavailable, "read %s: %w", path, err)
	}
	s.Parts = append(s.Parts, backup.Part{Path: as, Content: content})
	return nil
}

// transient are the names in the data directory that a backup leaves out, or takes in
// a way of their own.
func transient(name string) bool {
	return slices.Contains([]string{
		"lock", "run", "stalls", Staging, backup.SpoolDir, backup.StoreDir, backup.KeysDir, backup.ConfigDir, backup.MarkName, backup.NoteName,
	}, name)
}

// addState adds everything else that stands in the data directory.
func (m *Maker) addState(s *backup.Sending) error {
	return m.walk(m.Dir, "", func(path, name string, info os.FileInfo) error {
		if !info.Mode().IsRegular() {
			return nil
		}
		err := m.seal(s, path, backup.StateDir+"/"+name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went since the directory was read
		}
		return err
	})
}

// walk visits the files below a directory, with their names below the data directory.
func (m *Maker) walk(dir, under string, visit func(path, name string, info os.FileInfo) error) error {
	names, err := m.FS.List(dir)
	if err != nil {
		return penstock.Errorf(penstock.Unavailable, "list %s: %w", dir, err)
	}
	slices.Sort(names)
	for _, name := range names {
		if under == "" && transient(name) {
			continue
		}
		path := m.FS.PathJoin(dir, name)
		info, err := m.FS.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return penstock.Errorf(penstock.Unavailable, "look at %s: %w", path, err)
		}
		if info.IsDir() {
			err = m.walk(path, under+name+"/", visit)
		} else {
			err = visit(path, under+name, info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
