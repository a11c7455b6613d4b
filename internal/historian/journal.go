package historian

import (
	"encoding/binary"
	"math"

	"github.com/penstock/penstock"
)

// A head batch is the journal of one Settle, in one value, so that it is there
// whole or not at all: version (1 byte), the position up to which all is settled
// (uvarint), then the entries. Everything that a flush later spreads over rows of
// its own (samples, settled sets, counters) can be had back from it.
const journalVersion = 1

// entry is what became of one report: controller (uvarint), a byte with the form
// of the identity, the settlement (from bit 2) and whether conflicts and a row
// follow (bits 4, 5); epoch and seq when the form is a sequence; conflicts; row.
type entry struct {
	controller uint32
	settlement penstock.Settlement
	sequence   bool
	epoch, seq uint64
	conflicts  uint64
	row        []byte // nil when nothing was stored
}

const (
	entryForm      = 3
	entrySettled   = 2 // shift
	entryConflicts = 1 << 4
	entryRow       = 1 << 5
)

// appendEntryHead writes all of an entry but its row, which follows.
func appendEntryHead(dst []byte, e *entry, row bool) []byte {
	dst = binary.AppendUvarint(dst, uint64(e.controller))
	marks := byte(e.settlement) << entrySettled
	if e.sequence {
		marks |= byte(penstock.Sequence)
	}
	if e.conflicts > 0 {
		marks |= entryConflicts
	}
	if row {
		marks |= entryRow
	}
	dst = append(dst, marks)
	if e.sequence {
		dst = binary.AppendUvarint(dst, e.epoch)
		dst = binary.AppendUvarint(dst, e.seq)
	}
	if e.conflicts > 0 {
		dst = binary.AppendUvarint(dst, e.conflicts)
	}
	return dst
}

// readEntry reads the head of an entry. When it has a row, the row follows.
func readEntry(r *reader) (e entry, row, ok bool) {
	controller := r.uvarint()
	marks := r.byte()
	e.controller = uint32(controller)
	e.settlement = penstock.Settlement(marks >> entrySettled & 3)
	e.sequence = marks&entryForm == byte(penstock.Sequence)
	if e.sequence {
		e.epoch, e.seq = r.uvarint(), r.uvarint()
	}
	if marks&entryConflicts != 0 {
		e.conflicts = r.uvarint()
	}
	ok = !r.bad && controller <= math.MaxUint32 && e.settlement >= penstock.Stored && marks>>6 == 0
	return e, marks&entryRow != 0, ok
}

// readJournal reads a head batch. each gets every entry, and a function that
// reads the entry's row, when it has one, with the controller's coder.
func readJournal(b []byte, each func(e *entry, readRow rowReader) error) (penstock.Position, error) {
	if len(b) == 0 {
		return 0, damaged("head batches")
	}
	if b[0] != journalVersion {
		return 0, penstock.Errorf(penstock.Unsupported, "a head batch has version %d, this program reads version %d: run the newer program", b[0], journalVersion)
	}
	r := reader{b: b[1:]}
	through := penstock.Position(r.uvarint())
	for len(r.b) > 0 {
		e, row, ok := readEntry(&r)
		if !ok {
			return 0, damaged("head batches")
		}
		readRow := func(c *coder, limit int, yield func(uint32, *penstock.Sample)) bool {
			start := r.b
			r.b, ok = c.read(r.b, limit, yield)
			e.row = start[:len(start)-len(r.b)]
			return ok
		}
		if !row {
			readRow = nil
		}
		if err := each(&e, readRow); err != nil {
			return 0, err
		}
		if row && !ok {
			return 0, damaged("head batches")
		}
	}
	if r.bad {
		return 0, damaged("head batches")
	}
	return through, nil
}
