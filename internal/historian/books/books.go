// Package books keeps the books of the historian: what became of the reports of a
// controller.
package books

import (
	"encoding/binary"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/head"
	"github.com/penstock/penstock/internal/historian/layout"
)

// Counters are the books of one controller: reports by what became of them, and
// samples.
type Counters struct {
	Stored      uint64 // reports
	StoredTwice uint64 // reports that were there already
	Quarantined uint64 // reports, now
	Samples     uint64 // samples stored
	Conflicts   uint64 // samples not stored, because another value stood at their time
	Discarded   uint64 // reports that a person gave up
}

// Count books one entry, of which so many samples were stored.
func (c *Counters) Count(e *head.Entry, samples int) {
	if e.Resolved {
		c.Quarantined--
	}
	switch e.Settlement {
	case penstock.Stored:
		c.Stored++
	case penstock.StoredTwice:
		c.StoredTwice++
	case penstock.Quarantined:
		c.Quarantined++
	case penstock.Discarded:
		c.Discarded++
	}
	c.Samples += uint64(samples)
	c.Conflicts += e.Conflicts
}

// fields are the counters in the order of a row, to which later ones were added.
func (c *Counters) fields() [6]*uint64 {
	return [6]*uint64{&c.Stored, &c.StoredTwice, &c.Quarantined, &c.Samples, &c.Conflicts, &c.Discarded}
}

// oldCounters is how many counters a row had first.
const oldCounters = 5

// Append writes the counters as a row.
func (c *Counters) Append(dst []byte) []byte {
	for _, v := range c.fields() {
		dst = binary.AppendUvarint(dst, *v)
	}
	return dst
}

// Read reads a row, and tells whether it is one.
func (c *Counters) Read(row []byte) bool {
	r := layout.Reader{B: row}
	for i, v := range c.fields() {
		if i == oldCounters && len(r.B) == 0 {
			break // a row from before the later ones were counted
		}
		*v = r.Uvarint()
	}
	return !r.Bad
}
