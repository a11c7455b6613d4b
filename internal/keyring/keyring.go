package keyring

import (
	cryptorand "crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
)

const (
	kekName = "kek"
	dirMode = 0o700
)

// copyNames are the two copies of the keyring, in the order they are written.
var copyNames = [2]string{"keyring.a", "keyring.b"}

// Keyring holds the keys of one node. It is safe for concurrent use.
type Keyring struct {
	node  [nodeSize]byte
	keys  []dataKey // the last one is active
	notes []string

	mu   sync.Mutex // guards rand
	rand io.Reader
}

// Open opens the keyring in dir with its key-encryption key in the same
// directory, and makes both at the first start. See [OpenApart].
func Open(vs vfs.FS, dir string, rand io.Reader) (*Keyring, error) {
	return OpenApart(vs, dir, dir, rand)
}

// OpenApart opens the keyring in dir, sealed under the key-encryption key in
// kekDir; at the first start it makes them. A nil rand is the system's. A copy
// of the keyring that is missing, old or damaged is written anew from the other
// one, and [Keyring.Notes] tells it; the damaged file is kept beside it.
//
// It refuses, and changes nothing, when the key-encryption key is missing, is
// damaged or is not the one that the keyring was sealed under, and when neither
// copy can be read.
func OpenApart(vs vfs.FS, dir, kekDir string, rand io.Reader) (*Keyring, error) {
	o := opener{fs: vs, dir: dir, kekDir: kekDir, rand: randOr(rand)}
	copies := o.readCopies()
	if copies.missing() {
		return o.create()
	}
	k, err := o.load(&copies)
	if err != nil {
		return nil, err
	}
	return k, o.repair(copies)
}

// Load opens an existing keyring and writes nothing. Its error has code
// [penstock.NotFound] when there is no keyring in dir.
func Load(vs vfs.FS, dir, kekDir string) (*Keyring, error) {
	o := opener{fs: vs, dir: dir, kekDir: kekDir, rand: cryptorand.Reader}
	copies := o.readCopies()
	if copies.missing() {
		return nil, penstock.Errorf(penstock.NotFound, "there is no keyring in %s", dir)
	}
	return o.load(&copies)
}

// NodeID returns the id of the node: 16 random bytes, made once.
func (k *Keyring) NodeID() [16]byte { return k.node }

// Notes tells what was found damaged and mended when the keyring was opened, a
// sentence each, for the log.
func (k *Keyring) Notes() []string { return append([]string(nil), k.notes...) }

func (k *Keyring) random(b []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return draw(k.rand, b)
}

func randOr(r io.Reader) io.Reader {
	if r == nil {
		return cryptorand.Reader
	}
	return r
}

func draw(rand io.Reader, b []byte) error {
	if _, err := io.ReadFull(rand, b); err != nil {
		return penstock.Errorf(penstock.Internal, "draw random bytes: %w", err)
	}
	return nil
}

type opener struct {
	fs          vfs.FS
	dir, kekDir string
	rand        io.Reader
}

// create makes the keys of a node. The KEK comes first: a crash before the
// keyring is named leaves a KEK that seals nothing, and the next start goes on
// with it.
func (o opener) create() (*Keyring, error) {
	if err := makeDir(o.fs, o.dir); err != nil {
		return nil, err
	}
	kek, err := o.readKEK()
	if errors.Is(err, fs.ErrNotExist) {
		kek, err = o.makeKEK()
	}
	if err != nil {
		return nil, err
	}
	var fresh [nodeSize + 8 + keySize]byte
	if err := draw(o.rand, fresh[:]); err != nil {
		return nil, err
	}
	c := contents{
		generation: 1,
		node:       [nodeSize]byte(fresh[:]),
		keys: []dataKey{{
			id:  binary.BigEndian.Uint64(fresh[nodeSize:]),
			key: [keySize]byte(fresh[nodeSize+8:]),
		}},
	}
	b, err := encode(c, kek, o.rand)
	if err != nil {
		return nil, err
	}
	for _, name := range copyNames {
		if err := writeFile(o.fs, o.dir, name, b); err != nil {
			return nil, err
		}
	}
	return &Keyring{node: c.node, keys: c.keys, rand: o.rand}, nil
}

func (o opener) makeKEK() (kek, error) {
	if err := makeDir(o.fs, o.kekDir); err != nil {
		return kek{}, err
	}
	var key [keySize]byte
	if err := draw(o.rand, key[:]); err != nil {
		return kek{}, err
	}
	k := newKEK(key)
	return k, writeFile(o.fs, o.kekDir, kekName, encodeKEK(k))
}

func (o opener) readKEK() (kek, error) {
	path := o.fs.PathJoin(o.kekDir, kekName)
	b, err := readFile(o.fs, path)
	if errors.Is(err, fs.ErrNotExist) {
		return kek{}, penstock.Errorf(penstock.Unauthenticated, "the key-encryption key is missing (%w): put it back from its backup", err)
	}
	if err != nil {
		return kek{}, err
	}
	k, err := parseKEK(b)
	if err != nil {
		return kek{}, penstock.Errorf(penstock.Corrupt, "the key-encryption key %s is damaged (%w): put it back from its backup", path, err)
	}
	return k, nil
}
