package historian

import (
	"cmp"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/chunk"
)

// blockSize is how long a block of rows grows. A row that starts a block needs
// nothing of the rows before it, so that a query skips blocks by their times.
const blockSize = 4 << 10

// block is rows in their order.
type block struct {
	rows        []byte
	first, last int64 // earliest and latest source time
}

// rowLog is the rows of one controller that are in no chunk yet. Blocks are only
// appended to: a copy of the list is a view that needs no lock.
type rowLog struct {
	blocks  []block
	samples int
}

// extent is what must be known of a row to append it.
type extent struct {
	first, last int64
	samples     int
	fresh       bool // starts a block
}

func (l *rowLog) append(row []byte, e extent) {
	l.samples += e.samples
	if e.fresh || len(l.blocks) == 0 {
		l.blocks = append(l.blocks, block{rows: slices.Clone(row), first: e.first, last: e.last})
		return
	}
	b := &l.blocks[len(l.blocks)-1]
	b.rows = append(b.rows, row...)
	b.first, b.last = min(b.first, e.first), max(b.last, e.last)
}

// full tells whether the next row is to start a block.
func (l *rowLog) full() bool {
	return len(l.blocks) == 0 || len(l.blocks[len(l.blocks)-1].rows) >= blockSize
}

// each yields the samples of the blocks that may have some from first to last.
func each(blocks []block, points int, first, last int64, yield func(point uint32, s *penstock.Sample)) error {
	var c coder
	for _, b := range blocks {
		if b.last < first || b.first > last {
			continue
		}
		for rest := b.rows; len(rest) > 0; {
			var ok bool
			if rest, ok = c.read(rest, points, yield); !ok {
				return penstock.Errorf(penstock.Internal, "the head has a malformed row")
			}
		}
	}
	return nil
}

// inColumns sorts samples by time, keeping the order of equal times, and splits
// them where the kind or the day changes or a chunk is full.
func inColumns(samples []penstock.Sample) []*chunk.Columns {
	byTime := func(a, b penstock.Sample) int { return cmp.Compare(a.SourceTime, b.SourceTime) }
	if !slices.IsSortedFunc(samples, byTime) {
		slices.SortStableFunc(samples, byTime)
	}
	var all []*chunk.Columns
	var now *chunk.Columns
	var day Day
	for i := range samples {
		s := &samples[i]
		if now == nil || DayOf(s.SourceTime) != day || !now.Append(s) {
			now, day = new(chunk.Columns), DayOf(s.SourceTime)
			now.Append(s)
			all = append(all, now)
		}
	}
	return all
}
