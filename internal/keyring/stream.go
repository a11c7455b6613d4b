package keyring

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"

	"github.com/penstock/penstock"
)

// HeaderSize is the length of a stream's header: version (1 byte), id of the
// data key (8, big endian), salt (32).
const HeaderSize = 1 + 8 + saltSize

// Overhead is how many bytes longer a sealed message is than its plaintext.
const Overhead = gcmOverhead

const (
	streamVersion = 1
	saltSize      = 32
	prefixSize    = gcmNonceSize - 8 // the part of a nonce that is not the message number
)

// Stream seals the messages of one file or one run. Its key belongs to it
// alone. It is safe for concurrent use.
type Stream struct {
	header [HeaderSize]byte
	aead   cipher.AEAD
	prefix [prefixSize]byte
}

// NewStream returns a stream with a key of its own under the active data key.
// The purpose names what is sealed ("spool segment"); a stream opens only under
// the purpose it was made for.
func (k *Keyring) NewStream(purpose string) (*Stream, error) {
	var header [HeaderSize]byte
	header[0] = streamVersion
	active := k.keys[len(k.keys)-1]
	binary.BigEndian.PutUint64(header[1:], active.id)
	if err := k.random(header[1+8:]); err != nil {
		return nil, err
	}
	return newStream(active.key, purpose, header)
}

// OpenStream returns the stream that the header at the start of b belongs to,
// and what follows the header. Errors: [penstock.Corrupt] when b is too short,
// [penstock.Unsupported] for a newer version, [penstock.NotFound] when the
// keyring does not have the data key. A damaged salt shows when a message is
// opened.
func (k *Keyring) OpenStream(purpose string, b []byte) (*Stream, []byte, error) {
	if len(b) < HeaderSize {
		return nil, nil, penstock.Errorf(penstock.Corrupt, "a sealed stream's header has %d bytes, here are %d", HeaderSize, len(b))
	}
	header := [HeaderSize]byte(b[:HeaderSize])
	if header[0] != streamVersion {
		return nil, nil, penstock.Errorf(penstock.Unsupported, "sealed stream of version %d: this build reads version %d", header[0], streamVersion)
	}
	id := binary.BigEndian.Uint64(header[1:])
	for _, dk := range k.keys {
		if dk.id == id {
			s, err := newStream(dk.key, purpose, header)
			return s, b[HeaderSize:], err
		}
	}
	return nil, nil, penstock.Errorf(penstock.NotFound, "data key %016x is not in the keyring of node %x: put the keys directory that belongs to this data back", id, k.node)
}

func newStream(key [keySize]byte, purpose string, header [HeaderSize]byte) (*Stream, error) {
	derived, err := hkdf.Key(sha256.New, key[:], header[1+8:], "penstock stream 1: "+purpose, keySize+prefixSize)
	if err != nil {
		return nil, penstock.Errorf(penstock.Internal, "derive a stream key: %w", err)
	}
	aead, err := newGCM(derived[:keySize])
	if err != nil {
		return nil, penstock.Errorf(penstock.Internal, "derive a stream key: %w", err)
	}
	return &Stream{header: header, aead: aead, prefix: [prefixSize]byte(derived[keySize:])}, nil
}

// Header returns the bytes from which [Keyring.OpenStream] finds the stream
// again: they are not secret and stand in the clear at the start of a file.
func (s *Stream) Header() []byte { return append([]byte(nil), s.header[:]...) }

// Seal appends the sealed plaintext, bound to aad, to dst and returns it. The
// caller promises that a stream never seals two messages under the same n.
func (s *Stream) Seal(dst []byte, n uint64, plaintext, aad []byte) []byte {
	nonce := s.nonce(n)
	return s.aead.Seal(dst, nonce[:], plaintext, aad)
}

// Open appends the plaintext of message n to dst and returns it. What was
// changed, or sealed under another n or aad, is [penstock.Corrupt].
func (s *Stream) Open(dst []byte, n uint64, sealed, aad []byte) ([]byte, error) {
	nonce := s.nonce(n)
	plain, err := s.aead.Open(dst, nonce[:], sealed, aad)
	if err != nil {
		return nil, penstock.Errorf(penstock.Corrupt, "the seal of message %d does not hold", n)
	}
	return plain, nil
}

// Overhead returns [Overhead].
func (s *Stream) Overhead() int { return Overhead }

func (s *Stream) nonce(n uint64) (nonce [gcmNonceSize]byte) {
	copy(nonce[:], s.prefix[:])
	binary.BigEndian.PutUint64(nonce[prefixSize:], n)
	return nonce
}
