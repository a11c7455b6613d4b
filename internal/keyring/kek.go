package keyring

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"

	"github.com/penstock/penstock"
)

// kekPrefix starts the one line of a KEK file; then come the key and its
// CRC-32C, in hexadecimal. It is text so that it can be kept on paper.
const kekPrefix = "penstock-kek-1 "

type kek struct {
	key [keySize]byte
	id  [8]byte // tells a wrong KEK from a damaged keyring
}

func newKEK(key [keySize]byte) kek {
	sum := sha256.Sum256(append([]byte("penstock kek id 1"), key[:]...))
	return kek{key: key, id: [8]byte(sum[:8])}
}

func encodeKEK(k kek) []byte {
	return fmt.Appendf(nil, "%s%x %08x\n", kekPrefix, k.key, kekSum(k.key))
}

func parseKEK(text []byte) (kek, error) {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(text), []byte(kekPrefix))
	if !ok {
		return kek{}, penstock.Errorf(penstock.Corrupt, "it does not start with %q", kekPrefix)
	}
	var b [keySize + 4]byte
	digits, sum, ok := bytes.Cut(rest, []byte(" "))
	if !ok || len(digits) != 2*keySize || len(sum) != 2*4 {
		return kek{}, penstock.Errorf(penstock.Corrupt, "it has not %d digits of key and 8 of checksum", 2*keySize)
	}
	if _, err := hex.Decode(b[:], append(bytes.Clone(digits), sum...)); err != nil {
		return kek{}, penstock.Errorf(penstock.Corrupt, "it is not hexadecimal")
	}
	key := [keySize]byte(b[:keySize])
	if fmt.Sprintf("%08x", kekSum(key)) != hex.EncodeToString(b[keySize:]) {
		return kek{}, penstock.Errorf(penstock.Corrupt, "its checksum does not hold")
	}
	return newKEK(key), nil
}

func kekSum(key [keySize]byte) uint32 {
	return crc32.Checksum(key[:], crc32.MakeTable(crc32.Castagnoli))
}
