package store

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
)

const purpose = "store values"

// maxStreams bounds how many streams of earlier openings stay in memory.
const maxStreams = 256

// sealer seals with the stream of this opening and opens with that of any.
type sealer struct {
	store   *Store
	keyring *keyring.Keyring
	number  uint32
	stream  *keyring.Stream
	next    atomic.Uint64 // number of the next message in the stream

	mu      sync.Mutex
	earlier map[uint32]*keyring.Stream
}

// newSealer makes the stream of this opening. Its header is on disk before it is
// used: were it lost, what it sealed could not be opened; were its number used
// again with another header, it would be lost.
func newSealer(s *Store, k *keyring.Keyring) (*sealer, error) {
	number, err := s.lastStream()
	if err != nil {
		return nil, err
	}
	stream, err := k.NewStream(purpose)
	if err != nil {
		return nil, err
	}
	number++
	if err := s.db.Set(streamKey(number), stream.Header(), pebble.Sync); err != nil {
		return nil, coded(err)
	}
	return &sealer{store: s, keyring: k, number: number, stream: stream, earlier: map[uint32]*keyring.Stream{}}, nil
}

func streamKey(number uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{ownKeys, 's'}, number)
}

// lastStream returns the number of the newest stream, 0 for none.
func (s *Store) lastStream() (uint32, error) {
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{ownKeys, 's'}, UpperBound: []byte{ownKeys, 's' + 1}})
	if err != nil {
		return 0, coded(err)
	}
	number := uint32(0)
	if iter.Last() {
		number = binary.BigEndian.Uint32(iter.Key()[2:])
	}
	return number, coded(iter.Close())
}

// seal appends value, sealed for key, to dst.
func (s *sealer) seal(dst, key, value []byte) []byte {
	n := s.next.Add(1)
	dst = binary.AppendUvarint(dst, uint64(s.number))
	dst = binary.AppendUvarint(dst, n)
	return s.stream.Seal(dst, n, value, key)
}

// open appends the value that was sealed for key to dst.
func (s *sealer) open(dst, key, sealed []byte) ([]byte, error) {
	number, a := binary.Uvarint(sealed)
	if a <= 0 {
		return nil, unreadable(key)
	}
	n, b := binary.Uvarint(sealed[a:])
	if b <= 0 || number > 1<<32-1 {
		return nil, unreadable(key)
	}
	stream, err := s.streamOf(uint32(number))
	if err != nil {
		return nil, err
	}
	return stream.Open(dst, n, sealed[a+b:], key)
}

func unreadable(key []byte) error {
	return penstock.Errorf(penstock.Corrupt, "the value of key %x is damaged", key)
}

func (s *sealer) streamOf(number uint32) (*keyring.Stream, error) {
	if number == s.number {
		return s.stream, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if stream := s.earlier[number]; stream != nil {
		return stream, nil
	}
	header, err := s.store.raw(streamKey(number))
	if err != nil {
		return nil, err
	}
	if header == nil {
		return nil, penstock.Errorf(penstock.Corrupt, "a value names stream %d, which the store does not have", number)
	}
	stream, _, err := s.keyring.OpenStream(purpose, header)
	if err != nil {
		return nil, err
	}
	if len(s.earlier) >= maxStreams {
		clear(s.earlier)
	}
	s.earlier[number] = stream
	return stream, nil
}
