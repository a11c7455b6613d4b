package store

import (
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
)

// Checkpoint makes dir, which must not be there, a copy of the store as it is now:
// tables are linked where the file system can, and what is in the log is copied.
// Commits go on meanwhile.
func (s *Store) Checkpoint(dir string) error {
	_, err := run(s.life, func() (struct{}, error) {
		return struct{}{}, coded(s.db.Checkpoint(dir, pebble.WithFlushedWAL()))
	})
	return err
}

// Verify reads every value of the store in dir, which no process has open, and opens
// its seal. It writes nothing, and returns how many values there are. What is damaged
// has code [penstock.Corrupt].
func Verify(fs vfs.FS, dir string, keys *keyring.Keyring) (values int, err error) {
	s := &Store{life: newLife(slog.New(slog.DiscardHandler)), cursors: map[*Cursor]struct{}{}}
	o := Options{FS: readOnly{fs}, Dir: dir, Keyring: keys, Cache: 16 << 20}
	s.db, err = run(s.life, func() (*pebble.DB, error) { return openPebble(o, s) })
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := run(s.life, func() (struct{}, error) { return struct{}{}, s.readFormat() }); err != nil {
		return 0, err
	}
	unused, err := keys.NewStream(purpose) // nothing is sealed
	if err != nil {
		return 0, err
	}
	s.seal = &sealer{store: s, keyring: keys, stream: unused, earlier: map[uint32]*keyring.Stream{}}
	for _, part := range [][2][]byte{{{ownKeys, 'd'}, {ownKeys, 'd' + 1}}, {{tableKeys}, {0xff}}} {
		err := s.Scan(part[0], part[1], func(_, _ []byte) error {
			values++
			return nil
		})
		if err != nil {
			return values, err
		}
	}
	return values, s.streams(keys)
}

// readFormat checks the format of a store that is there.
func (s *Store) readFormat() error {
	value, err := s.raw([]byte{ownKeys, 'v'})
	if err != nil {
		return err
	}
	return understood(value)
}

// streams checks that the header of every opening can be read.
func (s *Store) streams(keys *keyring.Keyring) error {
	_, err := run(s.life, func() (struct{}, error) {
		last, err := s.lastStream()
		for n := uint32(1); err == nil && n <= last; n++ {
			var header []byte
			if header, err = s.raw(streamKey(n)); err == nil {
				_, _, err = keys.OpenStream(purpose, header)
			}
		}
		return struct{}{}, err
	})
	return err
}

// understood tells whether a store's format can be read by this program.
func understood(value []byte) error {
	if len(value) < 10 || string(value[:4]) != formatMagic {
		return penstock.Errorf(penstock.Corrupt, "the store's format is not readable")
	}
	version, features := binary.BigEndian.Uint16(value[4:]), binary.BigEndian.Uint32(value[6:])
	if version > formatVersion || features != 0 {
		return penstock.Errorf(penstock.Unsupported, "the store was written by a newer Penstock (format %d, features %#x; this one reads format %d): run the newer one", version, features, formatVersion)
	}
	return nil
}

// readOnly is a file system on which a store can be read and not changed, not even
// locked.
type readOnly struct{ vfs.FS }

func (readOnly) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (readOnly) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, &os.PathError{Op: "create", Path: name, Err: os.ErrPermission}
}

func (readOnly) Remove(name string) error {
	return &os.PathError{Op: "remove", Path: name, Err: os.ErrPermission}
}

func (readOnly) Rename(name, _ string) error {
	return &os.PathError{Op: "rename", Path: name, Err: os.ErrPermission}
}

// Unwrap implements vfs.FS.
func (r readOnly) Unwrap() vfs.FS { return r.FS }
