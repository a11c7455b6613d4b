package spool

import (
	"encoding/binary"

	"github.com/penstock/penstock"
)

// Entry is one thing to keep: Data, and what it was in a few bytes. The digest
// is written a second time in the frame that follows, so that it is known what
// a rotten frame held.
type Entry struct {
	Data   []byte
	Digest []byte // at most MaxDigest bytes
}

// digests are those of the last batch frame before some frame.
type digests struct {
	first penstock.Position
	each  [][]byte
}

func (d digests) end() penstock.Position { return d.first + penstock.Position(len(d.each)) }

// origin is why a segment was opened, and what it follows. Recovery does not
// need it, the header says enough; it is for people who look.
type origin struct {
	why      openingReason
	previous uint64            // the segment written before, 0 for none
	frame    uint64            // the last frame that counts in it
	through  penstock.Position // the last position that counts in it or before
}

type openingReason uint8

const (
	openedFirst    openingReason = 1 // an empty directory
	openedFull     openingReason = 2 // the segment before was full
	openedFailed   openingReason = 3 // a write or sync of the segment before failed: what it holds beyond through is void
	openedRecovery openingReason = 4 // a new process
)

func (w openingReason) String() string {
	switch w {
	case openedFirst:
		return "first start"
	case openedFull:
		return "segment before was full"
	case openedFailed:
		return "segment before failed"
	case openedRecovery:
		return "start of a process"
	}
	return "unknown"
}

// A payload is: the digests of the last batch before, with their length, and
// then, in a batch, the entries, in an opening, the origin.

func appendDigests(b []byte, first penstock.Position, entries []Entry) []byte {
	b = binary.AppendUvarint(b, uint64(first))
	b = binary.AppendUvarint(b, uint64(len(entries)))
	for _, e := range entries {
		b = appendBytes(b, e.Digest)
	}
	return b
}

func appendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func appendEntry(b []byte, e Entry) []byte { return appendBytes(appendBytes(b, e.Data), e.Digest) }

// entrySize is the most that an entry encodes to.
func entrySize(e Entry) int64 {
	return int64(len(e.Data)) + int64(len(e.Digest)) + 2*binary.MaxVarintLen32
}

func appendOrigin(b []byte, o origin) []byte {
	b = append(b, byte(o.why))
	b = binary.BigEndian.AppendUint64(b, o.previous)
	b = binary.BigEndian.AppendUint64(b, o.frame)
	return binary.BigEndian.AppendUint64(b, uint64(o.through))
}

// payload is a decoded payload. Its slices are parts of what was decoded.
type payload struct {
	raw     []byte // the digests as encoded, to be carried on
	digests digests
	entries []Entry
	origin  origin
}

func decodePayload(h frameHead, b []byte) (payload, error) {
	var p payload
	d := decoder{b: b}
	p.raw = d.bytes()
	p.digests = decodeDigests(&d, p.raw, h.first)
	switch h.typ {
	case batch:
		p.entries = make([]Entry, 0, min(int(h.count), len(b)/2+1))
		for i := uint32(0); i < h.count && !d.bad; i++ {
			p.entries = append(p.entries, Entry{Data: d.bytes(), Digest: d.bytes()})
		}
	case opening:
		p.origin = origin{why: openingReason(d.byte()), previous: d.uint64(), frame: d.uint64(), through: penstock.Position(d.uint64())}
	}
	if d.bad || len(d.b) != 0 {
		return p, penstock.Errorf(penstock.Corrupt, "the %s frame %d does not hold what its header says", h.typ, h.number)
	}
	return p, nil
}

// decodeDigests reads digests that must end where the frame begins.
func decodeDigests(outer *decoder, b []byte, before penstock.Position) digests {
	if len(b) == 0 {
		return digests{}
	}
	d := decoder{b: b}
	out := digests{first: penstock.Position(d.uvarint())}
	count := d.uvarint()
	if count > uint64(len(d.b)) {
		outer.bad = true
		return digests{}
	}
	out.each = make([][]byte, 0, count)
	for range count {
		out.each = append(out.each, d.bytes())
	}
	if d.bad || len(d.b) != 0 || out.end() != before {
		outer.bad = true
		return digests{}
	}
	return out
}

// decoder reads from b; after the first thing that is not there it is bad and
// returns zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes() []byte { return d.take(d.uvarint()) }

func (d *decoder) byte() byte {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if v := d.take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}
