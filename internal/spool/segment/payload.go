package segment

import (
	"encoding/binary"

	"github.com/penstock/penstock"
)

// Entry is one thing to keep: Data, and what it was in a few bytes. The digest
// is written a second time in the frame that follows, so that it is known what
// a rotten frame held.
type Entry struct {
	Data   []byte
	Digest []byte // at most 255 bytes
}

// Size is the most that the entry encodes to.
func (e Entry) Size() int64 {
	return int64(len(e.Data)) + int64(len(e.Digest)) + 2*binary.MaxVarintLen32
}

// Digests are those of the entries from First on.
type Digests struct {
	First penstock.Position
	Each  [][]byte
}

// End is the position after the last of them.
func (d Digests) End() penstock.Position { return d.First + penstock.Position(len(d.Each)) }

// Known returns from which position on, of those from next to before end, the
// digests are these; end when none are.
func (d Digests) Known(next, end penstock.Position) penstock.Position {
	if len(d.Each) == 0 || d.End() != end {
		return end
	}
	return max(d.First, next)
}

// Origin is why a segment was opened, and what it follows. Recovery does not
// need it, the header says enough; it is for people who look.
type Origin struct {
	Why      Reason
	Previous uint64            // the segment written before, 0 for none
	Frame    uint64            // the last frame that counts in it
	Through  penstock.Position // the last position that counts in it or before
}

// Reason is why a segment was opened. The numbers are part of the format.
type Reason uint8

// The reasons.
const (
	First     Reason = 1 // an empty directory
	Full      Reason = 2 // the segment before was full
	Failed    Reason = 3 // a write or sync of the segment before failed: what it holds beyond Through is void
	Restarted Reason = 4 // a new process
	Repaired  Reason = 5 // a repair: it stands for what is lost, and holds nothing
)

// String tells the reason.
func (r Reason) String() string {
	switch r {
	case First:
		return "first start"
	case Full:
		return "the segment before was full"
	case Failed:
		return "the segment before failed"
	case Restarted:
		return "start of a process"
	case Repaired:
		return "a repair, for what is lost"
	}
	return "unknown"
}

// A payload is: the digests of the last batch before, with their length, and
// then, in a batch, the entries, in an opening, the origin.

// EncodeDigests encodes the digests of a batch, to be carried by the frames
// that follow.
func EncodeDigests(first penstock.Position, entries []Entry) []byte {
	b := binary.AppendUvarint(nil, uint64(first))
	b = binary.AppendUvarint(b, uint64(len(entries)))
	for _, e := range entries {
		b = appendBytes(b, e.Digest)
	}
	return b
}

func appendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func appendOrigin(b []byte, o Origin) []byte {
	b = append(b, byte(o.Why))
	b = binary.BigEndian.AppendUint64(b, o.Previous)
	b = binary.BigEndian.AppendUint64(b, o.Frame)
	return binary.BigEndian.AppendUint64(b, uint64(o.Through))
}

// Payload is what a frame holds. Its slices are parts of one buffer.
type Payload struct {
	Before  []byte  // the digests of the last batch before, as encoded
	Digests Digests // the same, decoded
	Entries []Entry
	Origin  Origin // of an opening
}

func decodePayload(h Head, b []byte) (Payload, bool) {
	d := decoder{b: b}
	p := Payload{Before: d.bytes()}
	p.Digests = d.digests(p.Before, h.First)
	switch h.Type {
	case Batch:
		p.Entries = make([]Entry, 0, min(int(h.Count), len(b)/2+1))
		for i := uint32(0); i < h.Count && !d.bad; i++ {
			p.Entries = append(p.Entries, Entry{Data: d.bytes(), Digest: d.bytes()})
		}
	case Opening:
		p.Origin = Origin{Why: Reason(d.byte()), Previous: d.uint64(), Frame: d.uint64(), Through: penstock.Position(d.uint64())}
	}
	return p, !d.bad && len(d.b) == 0
}

// decoder reads from b; after the first thing that is not there it is bad and
// returns zeros.
type decoder struct {
	b   []byte
	bad bool
}

// digests decodes digests, which must end where the frame begins.
func (d *decoder) digests(b []byte, before penstock.Position) Digests {
	if len(b) == 0 {
		return Digests{}
	}
	in := decoder{b: b}
	out := Digests{First: penstock.Position(in.uvarint())}
	count := in.uvarint()
	if count <= uint64(len(in.b)) {
		out.Each = make([][]byte, 0, count)
		for range count {
			out.Each = append(out.Each, in.bytes())
		}
	}
	if in.bad || len(in.b) != 0 || uint64(len(out.Each)) != count || out.End() > before {
		d.bad = true
		return Digests{}
	}
	return out
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
