package ledger

import (
	"encoding/binary"

	"github.com/penstock/penstock"
)

// EntryKind says what an entry of the spool tells the ledger. The numbers are
// part of the format on disk.
type EntryKind uint8

// The kinds of entry.
const (
	EntryReport   EntryKind = 1 // a report was accepted
	EntryFiltered EntryKind = 2 // a report was accepted and dropped on purpose by a step
	EntryRefused  EntryKind = 3 // a report with a sequence was refused for its content: it fills its place
	EntryLost     EntryKind = 4 // the controller declared seq to Last lost: they fill their places
	EntryTally    EntryKind = 5 // duplicates and rejections, counted
	EntryDamaged  EntryKind = 6 // a report that was accepted cannot be read any more: it is asked for again
	EntryDecision EntryKind = 7 // what a person decided about a report in quarantine
)

// Entry is one fact in the spool, as far as the ledger is concerned.
type Entry struct {
	Kind        EntryKind
	Controller  string // empty in a tally of input that names no controller
	Identity    penstock.Identity
	Fingerprint penstock.Fingerprint // EntryReport, EntryFiltered
	Reason      penstock.Reason      // EntryRefused
	Last        uint64               // EntryLost: the last seq of the range
	Position    penstock.Position    // EntryDamaged: where the report stood
	Duplicates  uint64               // EntryTally
	Rejections  []Rejection          // EntryTally
	Verb        penstock.Verb        // EntryDecision
	Number      uint64               // EntryDecision: of the report in the quarantine
	Sink        string               // EntryDecision: whose quarantine; empty for that of the system of record
}

// Rejection counts rejections for one reason.
type Rejection struct {
	Reason penstock.Reason
	Count  uint64
}

// AppendBinary appends the entry in its format on disk: the kind, then the
// fields that the kind has, in the order of [Entry].
func (e *Entry) AppendBinary(dst []byte) []byte {
	dst = append(dst, byte(e.Kind))
	dst = appendString(dst, e.Controller)
	switch e.Kind {
	case EntryTally:
		dst = binary.AppendUvarint(dst, e.Duplicates)
		dst = binary.AppendUvarint(dst, uint64(len(e.Rejections)))
		for _, r := range e.Rejections {
			dst = appendString(dst, string(r.Reason))
			dst = binary.AppendUvarint(dst, r.Count)
		}
		return dst
	case EntryDecision:
		return appendString(binary.AppendUvarint(append(dst, byte(e.Verb)), e.Number), e.Sink)
	}
	dst = appendIdentity(dst, e.Identity)
	switch e.Kind {
	case EntryReport, EntryFiltered:
		dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Fingerprint))
	case EntryRefused:
		dst = appendString(dst, string(e.Reason))
	case EntryLost:
		dst = binary.AppendUvarint(dst, e.Last)
	case EntryDamaged:
		dst = binary.AppendUvarint(dst, uint64(e.Position))
	}
	return dst
}

// DecodeEntry reads one entry that fills b. Its strings are copies.
func DecodeEntry(b []byte) (Entry, error) {
	d := decoder{rest: b}
	e := Entry{Kind: EntryKind(d.byte()), Controller: d.string()}
	switch e.Kind {
	case EntryReport, EntryFiltered:
		e.Identity = d.identity()
		e.Fingerprint = penstock.Fingerprint(d.fixed64())
	case EntryRefused:
		e.Identity = d.identity()
		e.Reason = penstock.Reason(d.string())
	case EntryLost:
		e.Identity = d.identity()
		e.Last = d.uvarint()
	case EntryTally:
		e.Duplicates = d.uvarint()
		e.Rejections = d.rejections()
	case EntryDamaged:
		e.Identity = d.identity()
		e.Position = penstock.Position(d.uvarint())
	case EntryDecision:
		e.Verb = penstock.Verb(d.byte())
		e.Number = d.uvarint()
		e.Sink = d.string()
	default:
		return Entry{}, penstock.Errorf(penstock.Unsupported, "ledger: entry of kind %d is unknown", e.Kind)
	}
	if d.failed || len(d.rest) > 0 {
		return Entry{}, penstock.Errorf(penstock.Corrupt, "ledger: malformed entry of kind %d", e.Kind)
	}
	return e, nil
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendIdentity(dst []byte, id penstock.Identity) []byte {
	dst = append(dst, byte(id.Form))
	switch id.Form {
	case penstock.Sequence:
		dst = binary.AppendUvarint(dst, id.Epoch)
		dst = binary.AppendUvarint(dst, id.Seq)
	case penstock.Keyed:
		dst = appendString(dst, id.Key)
	}
	return dst
}

// decoder reads the parts of an entry or a snapshot. After a part that is not
// there it has failed, and every further part is zero.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) fail() { d.rest, d.failed = nil, true }

func (d *decoder) byte() byte {
	if len(d.rest) < 1 {
		d.fail()
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) fixed64() uint64 {
	if len(d.rest) < 8 {
		d.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(d.rest)
	d.rest = d.rest[8:]
	return v
}

func (d *decoder) string() string {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.fail()
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

// count reads how many parts follow, each of at least one byte.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) identity() penstock.Identity {
	id := penstock.Identity{Form: penstock.IdentityForm(d.byte())}
	switch id.Form {
	case penstock.Sequence:
		id.Epoch = d.uvarint()
		id.Seq = d.uvarint()
	case penstock.Keyed:
		id.Key = d.string()
	case penstock.Natural:
	default:
		d.fail()
	}
	return id
}

func (d *decoder) rejections() []Rejection {
	n := d.count()
	if n == 0 {
		return nil
	}
	rs := make([]Rejection, n)
	for i := range rs {
		rs[i] = Rejection{Reason: penstock.Reason(d.string()), Count: d.uvarint()}
	}
	return rs
}
