package session

import (
	"slices"

	"github.com/penstock/penstock/link"
)

// reportCost is what a report counts against the window beside its bytes.
const reportCost = 64

// settled is what is known of one epoch: the marks, and runs of numbers above them.
type settled struct {
	epoch               uint64
	accepted, committed uint64
	runs                []link.Range // ascending, with gaps between, above the marks; at most limit
}

// base returns the number up to which all are settled.
func (s *settled) base() uint64 { return max(s.accepted, s.committed) }

// raise moves the marks up to those given; it never moves them down. It tells
// whether the committed mark moved.
func (s *settled) raise(accepted, committed uint64) bool {
	moved := committed > s.committed
	s.accepted, s.committed = max(s.accepted, accepted), max(s.committed, committed)
	s.absorb()
	return moved
}

// absorb moves the accepted mark over the runs that it touches.
func (s *settled) absorb() {
	n := 0
	for n < len(s.runs) && s.runs[n].First <= s.base()+1 {
		s.accepted = max(s.accepted, s.runs[n].Last)
		n++
	}
	s.runs = slices.Delete(s.runs, 0, n)
}

// add notes that a number is settled. Beyond [link.MaxRanges] runs the highest are
// forgotten: they are not told, and may be sent again.
func (s *settled) add(seq uint64) {
	if seq <= s.base() {
		return
	}
	i := len(s.runs)
	for i > 0 && s.runs[i-1].First > seq {
		i--
	}
	below := i > 0 && s.runs[i-1].Last+1 >= seq
	above := i < len(s.runs) && s.runs[i].First == seq+1
	switch {
	case below && above:
		s.runs[i-1].Last = s.runs[i].Last
		s.runs = slices.Delete(s.runs, i, i+1)
	case below:
		s.runs[i-1].Last = max(s.runs[i-1].Last, seq)
	case above:
		s.runs[i].First = seq
	default:
		s.runs = slices.Insert(s.runs, i, link.Range{First: seq, Last: seq})
		s.runs = s.runs[:min(len(s.runs), link.MaxRanges)]
	}
	s.absorb()
}

// fill sets the marks and ranges of an ack.
func (s *settled) fill(m *link.Ack) {
	m.Epoch, m.Accepted, m.Committed = s.epoch, s.accepted, s.committed
	m.Count = copy(m.Ranges[:], s.runs)
}
