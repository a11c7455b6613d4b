package keyring

import (
	"bytes"
	"crypto/pbkdf2"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
)

// Key is a key-encryption key on its way to another place. It is a secret.
type Key struct{ kek kek }

// ReadKey reads the key-encryption key in kekDir.
func ReadKey(vs vfs.FS, kekDir string) (Key, error) {
	k, err := opener{fs: vs, kekDir: kekDir}.readKEK()
	return Key{k}, err
}

// ParseKey reads the text of a key-encryption key, as its file holds it. What is
// none has code [penstock.Corrupt].
func ParseKey(text []byte) (Key, error) {
	k, err := parseKEK(text)
	if err != nil {
		return Key{}, penstock.Errorf(penstock.Corrupt, "this is no key-encryption key: %w", err)
	}
	return Key{k}, nil
}

// Text returns the line that stands in the file of the key.
func (k Key) Text() []byte { return encodeKEK(k.kek) }

// ID returns what tells this key from others, and is no secret.
func (k Key) ID() string { return hex.EncodeToString(k.kek.id[:]) }

// Write makes the file of the key in kekDir. One that is there must be of the same key.
func (k Key) Write(vs vfs.FS, kekDir string) error {
	o := opener{fs: vs, kekDir: kekDir}
	if _, err := vs.Stat(vs.PathJoin(kekDir, kekName)); err == nil {
		there, err := o.readKEK()
		if err != nil {
			return err
		}
		if there.id != k.kek.id {
			return penstock.Errorf(penstock.Conflict, "%s holds the key-encryption key %x, another than %s: name another directory", kekDir, there.id, k.ID())
		}
		return nil
	}
	if err := makeDir(vs, kekDir); err != nil {
		return err
	}
	return writeFile(vs, kekDir, kekName, k.Text())
}

// LoadUnder is [Load] with a key that is given.
func LoadUnder(vs vfs.FS, dir string, k Key) (*Keyring, error) {
	o := opener{fs: vs, dir: dir, rand: cryptorand.Reader}
	copies := o.readCopies()
	if copies.missing() {
		return nil, penstock.Errorf(penstock.NotFound, "there is no keyring in %s", dir)
	}
	return o.loadUnder(&copies, k.kek)
}

// A wrapped key is a line of text: wrapPrefix, then in hexadecimal a salt, a nonce and
// the key sealed with XAES-256-GCM under PBKDF2-HMAC-SHA-256 of the passphrase.
const (
	wrapPrefix = "penstock-wrapped-kek-1 "
	wrapRounds = 1_000_000
	wrapSalt   = 32
	wrapLen    = wrapSalt + xaesNonceSize + keySize + gcmOverhead
)

// MinPassphrase is how many bytes a passphrase has at least.
const MinPassphrase = 12

// Wrap seals the key with a passphrase: a line of text that need not be kept secret as
// long as the passphrase is. A nil rand is the system's.
func (k Key) Wrap(passphrase []byte, rand io.Reader) ([]byte, error) {
	if len(passphrase) < MinPassphrase {
		return nil, penstock.Errorf(penstock.Invalid, "a passphrase has at least %d bytes", MinPassphrase)
	}
	b := make([]byte, wrapSalt+xaesNonceSize, wrapLen)
	if err := draw(randOr(rand), b); err != nil {
		return nil, err
	}
	under, err := stretch(passphrase, b[:wrapSalt])
	if err != nil {
		return nil, err
	}
	aead, short, err := xaes(under, [xaesNonceSize]byte(b[wrapSalt:]))
	if err != nil {
		return nil, penstock.Errorf(penstock.Internal, "wrap a key: %w", err)
	}
	return fmt.Appendf(nil, "%s%x\n", wrapPrefix, aead.Seal(b, short, k.kek.key[:], []byte(wrapPrefix))), nil
}

// Unwrap opens what [Key.Wrap] made. A wrong passphrase and damage are both
// [penstock.Unauthenticated].
func Unwrap(wrapped, passphrase []byte) (Key, error) {
	digits, ok := bytes.CutPrefix(bytes.TrimSpace(wrapped), []byte(wrapPrefix))
	b := make([]byte, wrapLen)
	if !ok || len(digits) != 2*wrapLen {
		return Key{}, penstock.Errorf(penstock.Corrupt, "this is no wrapped key: it does not start with %q, or has another length", wrapPrefix)
	}
	if _, err := hex.Decode(b, digits); err != nil {
		return Key{}, penstock.Errorf(penstock.Corrupt, "this is no wrapped key: %w", err)
	}
	under, err := stretch(passphrase, b[:wrapSalt])
	if err != nil {
		return Key{}, err
	}
	sealed := b[wrapSalt:]
	aead, short, err := xaes(under, [xaesNonceSize]byte(sealed))
	if err != nil {
		return Key{}, penstock.Errorf(penstock.Internal, "unwrap a key: %w", err)
	}
	plain, err := aead.Open(nil, short, sealed[xaesNonceSize:], []byte(wrapPrefix))
	if err != nil {
		return Key{}, penstock.Errorf(penstock.Unauthenticated, "the passphrase does not open the wrapped key")
	}
	return Key{newKEK([keySize]byte(plain))}, nil
}

func stretch(passphrase, salt []byte) (under [keySize]byte, err error) {
	b, err := pbkdf2.Key(sha256.New, string(passphrase), salt, wrapRounds, keySize)
	if err != nil {
		return under, penstock.Errorf(penstock.Internal, "stretch a passphrase: %w", err)
	}
	return [keySize]byte(b), nil
}
