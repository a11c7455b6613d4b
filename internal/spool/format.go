package spool

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
)

// The format of a segment; DESIGN.md has it as a table. All numbers are big endian.
const (
	sector       = 512
	headerSize   = sector
	headerCopy   = 4096 // the second copy of the header stands in another page
	dataStart    = headerCopy + headerSize
	frameHeader  = 64
	segmentMagic = "PNSTKSEG"
	frameMagic   = "PFRM"
	version      = 1
	purpose      = "spool segment"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// align rounds up to whole sectors.
func align(n int64) int64 { return (n + sector - 1) / sector * sector }

// segmentHeader is what stands, twice, at the start of a segment.
type segmentHeader struct {
	node     [16]byte
	number   uint64            // never given twice to segments from which something was acknowledged
	first    penstock.Position // of its first entry; all before it are in earlier segments
	previous uint64            // number of the segment that holds first-1, 0 for none
	created  int64             // nanoseconds since 1970 UTC
	stream   [keyring.HeaderSize]byte
}

func (h segmentHeader) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, segmentMagic)
	b[8] = version // 9 to 11 are zero, 12 to 15 the required features: none
	copy(b[16:], h.node[:])
	binary.BigEndian.PutUint64(b[32:], h.number)
	binary.BigEndian.PutUint64(b[40:], uint64(h.first))
	binary.BigEndian.PutUint64(b[48:], h.previous)
	binary.BigEndian.PutUint64(b[56:], uint64(h.created))
	copy(b[64:], h.stream[:])
	binary.BigEndian.PutUint32(b[headerSize-4:], crc32.Checksum(b[:headerSize-4], castagnoli))
	return b
}

// decodeSegmentHeader returns Corrupt for damage and Unsupported for a format
// that is newer than this build.
func decodeSegmentHeader(b []byte) (segmentHeader, error) {
	var h segmentHeader
	if len(b) < headerSize || string(b[:len(segmentMagic)]) != segmentMagic {
		return h, penstock.Errorf(penstock.Corrupt, "it does not start as a segment")
	}
	b = b[:headerSize]
	if crc32.Checksum(b[:headerSize-4], castagnoli) != binary.BigEndian.Uint32(b[headerSize-4:]) {
		return h, penstock.Errorf(penstock.Corrupt, "the checksum of its header does not hold")
	}
	if features := binary.BigEndian.Uint32(b[12:]); b[8] != version || features != 0 {
		return h, penstock.Errorf(penstock.Unsupported, "it has version %d and features %08x, this build reads version %d: use the newer penstock that wrote it", b[8], features, version)
	}
	h.node = [16]byte(b[16:])
	h.number = binary.BigEndian.Uint64(b[32:])
	h.first = penstock.Position(binary.BigEndian.Uint64(b[40:]))
	h.previous = binary.BigEndian.Uint64(b[48:])
	h.created = int64(binary.BigEndian.Uint64(b[56:]))
	h.stream = [keyring.HeaderSize]byte(b[64:])
	if !bytes.Equal(h.encode(), b) {
		return h, penstock.Errorf(penstock.Corrupt, "its header has bytes that this format does not have")
	}
	if h.number == 0 || h.first == 0 {
		return h, penstock.Errorf(penstock.Corrupt, "its header has no number or no first position")
	}
	return h, nil
}

// frameType says what a frame holds. The numbers are part of the format.
type frameType uint8

const (
	opening frameType = 1 // the first of a segment: what it follows
	batch   frameType = 2 // entries
	mark    frameType = 3 // nothing but through where the segment is synced
	seal    frameType = 4 // the last of a segment that was closed in order
)

func (t frameType) String() string {
	switch t {
	case opening:
		return "opening"
	case batch:
		return "batch"
	case mark:
		return "mark"
	case seal:
		return "seal"
	}
	return "unknown"
}

// frameHead is the clear part of a frame.
type frameHead struct {
	typ     frameType
	length  uint32            // of the sealed payload that follows
	count   uint32            // entries; 0 unless a batch
	number  uint64            // 1, 2, 3 … in its segment
	first   penstock.Position // of its first entry, or of the next entry to come
	acked   uint64            // through this frame everything was synced when it was written
	time    int64             // nanoseconds since 1970 UTC
	segment uint64            // so that no frame passes for one of another segment
}

// size is what the frame takes up.
func (h frameHead) size() int64 { return align(frameHeader + int64(h.length)) }

// end is the position after its last entry.
func (h frameHead) end() penstock.Position { return h.first + penstock.Position(h.count) }

// put writes the header over the first frameHeader bytes of b.
func (h frameHead) put(b []byte) {
	copy(b, frameMagic)
	b[4] = byte(h.typ)
	b[5], b[6], b[7] = 0, 0, 0 // flags: none
	binary.BigEndian.PutUint32(b[8:], h.length)
	binary.BigEndian.PutUint32(b[12:], h.count)
	binary.BigEndian.PutUint64(b[16:], h.number)
	binary.BigEndian.PutUint64(b[24:], uint64(h.first))
	binary.BigEndian.PutUint64(b[32:], h.acked)
	binary.BigEndian.PutUint64(b[40:], uint64(h.time))
	binary.BigEndian.PutUint64(b[48:], h.segment)
	binary.BigEndian.PutUint32(b[56:], 0)
	binary.BigEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
}

// decodeFrameHead tells whether b starts with a whole header of a frame of the
// segment.
func decodeFrameHead(b []byte, segment uint64) (frameHead, bool) {
	if len(b) < frameHeader || string(b[:len(frameMagic)]) != frameMagic ||
		crc32.Checksum(b[:60], castagnoli) != binary.BigEndian.Uint32(b[60:]) {
		return frameHead{}, false
	}
	h := frameHead{
		typ:     frameType(b[4]),
		length:  binary.BigEndian.Uint32(b[8:]),
		count:   binary.BigEndian.Uint32(b[12:]),
		number:  binary.BigEndian.Uint64(b[16:]),
		first:   penstock.Position(binary.BigEndian.Uint64(b[24:])),
		acked:   binary.BigEndian.Uint64(b[32:]),
		time:    int64(binary.BigEndian.Uint64(b[40:])),
		segment: binary.BigEndian.Uint64(b[48:]),
	}
	ok := h.segment == segment && h.typ >= opening && h.typ <= seal && h.number > 0 && h.acked < h.number &&
		h.length >= keyring.Overhead && (h.count == 0 || h.typ == batch) && h.end() >= h.first
	return h, ok
}

// cipherOf seals and opens the frames of one segment.
type cipherOf struct {
	stream *keyring.Stream
	hash   [sha256.Size]byte // of the segment's header
}

func newCipher(s *keyring.Stream, header []byte) *cipherOf {
	return &cipherOf{stream: s, hash: sha256.Sum256(header)}
}

// aad binds a payload to its segment's header and its own.
func (c *cipherOf) aad(head []byte) []byte {
	return append(append(make([]byte, 0, sha256.Size+frameHeader), c.hash[:]...), head[:frameHeader]...)
}

// appendFrame appends the frame with the payload that build appends, padded to
// whole sectors, and returns its head, whose length it sets.
func (c *cipherOf) appendFrame(b []byte, h frameHead, build func([]byte) []byte) ([]byte, frameHead) {
	start := len(b)
	b = append(b, make([]byte, frameHeader)...)
	b = build(b)
	h.length = uint32(len(b) - start - frameHeader + keyring.Overhead)
	h.put(b[start:])
	payload := b[start+frameHeader:]
	b = c.stream.Seal(b[:start+frameHeader], h.number, payload, c.aad(b[start:]))
	pad := int(align(int64(len(b)-start))) - (len(b) - start)
	return append(b, make([]byte, pad)...), h
}

// open returns the payload of a frame, whose bytes are given from its header on.
func (c *cipherOf) open(h frameHead, frame []byte) ([]byte, error) {
	return c.stream.Open(nil, h.number, frame[frameHeader:frameHeader+int(h.length)], c.aad(frame))
}
