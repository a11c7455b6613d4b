package head

import (
	"encoding/binary"
	"math"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/layout"
)

// A head batch is the journal of one Settle, in one value, so that it is there
// whole or not at all: version (1 byte), the position up to which all is settled
// (uvarint), then the entries. Everything that a flush later spreads over rows of
// its own (samples, settled sets, counters) can be had back from it. Versions 1 and 2,
// which no release wrote, had no length of rows and no decisions.
const journalVersion = 3

// AppendJournal writes the start of a head batch, to which entries are appended.
func AppendJournal(dst []byte, through penstock.Position) []byte {
	return binary.AppendUvarint(append(dst, journalVersion), uint64(through))
}

// Entry is what became of one report: controller (uvarint), a byte with the form
// of the identity, the settlement (from bit 2), whether conflicts and a row follow
// (bits 5, 6) and whether it was in quarantine until then (bit 7); epoch and seq when the form is a sequence; conflicts; length
// of the row, and the row, so that rows can be read apart from the entries.
type Entry struct {
	Controller uint32
	Settlement penstock.Settlement
	Sequence   bool // the identity is Epoch, Seq
	Epoch, Seq uint64
	Conflicts  uint64
	Resolved   bool   // it was in quarantine, and a person decided
	Row        []byte // nil when no sample was stored
}

const (
	entryForm      = 3
	entrySettled   = 2 // shift
	entryConflicts = 1 << 5
	entryRow       = 1 << 6
	entryResolved  = 1 << 7
)

// AppendEntry writes an entry.
func AppendEntry(dst []byte, e *Entry) []byte {
	dst = binary.AppendUvarint(dst, uint64(e.Controller))
	marks := byte(e.Settlement) << entrySettled
	if e.Sequence {
		marks |= byte(penstock.Sequence)
	}
	if e.Conflicts > 0 {
		marks |= entryConflicts
	}
	if len(e.Row) > 0 {
		marks |= entryRow
	}
	if e.Resolved {
		marks |= entryResolved
	}
	dst = append(dst, marks)
	if e.Sequence {
		dst = binary.AppendUvarint(dst, e.Epoch)
		dst = binary.AppendUvarint(dst, e.Seq)
	}
	if e.Conflicts > 0 {
		dst = binary.AppendUvarint(dst, e.Conflicts)
	}
	if len(e.Row) > 0 {
		dst = append(binary.AppendUvarint(dst, uint64(len(e.Row))), e.Row...)
	}
	return dst
}

func readEntry(r *layout.Reader) (e Entry, ok bool) {
	controller := r.Uvarint()
	marks := r.Byte()
	e.Controller = uint32(controller)
	e.Settlement = penstock.Settlement(marks >> entrySettled & 7)
	e.Sequence, e.Resolved = marks&entryForm == byte(penstock.Sequence), marks&entryResolved != 0
	if e.Sequence {
		e.Epoch, e.Seq = r.Uvarint(), r.Uvarint()
	}
	if marks&entryConflicts != 0 {
		e.Conflicts = r.Uvarint()
	}
	if marks&entryRow != 0 {
		if e.Row = r.Bytes(r.Uvarint()); len(e.Row) == 0 {
			return e, false
		}
	}
	return e, !r.Bad && controller <= math.MaxUint32 && e.Settlement >= penstock.Stored && e.Settlement <= penstock.Discarded
}

// ReadJournal reads a head batch and gives each entry, whose row is part of b.
func ReadJournal(b []byte, each func(e *Entry) error) (penstock.Position, error) {
	if len(b) == 0 {
		return 0, layout.Damaged("head batches")
	}
	if b[0] != journalVersion {
		return 0, penstock.Errorf(penstock.Unsupported, "a head batch has version %d, this program reads version %d: run the program that wrote it", b[0], journalVersion)
	}
	r := layout.Reader{B: b[1:]}
	through := penstock.Position(r.Uvarint())
	for len(r.B) > 0 {
		e, ok := readEntry(&r)
		if !ok {
			return 0, layout.Damaged("head batches")
		}
		if err := each(&e); err != nil {
			return 0, err
		}
	}
	if r.Bad {
		return 0, layout.Damaged("head batches")
	}
	return through, nil
}
