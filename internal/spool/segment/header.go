package segment

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
)

// The layout of a segment. All numbers in it are big endian.
const (
	Sector     = 512                     // frames begin on multiples of it
	HeaderSize = Sector                  // bytes of a header
	HeaderCopy = 4096                    // where the second copy of the header stands, in another page
	DataStart  = HeaderCopy + HeaderSize // where the first frame begins
)

// MaxBytes is the most that a segment has, and MaxEntries the most entries that
// fit into it: each takes two bytes at least.
const (
	MaxBytes   = 1 << 30
	MaxEntries = MaxBytes / 2
)

const (
	headerMagic = "PNSTKSEG"
	version     = 1
	purpose     = "spool segment"
)

// Align rounds up to whole sectors.
func Align(n int64) int64 { return (n + Sector - 1) / Sector * Sector }

// Header is what stands, twice, at the start of a segment.
type Header struct {
	Node     [16]byte
	Number   uint64            // never given twice to segments from which something was acknowledged
	First    penstock.Position // of its first entry; all before it are in earlier segments
	Previous uint64            // number of the segment that holds First-1, 0 for none
	Created  int64             // nanoseconds since 1970 UTC
	Stream   [keyring.HeaderSize]byte
}

// Encode returns the HeaderSize bytes of a header.
func (h Header) Encode() []byte {
	b := make([]byte, HeaderSize)
	copy(b, headerMagic)
	b[8] = version // 9 to 11 are zero, 12 to 15 the required features: none
	copy(b[16:], h.Node[:])
	binary.BigEndian.PutUint64(b[32:], h.Number)
	binary.BigEndian.PutUint64(b[40:], uint64(h.First))
	binary.BigEndian.PutUint64(b[48:], h.Previous)
	binary.BigEndian.PutUint64(b[56:], uint64(h.Created))
	copy(b[64:], h.Stream[:])
	binary.BigEndian.PutUint32(b[HeaderSize-4:], checksum(b[:HeaderSize-4]))
	return b
}

// DecodeHeader returns the header at the start of b. Codes: [penstock.Corrupt]
// for damage, [penstock.Unsupported] for a format that is newer than this build.
func DecodeHeader(b []byte) (Header, error) {
	var h Header
	if len(b) < HeaderSize || string(b[:len(headerMagic)]) != headerMagic {
		return h, penstock.Errorf(penstock.Corrupt, "it does not start as a segment")
	}
	b = b[:HeaderSize]
	if checksum(b[:HeaderSize-4]) != binary.BigEndian.Uint32(b[HeaderSize-4:]) {
		return h, penstock.Errorf(penstock.Corrupt, "the checksum of its header does not hold")
	}
	if features := binary.BigEndian.Uint32(b[12:]); b[8] != version || features != 0 {
		return h, penstock.Errorf(penstock.Unsupported, "it has version %d and features %08x, this build reads version %d: use the newer penstock that wrote it", b[8], features, version)
	}
	h = Header{
		Node:     [16]byte(b[16:]),
		Number:   binary.BigEndian.Uint64(b[32:]),
		First:    penstock.Position(binary.BigEndian.Uint64(b[40:])),
		Previous: binary.BigEndian.Uint64(b[48:]),
		Created:  int64(binary.BigEndian.Uint64(b[56:])),
		Stream:   [keyring.HeaderSize]byte(b[64:]),
	}
	if !bytes.Equal(h.Encode(), b) {
		return h, penstock.Errorf(penstock.Corrupt, "its header has bytes that this format does not have")
	}
	if h.Number == 0 || h.First == 0 {
		return h, penstock.Errorf(penstock.Corrupt, "its header has no number or no first position")
	}
	return h, nil
}

// eitherHeader returns the header from whichever copy is whole, and its bytes.
func eitherHeader(b []byte) (Header, []byte, error) {
	h, err := DecodeHeader(b)
	if err == nil {
		return h, b[:HeaderSize], nil
	}
	if len(b) >= DataStart {
		h, second := DecodeHeader(b[HeaderCopy:])
		if second == nil {
			return h, b[HeaderCopy:DataStart], nil
		}
		if penstock.CodeOf(second) == penstock.Unsupported {
			err = second
		}
	}
	return h, nil, err
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
