package keyring

import (
	"crypto/sha256"
	"encoding/binary"
	"io"

	"github.com/penstock/penstock"
)

// The keyring file, all numbers big endian:
//
//	magic "PNSTKRNG" · version 1 · required features (4) · KEK id (8) · generation (8) · records
//	record: kind (1) · id (8) · nonce (24) · sealed secret (length by kind + 16)
//
// Each secret is sealed with XAES-256-GCM under the KEK, bound to its kind, its
// id and the KEK's id. The last record seals the SHA-256 of all bytes before
// it, so that no record can be dropped, added or taken from an older file.
const (
	magic      = "PNSTKRNG"
	version    = 1
	prefixLen  = len(magic) + 1 + 4 + 8 + 8
	maxRecords = 1 << 16
)

type kind byte

const (
	kindNode kind = 1 // the node's id
	kindData kind = 2 // a data key; the last one in the file is active
	kindEnd  kind = 0xff
)

// purpose is part of what a record's seal is bound to.
func (k kind) purpose() string {
	switch k {
	case kindNode:
		return "node id"
	case kindData:
		return "data key"
	}
	return "end of keyring"
}

func (k kind) size() int {
	switch k {
	case kindNode:
		return nodeSize
	case kindData:
		return keySize
	case kindEnd:
		return sha256.Size
	}
	return -1
}

const nodeSize = 16

type dataKey struct {
	id  uint64
	key [keySize]byte
}

// contents is what a keyring file holds.
type contents struct {
	generation uint64
	node       [nodeSize]byte
	keys       []dataKey
}

func encode(c contents, k kek, rand io.Reader) ([]byte, error) {
	b := append([]byte(magic), version, 0, 0, 0, 0)
	b = append(b, k.id[:]...)
	b = binary.BigEndian.AppendUint64(b, c.generation)
	b, err := k.appendRecord(b, rand, record{kindNode, 0, c.node[:]})
	for i := 0; err == nil && i < len(c.keys); i++ {
		b, err = k.appendRecord(b, rand, record{kindData, c.keys[i].id, c.keys[i].key[:]})
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return k.appendRecord(b, rand, record{kindEnd, 0, sum[:]})
}

// record is one record of the file.
type record struct {
	kind   kind
	id     uint64
	secret []byte
}

func (k kek) appendRecord(b []byte, rand io.Reader, r record) ([]byte, error) {
	b = append(b, byte(r.kind))
	b = binary.BigEndian.AppendUint64(b, r.id)
	var nonce [xaesNonceSize]byte
	if err := draw(rand, nonce[:]); err != nil {
		return nil, err
	}
	b = append(b, nonce[:]...)
	aead, short, err := xaes(k.key, nonce)
	if err != nil {
		return nil, penstock.Errorf(penstock.Internal, "seal a key: %w", err)
	}
	return aead.Seal(b, short, r.secret, k.bound(r.kind, r.id)), nil
}

// bound is what the seal of a record is bound to.
func (k kek) bound(kd kind, id uint64) []byte {
	aad := append([]byte("penstock keyring 1: "), kd.purpose()...)
	aad = append(aad, k.id[:]...)
	return binary.BigEndian.AppendUint64(aad, id)
}

// decode reads a keyring file. Codes: Unsupported for a newer format,
// Unauthenticated for another KEK, Corrupt for damage.
func decode(b []byte, k kek) (contents, error) {
	var c contents
	if len(b) < prefixLen || string(b[:len(magic)]) != magic {
		return c, penstock.Errorf(penstock.Corrupt, "it does not start as a keyring")
	}
	p := b[len(magic):prefixLen]
	if p[0] != version || binary.BigEndian.Uint32(p[1:]) != 0 {
		return c, penstock.Errorf(penstock.Unsupported, "it has version %d and features %x, this build reads version %d: use the newer penstock that wrote it", p[0], p[1:5], version)
	}
	if id := [8]byte(p[5:]); id != k.id {
		return c, penstock.Errorf(penstock.Unauthenticated, "it is sealed under the key-encryption key %x, the one given is %x", id, k.id)
	}
	c.generation = binary.BigEndian.Uint64(p[13:])
	at := prefixLen
	for range maxRecords {
		r, next, err := k.openRecord(b, at)
		if err != nil {
			return c, err
		}
		switch r.kind {
		case kindNode:
			c.node = [nodeSize]byte(r.secret)
		case kindData:
			c.keys = append(c.keys, dataKey{id: r.id, key: [keySize]byte(r.secret)})
		case kindEnd:
			if sha256.Sum256(b[:at]) != [sha256.Size]byte(r.secret) || next != len(b) {
				return c, penstock.Errorf(penstock.Corrupt, "its records are not those that were written together")
			}
			if len(c.keys) == 0 || c.node == [nodeSize]byte{} {
				return c, penstock.Errorf(penstock.Corrupt, "it has no data key or no node id")
			}
			return c, nil
		}
		at = next
	}
	return c, penstock.Errorf(penstock.Corrupt, "it has more than %d records", maxRecords)
}

// openRecord opens the record at byte at and returns where the next one begins.
func (k kek) openRecord(b []byte, at int) (record, int, error) {
	if at >= len(b) {
		return record{}, 0, penstock.Errorf(penstock.Corrupt, "it ends in the middle")
	}
	r := record{kind: kind(b[at])}
	const clear = 1 + 8 + xaesNonceSize
	next := at + clear + r.kind.size() + gcmOverhead
	if r.kind.size() < 0 || next > len(b) {
		return r, 0, penstock.Errorf(penstock.Corrupt, "its record at byte %d is damaged", at)
	}
	r.id = binary.BigEndian.Uint64(b[at+1:])
	aead, short, err := xaes(k.key, [xaesNonceSize]byte(b[at+1+8:]))
	if err != nil {
		return r, 0, penstock.Errorf(penstock.Internal, "open a key: %w", err)
	}
	if r.secret, err = aead.Open(nil, short, b[at+clear:next], k.bound(r.kind, r.id)); err != nil {
		return r, 0, penstock.Errorf(penstock.Corrupt, "its record at byte %d is damaged", at)
	}
	return r, next, nil
}
