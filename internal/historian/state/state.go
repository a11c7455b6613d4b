// Package state is the row with what the historian's last flush found settled.
package state

import (
	"encoding/binary"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/layout"
)

// State is what the last flush found settled, and the numbers that go on from there.
// What came later stands in the head batches.
type State struct {
	Through        penstock.Position
	Flushed        uint64 // flushes that are done
	FirstBatch     uint64 // the first head batch that is not in chunks
	NextQuarantine uint64
	Horizon        layout.Day // days before it are deleted
}

const version = 1

// Append writes the state as a row.
func (s State) Append(dst []byte) []byte {
	dst = append(dst, version)
	for _, v := range [...]uint64{uint64(s.Through), s.Flushed, s.FirstBatch, s.NextQuarantine, uint64(s.Horizon.Sortable())} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

// Read reads a row. Its errors have the code [penstock.Corrupt], or
// [penstock.Unsupported] for a row of a newer version.
func Read(row []byte) (State, error) {
	r := layout.Reader{B: row}
	if v := r.Byte(); v != version {
		return State{}, penstock.Errorf(penstock.Unsupported, "the historian's state has version %d, this program reads version %d: run the newer program", v, version)
	}
	s := State{Through: penstock.Position(r.Uvarint()), Flushed: r.Uvarint(), FirstBatch: r.Uvarint(), NextQuarantine: r.Uvarint()}
	s.Horizon = layout.ParseDay(uint32(r.Uvarint()))
	if r.Bad {
		return State{}, layout.Damaged("state")
	}
	return s, nil
}
