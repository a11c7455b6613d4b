package segment

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
)

// FrameHeaderSize is the length of the clear part of a frame.
const FrameHeaderSize = 64

const frameMagic = "PFRM"

// Type says what a frame holds. The numbers are part of the format.
type Type uint8

// The types of frame.
const (
	Opening Type = 1 // the first of a segment: what it follows
	Batch   Type = 2 // entries
	Mark    Type = 3 // nothing but through where the segment is synced
	Seal    Type = 4 // the last of a segment that was closed in order
)

// String returns the type's name.
func (t Type) String() string {
	switch t {
	case Opening:
		return "opening"
	case Batch:
		return "batch"
	case Mark:
		return "mark"
	case Seal:
		return "seal"
	}
	return "unknown"
}

// Head is the clear part of a frame.
type Head struct {
	Type    Type
	Length  uint32            // of the sealed payload that follows
	Count   uint32            // entries; 0 unless a batch
	Number  uint64            // 1, 2, 3 … in its segment
	First   penstock.Position // of its first entry, or of the next entry to come
	Acked   uint64            // through this frame everything was synced when it was written
	Time    int64             // nanoseconds since 1970 UTC
	Segment uint64            // so that no frame passes for one of another segment
}

// Size is what the frame takes up, with its padding.
func (h Head) Size() int64 { return Align(FrameHeaderSize + int64(h.Length)) }

// End is the position after its last entry.
func (h Head) End() penstock.Position { return h.First + penstock.Position(h.Count) }

// put writes the head over the first FrameHeaderSize bytes of b.
func (h Head) put(b []byte) {
	copy(b, frameMagic)
	b[4] = byte(h.Type)
	b[5], b[6], b[7] = 0, 0, 0
	binary.BigEndian.PutUint32(b[8:], h.Length)
	binary.BigEndian.PutUint32(b[12:], h.Count)
	binary.BigEndian.PutUint64(b[16:], h.Number)
	binary.BigEndian.PutUint64(b[24:], uint64(h.First))
	binary.BigEndian.PutUint64(b[32:], h.Acked)
	binary.BigEndian.PutUint64(b[40:], uint64(h.Time))
	binary.BigEndian.PutUint64(b[48:], h.Segment)
	binary.BigEndian.PutUint32(b[56:], 0)
	binary.BigEndian.PutUint32(b[60:], checksum(b[:60]))
}

// decodeHead tells whether b starts with a whole head of a frame of the segment.
func decodeHead(b []byte, segment uint64) (Head, bool) {
	if len(b) < FrameHeaderSize || string(b[:len(frameMagic)]) != frameMagic || checksum(b[:60]) != binary.BigEndian.Uint32(b[60:]) {
		return Head{}, false
	}
	h := Head{
		Type:    Type(b[4]),
		Length:  binary.BigEndian.Uint32(b[8:]),
		Count:   binary.BigEndian.Uint32(b[12:]),
		Number:  binary.BigEndian.Uint64(b[16:]),
		First:   penstock.Position(binary.BigEndian.Uint64(b[24:])),
		Acked:   binary.BigEndian.Uint64(b[32:]),
		Time:    int64(binary.BigEndian.Uint64(b[40:])),
		Segment: binary.BigEndian.Uint64(b[48:]),
	}
	ok := h.Segment == segment && h.Type >= Opening && h.Type <= Seal && h.Number > 0 && h.Acked < h.Number &&
		h.Length >= keyring.Overhead && (h.Count == 0 || h.Type == Batch) && h.End() >= h.First
	return h, ok
}

// Cipher seals and opens the frames of one segment.
type Cipher struct {
	stream *keyring.Stream
	hash   [sha256.Size]byte // of the segment's header
}

// NewCipher returns the cipher of the segment that begins with header.
func NewCipher(s *keyring.Stream, header []byte) *Cipher {
	return &Cipher{stream: s, hash: sha256.Sum256(header)}
}

// NewStream returns a stream for a new segment, with a key of its own.
func NewStream(k *keyring.Keyring) (*keyring.Stream, error) { return k.NewStream(purpose) }

// Overhead is the most that a batch has beside its entries, the digests before
// them and its padding.
const Overhead = FrameHeaderSize + keyring.Overhead + binary.MaxVarintLen64

// AppendBatch appends a batch of entries, with the encoded digests of the batch
// before. It sets the head's length.
func (c *Cipher) AppendBatch(b []byte, h Head, before []byte, entries []Entry) []byte {
	b, start := begin(b)
	b = appendBytes(b, before)
	for _, e := range entries {
		b = appendBytes(appendBytes(b, e.Data), e.Digest)
	}
	return c.finish(b, start, h)
}

// AppendControl appends a mark or a seal.
func (c *Cipher) AppendControl(b []byte, h Head, before []byte) []byte {
	b, start := begin(b)
	return c.finish(appendBytes(b, before), start, h)
}

// AppendOpening appends the opening of a segment.
func (c *Cipher) AppendOpening(b []byte, h Head, before []byte, o Origin) []byte {
	b, start := begin(b)
	return c.finish(appendOrigin(appendBytes(b, before), o), start, h)
}

// begin leaves room for the head of a frame.
func begin(b []byte) ([]byte, int) {
	return append(b, make([]byte, FrameHeaderSize)...), len(b)
}

// finish seals the payload of the frame that begins at start, and pads it.
func (c *Cipher) finish(b []byte, start int, h Head) []byte {
	h.Length = uint32(len(b) - start - FrameHeaderSize + keyring.Overhead)
	h.put(b[start:])
	b = c.stream.Seal(b[:start+FrameHeaderSize], h.Number, b[start+FrameHeaderSize:], c.bound(b[start:]))
	pad := start + int(h.Size()) - len(b)
	return append(b, make([]byte, pad)...)
}

// bound is what a payload's seal is bound to: its segment and its head.
func (c *Cipher) bound(head []byte) []byte {
	return append(append(make([]byte, 0, sha256.Size+FrameHeaderSize), c.hash[:]...), head[:FrameHeaderSize]...)
}

// open returns the payload of a frame, whose bytes are given from its head on.
func (c *Cipher) open(h Head, frame []byte) ([]byte, error) {
	return c.stream.Open(nil, h.Number, frame[FrameHeaderSize:FrameHeaderSize+int(h.Length)], c.bound(frame))
}
