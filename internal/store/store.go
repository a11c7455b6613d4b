package store

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
)

// First bytes of keys.
const (
	ownKeys   = 0x00
	tableKeys = 0x01
	// FirstFree is the first byte from which on other packages have keys of
	// their own. The composition root sees to it that no two share one.
	FirstFree = 0x10
)

// DigestSize is the length of a [Store.Digest].
const DigestSize = 16

// Options is what a store needs.
type Options struct {
	FS      vfs.FS           // where it lives
	Dir     string           // its directory, made when missing
	Keyring *keyring.Keyring // seals its values
	Log     *slog.Logger     // nil for none
	Rand    io.Reader        // nil for the system's
	Cache   int64            // bytes of block cache, 0 for 16 MiB
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	life   *life
	db     *pebble.DB
	seal   *sealer
	secret []byte // of the digests

	mu      sync.Mutex
	cursors map[*Cursor]struct{}
	trouble error // the last thing that failed in the background, or nil
}

// Open opens the store in o.Dir and makes it when there is none. Errors:
// [penstock.Unsupported] when a newer program wrote it, [penstock.Corrupt] when
// it cannot be read, [penstock.Unavailable] when another process has it open or
// the disk fails.
func Open(o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Cache == 0 {
		o.Cache = 16 << 20
	}
	s := &Store{life: newLife(o.Log), cursors: map[*Cursor]struct{}{}}
	db, err := run(s.life, func() (*pebble.DB, error) { return openPebble(o, s) })
	if err != nil {
		return nil, err
	}
	s.db = db
	if err := s.prepare(o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Dead tells why the store stopped for good, nil while it works.
func (s *Store) Dead() error { return s.life.death() }

// Trouble tells what failed last in the background, such as a compaction that
// met a damaged block; nil when nothing did. The store goes on.
func (s *Store) Trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble
}

func (s *Store) setTrouble(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = err
}

// Close ends the store. It waits for calls under way and ends open cursors. It
// is legal twice, and does not wait for a dead store, whose cause it returns.
func (s *Store) Close() error {
	return s.life.close(func() error {
		if s.db == nil {
			return nil
		}
		s.mu.Lock()
		open := s.cursors
		s.cursors = nil
		s.mu.Unlock()
		var errs []error
		for c := range open {
			errs = append(errs, c.iter.Close())
		}
		return coded(errors.Join(append(errs, s.db.Close())...))
	})
}

// Get returns the value of key, and false when there is none.
func (s *Store) Get(key []byte) (value []byte, found bool, err error) {
	value, err = run(s.life, func() ([]byte, error) { return s.get(key) })
	return value, value != nil, err
}

// get returns nil when there is no such key.
func (s *Store) get(key []byte) ([]byte, error) {
	sealed, err := s.raw(key)
	if sealed == nil || err != nil {
		return nil, err
	}
	return s.seal.open([]byte{}, key, sealed)
}

// raw returns the value as it stands on disk.
func (s *Store) raw(key []byte) ([]byte, error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, coded(err)
	}
	value = bytes.Clone(value)
	return value, coded(closer.Close())
}

// Digest returns a keyed digest of the parts, which stands for them in keys. It
// is the same for the life of the store, and tells nothing to who has not its
// keyring.
func (s *Store) Digest(parts ...string) [DigestSize]byte {
	mac := hmac.New(sha256.New, s.secret)
	var size [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		mac.Write(size[:])
		io.WriteString(mac, p)
	}
	return [DigestSize]byte(mac.Sum(nil))
}

// Size is what the store has on disk, in bytes.
type Size struct {
	Tables uint64 // the data
	Total  uint64 // with the write-ahead log, and with what is about to be deleted
}

// Size returns what the store has on disk.
func (s *Store) Size() (Size, error) {
	return run(s.life, func() (Size, error) {
		m := s.db.Metrics()
		return Size{Tables: m.Table.Local.LiveSize, Total: m.DiskSpaceUsage()}, nil
	})
}

// Compact rewrites the whole store, so that nothing deleted is left on disk.
func (s *Store) Compact() error {
	_, err := run(s.life, func() (struct{}, error) {
		if err := s.db.Flush(); err != nil {
			return struct{}{}, coded(err)
		}
		return struct{}{}, coded(s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false))
	})
	return err
}

// coded gives an error of Pebble a code.
func coded(err error) error {
	switch {
	case err == nil:
		return nil
	case pebble.IsCorruptionError(err):
		return penstock.Errorf(penstock.Corrupt, "the store has a damaged block: %w", err)
	}
	return penstock.Errorf(penstock.Unavailable, "the store cannot be read: %w", err)
}
