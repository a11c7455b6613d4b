package outbox

import "slices"

// segment is one file of the outbox.
type segment struct {
	number uint64
	file   File
	size   int64
	last   key // the highest report in it
}

// place is where a report stands; without a segment it was dropped.
type place struct {
	segment *segment
	at      int64
	size    int32 // of the whole frame
}

// queue holds the reports of one epoch that are not settled: from low up to base
// they were dropped, from base on each has its place.
type queue struct {
	epoch     uint64
	low, base uint64
	places    []place
}

func (q *queue) next() uint64 { return q.base + uint64(len(q.places)) }

// find returns the place of a report, and false for one that is settled or was
// never there.
func (q *queue) find(seq uint64) (place, bool) {
	switch {
	case seq < q.low || seq >= q.next():
		return place{}, false
	case seq < q.base:
		return place{}, true
	}
	return q.places[seq-q.base], true
}

// settle forgets the reports up to mark.
func (q *queue) settle(mark uint64) {
	mark = min(mark, q.next()-1)
	if mark < q.low {
		return
	}
	q.low = mark + 1
	q.trim(mark)
}

// drop takes the reports up to mark for dropped.
func (q *queue) drop(mark uint64) { q.trim(min(mark, q.next()-1)) }

// trim gives up the places up to mark.
func (q *queue) trim(mark uint64) {
	if mark < q.base {
		return
	}
	n := int(mark - q.base + 1)
	q.places, q.base = q.places[n:], mark+1
	if cap(q.places) > 64 && len(q.places) < cap(q.places)/4 {
		q.places = slices.Clone(q.places)
	}
}
