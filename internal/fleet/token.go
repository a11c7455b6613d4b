package fleet

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"io"
	"strings"

	"github.com/penstock/penstock"
)

// A token is "pst_", the credential's public id, "_" and 256 random bits, in an
// alphabet that a double click selects whole and that needs no quoting anywhere.
const (
	tokenPrefix = "pst_"
	idBytes     = 8
	idLength    = 13 // base32 of idBytes
	secretBytes = 32
	tokenLength = len(tokenPrefix) + idLength + 1 + 52
)

var tokenAlphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// digest is how a token is kept. A fast hash is right here: slow ones protect
// secrets that people choose, and no one can try 2^256 tokens at any speed.
type digest [sha256.Size]byte

func digestOf(token string) digest {
	var room [2 * tokenLength]byte
	return sha256.Sum256(append(room[:0], token...)) // no garbage for a token that is one
}

// drawn is the random part of a credential: the bytes of its id, then its secret.
type drawn [idBytes + secretBytes]byte

func drawSecret(random io.Reader) (*drawn, error) {
	d := new(drawn)
	if _, err := io.ReadFull(random, d[:]); err != nil {
		return nil, penstock.Errorf(penstock.Internal, "no random bytes for a credential: %w", err)
	}
	return d, nil
}

func (d *drawn) number() uint64   { return binary.BigEndian.Uint64(d[:idBytes]) }
func (d *drawn) publicID() string { return tokenAlphabet.EncodeToString(d[:idBytes]) }
func (d *drawn) secret() []byte   { return d[idBytes:] }

func (d *drawn) token() string {
	return tokenPrefix + d.publicID() + "_" + tokenAlphabet.EncodeToString(d.secret())
}

// idOf returns the public id in a token, and false when it cannot be a token.
func idOf(token string) (string, bool) {
	end := len(tokenPrefix) + idLength
	if len(token) != tokenLength || !strings.HasPrefix(token, tokenPrefix) || token[end] != '_' {
		return "", false
	}
	return token[len(tokenPrefix):end], true
}

// idNumber returns the number that an id stands for in a key of the table.
func idNumber(id string) (uint64, bool) {
	b, err := tokenAlphabet.DecodeString(id)
	if err != nil || len(b) != idBytes {
		return 0, false
	}
	return binary.BigEndian.Uint64(b), true
}

func numberID(n uint64) string {
	return tokenAlphabet.EncodeToString(binary.BigEndian.AppendUint64(nil, n))
}
