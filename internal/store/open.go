package store

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/penstock/penstock"
)

// The store's own format. Pebble's stands beside it and is pinned, because a
// higher one cannot be read by an older binary.
const (
	formatMagic   = "PSTO"
	formatVersion = 1
	pebbleFormat  = pebble.FormatTableFormatV6
)

// Sizes for a node with 512 MB of memory. The block cache is an option.
const (
	memTableSize = 8 << 20
	memTables    = 4
	blockSize    = 16 << 10
	tableSize    = 8 << 20
	openTables   = 500
	bloomBits    = 10
)

func openPebble(o Options, s *Store) (*pebble.DB, error) {
	if err := refuseNewer(o); err != nil {
		return nil, err
	}
	cache := pebble.NewCache(o.Cache)
	defer cache.Unref()
	po := &pebble.Options{
		FS:                          o.FS,
		Cache:                       cache,
		FormatMajorVersion:          pebbleFormat,
		Logger:                      logger{s.life},
		EventListener:               listener(s),
		MemTableSize:                memTableSize,
		MemTableStopWritesThreshold: memTables,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       math.MaxInt32, // slow reads are better than writes that stand still
		MaxOpenFiles:                openTables,
		BytesPerSync:                1 << 20,
		WALBytesPerSync:             1 << 20,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
	}
	po.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone }) // values are sealed
	for i := range po.Levels {
		po.Levels[i].BlockSize = blockSize
		po.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
		po.TargetFileSizes[i] = tableSize
	}
	_, po.ReadOnly = o.FS.(readOnly)
	db, err := pebble.Open(o.Dir, po)
	if err != nil {
		return nil, coded(err)
	}
	return db, nil
}

func refuseNewer(o Options) error {
	if _, err := o.FS.Stat(o.Dir); err != nil {
		return nil // Pebble makes the directory, or says why it cannot
	}
	found, err := pebble.Peek(o.Dir, o.FS)
	if err != nil {
		return coded(err)
	}
	if found.Exists && found.FormatMajorVersion > pebbleFormat {
		return penstock.Errorf(penstock.Unsupported, "the store in %s was written by a newer Penstock (Pebble format %d, this one reads up to %d): run the newer one", o.Dir, found.FormatMajorVersion, pebbleFormat)
	}
	return nil
}

// listener turns what fails in the background into trouble or death. A failed
// flush is death: the memory it would have freed never comes back, and commits
// would soon stand still. Compactions are tried again by Pebble, and a damaged
// block must not stop what has nothing to do with it.
//
// The end of a flush has an error also when there was nothing to write, as after a
// range delete; only one that failed is then told as background error too.
func listener(s *Store) *pebble.EventListener {
	var mu sync.Mutex
	var flushed error // how the last flush ended
	return &pebble.EventListener{
		FlushEnd: func(info pebble.FlushInfo) {
			mu.Lock()
			defer mu.Unlock()
			flushed = info.Err
		},
		BackgroundError: func(err error) {
			s.life.log.Error("store: background work failed", "error", err)
			s.setTrouble(coded(err))
			mu.Lock()
			failed := flushed != nil && errors.Is(err, flushed)
			mu.Unlock()
			if failed {
				s.life.die(err)
			}
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			s.life.log.Error("store: a block is damaged", "path", info.Path, "error", info.Details)
			s.setTrouble(penstock.Errorf(penstock.Corrupt, "a block of %s is damaged: %w", info.Path, info.Details))
		},
	}
}

// prepare checks or writes the format, and makes this opening's stream and the
// secret of the digests.
func (s *Store) prepare(o Options) error {
	_, err := run(s.life, func() (struct{}, error) {
		if err := s.checkFormat(); err != nil {
			return struct{}{}, err
		}
		seal, err := newSealer(s, o.Keyring)
		if err != nil {
			return struct{}{}, err
		}
		s.seal = seal
		return struct{}{}, s.loadSecret(o.Rand)
	})
	return err
}

// checkFormat reads magic (4 bytes), version (2, big endian) and required
// features (4, big endian), which stand unsealed: they must be understood before
// anything is opened.
func (s *Store) checkFormat() error {
	key := []byte{ownKeys, 'v'}
	value, err := s.raw(key)
	if err != nil {
		return err
	}
	if value == nil {
		return s.writeFormat(key)
	}
	return understood(value)
}

func (s *Store) writeFormat(key []byte) (err error) {
	iter, err := s.db.NewIter(nil)
	if err != nil {
		return coded(err)
	}
	defer func() { err = errors.Join(err, coded(iter.Close())) }()
	if iter.First() {
		return penstock.Errorf(penstock.Corrupt, "the store has data but no format: it is not Penstock's or is damaged")
	}
	value := binary.BigEndian.AppendUint16([]byte(formatMagic), formatVersion)
	value = binary.BigEndian.AppendUint32(value, 0)
	return coded(s.db.Set(key, value, pebble.Sync))
}

func (s *Store) loadSecret(rand io.Reader) error {
	key := []byte{ownKeys, 'd'}
	secret, err := s.get(key)
	if err != nil {
		return err
	}
	if secret == nil {
		secret = make([]byte, 32)
		if _, err := io.ReadFull(rand, secret); err != nil {
			return penstock.Errorf(penstock.Internal, "no randomness: %w", err)
		}
		if err := s.db.Set(key, s.seal.seal(nil, key, secret), pebble.Sync); err != nil {
			return coded(err)
		}
	}
	s.secret = secret
	return nil
}
