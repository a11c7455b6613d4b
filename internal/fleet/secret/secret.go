// Package secret makes the secrets of credentials, tokens and keys, and knows their
// forms.
package secret

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/penstock/penstock"
)

// A token is "pst_", the credential's public id, "_" and 256 random bits, in an
// alphabet that a double click selects whole and that needs no quoting anywhere.
const (
	TokenPrefix = "pst_"
	TokenLength = len(TokenPrefix) + idLength + 1 + 52

	idBytes  = 8
	idLength = 13 // base32 of idBytes
)

// Size is the number of bytes of a secret.
const Size = 32

var tokenAlphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Digest is how a token is kept. A fast hash is right here: slow ones protect
// secrets that people choose, and no one can try 2^256 tokens at any speed.
type Digest [sha256.Size]byte

// DigestOf returns the digest of a token.
func DigestOf(token string) Digest {
	var room [2 * TokenLength]byte
	return sha256.Sum256(append(room[:0], token...)) // no garbage for a token that is one
}

// Drawn is the random part of a credential: the bytes of its id, then its secret.
type Drawn [idBytes + Size]byte

// Draw reads the random part of a new credential.
func Draw(random io.Reader) (*Drawn, error) {
	d := new(Drawn)
	if _, err := io.ReadFull(random, d[:]); err != nil {
		return nil, penstock.Errorf(penstock.Internal, "no random bytes for a credential: %w", err)
	}
	return d, nil
}

// Number is the id as it stands in a key.
func (d *Drawn) Number() uint64 { return binary.BigEndian.Uint64(d[:idBytes]) }

// PublicID is the id as it stands in a token.
func (d *Drawn) PublicID() string { return tokenAlphabet.EncodeToString(d[:idBytes]) }

// Secret is what nobody else knows.
func (d *Drawn) Secret() []byte { return d[idBytes:] }

// Token returns the token.
func (d *Drawn) Token() string {
	return TokenPrefix + d.PublicID() + "_" + tokenAlphabet.EncodeToString(d.Secret())
}

// IDOf returns the public id in a token, and false when it cannot be a token.
func IDOf(token string) (string, bool) {
	end := len(TokenPrefix) + idLength
	if len(token) != TokenLength || !strings.HasPrefix(token, TokenPrefix) || token[end] != '_' {
		return "", false
	}
	return token[len(TokenPrefix):end], true
}

// IDNumber returns the number that an id stands for in a key of the table.
func IDNumber(id string) (uint64, bool) {
	b, err := tokenAlphabet.DecodeString(id)
	if err != nil || len(b) != idBytes {
		return 0, false
	}
	return binary.BigEndian.Uint64(b), true
}

// NumberID returns the id that a number stands for.
func NumberID(n uint64) string {
	return tokenAlphabet.EncodeToString(binary.BigEndian.AppendUint64(nil, n))
}

// FormatKey returns a key as people carry it to a controller: the number of its
// id and its secret in hexadecimal, 16 and 64 digits with a colon between. A
// microcontroller takes both as they stand.
func FormatKey(id uint64, secret []byte) string {
	return fmt.Sprintf("%016x:%s", id, hex.EncodeToString(secret))
}
