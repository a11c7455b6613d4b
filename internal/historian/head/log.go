package head

import "github.com/penstock/penstock"

// BlockSize is how long a block of rows grows. A row that starts a block needs
// nothing of the rows before it, so that a query skips blocks by their times.
const BlockSize = 4 << 10

// Block is rows in their order.
type Block struct {
	rows        []byte
	first, last int64 // earliest and latest source time
}

// Log is the rows of one controller that are in no chunk yet. Blocks are only
// appended to: a copy of the list is a view that needs no lock.
type Log struct {
	Blocks  []Block
	Samples int
}

// Extent is what must be known of a row to append it.
type Extent struct {
	First, Last int64 // earliest and latest source time
	Samples     int
	Fresh       bool // starts a block
}

// Append adds a row.
func (l *Log) Append(row []byte, e Extent) {
	l.Samples += e.Samples
	if e.Fresh || len(l.Blocks) == 0 {
		size := len(row)
		if len(l.Blocks) > 0 { // the one before is full, so this one will be
			size += BlockSize
		}
		rows := append(make([]byte, 0, size), row...)
		l.Blocks = append(l.Blocks, Block{rows: rows, first: e.First, last: e.Last})
		return
	}
	b := &l.Blocks[len(l.Blocks)-1]
	b.rows = append(b.rows, row...)
	b.first, b.last = min(b.first, e.First), max(b.last, e.Last)
}

// Each yields the samples of the blocks that may have some from first to last.
func Each(blocks []Block, points int, first, last int64, yield func(point uint32, s *penstock.Sample)) error {
	var c Coder
	for _, b := range blocks {
		if b.last < first || b.first > last {
			continue
		}
		for rest := b.rows; len(rest) > 0; {
			var ok bool
			if rest, ok = c.Read(rest, points, yield); !ok {
				return penstock.Errorf(penstock.Internal, "the head has a malformed row")
			}
		}
	}
	return nil
}
