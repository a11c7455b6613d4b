package link

import (
	"hash/maphash"

	"github.com/penstock/penstock"
)

// table finds the row of a point while a report is encoded. A row is a name
// with a unit, in the order in which the samples first use them. Rows and slots
// live in the table itself until they grow out of it, so that a report of the
// usual size costs no allocation.
type table struct {
	samples []penstock.Sample
	seed    maphash.Seed
	count   int // rows
	last    int // the last sample's row

	smallRows  [64]int32
	smallSlots [128]int32
	largeRows  []int32
	largeSlots []int32
}

// place returns how the sample at index i names its point, and the row.
func (t *table) place(i int) (place byte, row int) {
	s := &t.samples[i]
	next := t.last + 1
	if next >= t.count {
		next = 0
	}
	if t.count > 0 && t.holds(next, s) {
		t.last = next
		return pointNext, next
	}
	slot := t.slot(s)
	if held := t.slots()[slot]; held != 0 {
		t.last = int(held) - 1
		return pointKnown, t.last
	}
	t.last = t.count
	t.add(slot, i)
	return pointNew, t.last
}

// rows holds, for each row, the sample that first used it.
func (t *table) rows() []int32 {
	if t.largeRows != nil {
		return t.largeRows
	}
	return t.smallRows[:]
}

// slots is an open hash table of rows + 1, with 0 for free.
func (t *table) slots() []int32 {
	if t.largeSlots != nil {
		return t.largeSlots
	}
	return t.smallSlots[:]
}

// holds tells whether the row is the sample's point.
func (t *table) holds(row int, s *penstock.Sample) bool {
	first := &t.samples[t.rows()[row]]
	return first.Point == s.Point && first.Unit == s.Unit
}

// slot returns where the sample's point is, or where it has to go.
func (t *table) slot(s *penstock.Sample) int {
	hash := maphash.String(t.seed, s.Point)
	if s.Unit != "" {
		hash += 31 * maphash.String(t.seed, s.Unit)
	}
	slots := t.slots()
	mask := len(slots) - 1 // their number is a power of two
	slot := int(hash) & mask
	for slots[slot] != 0 && !t.holds(int(slots[slot])-1, s) {
		slot = (slot + 1) & mask
	}
	return slot
}

// add appends a row that the sample at index i is the first to use.
func (t *table) add(slot, i int) {
	if t.count == len(t.rows()) {
		t.grow()
		slot = t.slot(&t.samples[i])
	}
	t.rows()[t.count] = int32(i)
	t.count++
	t.slots()[slot] = int32(t.count)
}

// grow makes four times the room; half of the slots at most are ever taken.
func (t *table) grow() {
	rows := make([]int32, 4*t.count)
	copy(rows, t.rows())
	t.largeRows = rows
	t.largeSlots = make([]int32, 2*len(rows))
	for row, first := range rows[:t.count] {
		t.largeSlots[t.slot(&t.samples[first])] = int32(row + 1)
	}
}
