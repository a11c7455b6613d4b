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
// its own (samples, settled sets, counters) can be had back from it.
const journalVersion = 1

// AppendJournal writes the start of a head batch, to which entries are appended.
func AppendJournal(dst []byte, through penstock.Position) []byte {
	return binary.AppendUvarint(append(dst, journalVersion), uint64(through))
}

// Entry is what became of one report: controller (uvarint), a byte with the form
// of the identity, the settlement (from bit 2) and whether conflicts and a row
// follow (bits 4, 5); epoch and seq when the form is a sequence; conflicts; row.
type Entry struct {
	Controller uint32
	Settlement penstock.Settlement
	Sequence   bool // the identity is Epoch, Seq
	Epoch, Seq uint64
	Conflicts  uint64
	Row        []byte // when read: the row, once it was read
}

const (
	entryForm      = 3
	entrySettled   = 2 // shift
	entryConflicts = 1 << 4
	entryRow       = 1 << 5
)

// AppendEntry writes all of an entry but its row, which follows.
func AppendEntry(dst []byte, e *Entry, row bool) []byte {
	dst = binary.AppendUvarint(dst, uint64(e.Controller))
	marks := byte(e.Settlement) << entrySettled
	if e.Sequence {
		marks |= byte(penstock.Sequence)
	}
	if e.Conflicts > 0 {
		marks |= entryConflicts
	}
	if row {
		marks |= entryRow
	}
	dst = append(dst, marks)
	if e.Sequence {
		dst = binary.AppendUvarint(dst, e.Epoch)
		dst = binary.AppendUvarint(dst, e.Seq)
	}
	if e.Conflicts > 0 {
		dst = binary.AppendUvarint(dst, e.Conflicts)
	}
	return dst
}

// readEntry reads the head of an entry. When it has a row, the row follows.
func readEntry(r *layout.Reader) (e Entry, row, ok bool) {
	controller := r.Uvarint()
	marks := r.Byte()
	e.Controller = uint32(controller)
	e.Settlement = penstock.Settlement(marks >> entrySettled & 3)
	e.Sequence = marks&entryForm == byte(penstock.Sequence)
	if e.Sequence {
		e.Epoch, e.Seq = r.Uvarint(), r.Uvarint()
	}
	if marks&entryConflicts != 0 {
		e.Conflicts = r.Uvarint()
	}
	ok = !r.Bad && controller <= math.MaxUint32 && e.Settlement >= penstock.Stored && marks>>6 == 0
	return e, marks&entryRow != 0, ok
}

// ReadJournal reads a head batch. each gets every entry, and a function that
// reads the entry's row, when it has one, with the controller's coder.
func ReadJournal(b []byte, each func(e *Entry, readRow RowReader) error) (penstock.Position, error) {
	if len(b) == 0 {
		return 0, malformed()
	}
	if b[0] != journalVersion {
		return 0, penstock.Errorf(penstock.Unsupported, "a head batch has version %d, this program reads version %d: run the newer program", b[0], journalVersion)
	}
	r := layout.Reader{B: b[1:]}
	through := penstock.Position(r.Uvarint())
	for len(r.B) > 0 {
		e, row, ok := readEntry(&r)
		if !ok {
			return 0, malformed()
		}
		readRow := func(c *Coder, limit int, yield func(uint32, *penstock.Sample)) bool {
			start := r.B
			r.B, ok = c.Read(r.B, limit, yield)
			e.Row = start[:len(start)-len(r.B)]
			return ok
		}
		if !row {
			readRow = nil
		}
		if err := each(&e, readRow); err != nil {
			return 0, err
		}
		if row && !ok {
			return 0, malformed()
		}
	}
	if r.Bad {
		return 0, malformed()
	}
	return through, nil
}

// RowReader reads the row of an entry with its controller's coder: see
// [Coder.Read].
type RowReader func(c *Coder, limit int, yield func(series uint32, s *penstock.Sample)) bool

func malformed() error {
	return penstock.Errorf(penstock.Corrupt, "the historian's head batches are damaged: restore the store from a backup")
}
