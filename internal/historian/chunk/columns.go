package chunk

import (
	"slices"

	"github.com/penstock/penstock"
)

// Limits of one chunk. What is larger stands in several chunks.
const (
	MaxSamples = 4096    // samples of a chunk
	MaxText    = 1 << 20 // bytes of the different texts of a chunk, unless one alone is longer
)

// Quality is what a sample has beside its time and value.
type Quality struct {
	Status penstock.Status
	Native uint32
	Flags  penstock.SampleFlags
	None   bool // there is no value
}

// Columns holds samples of one kind, column by column. A sample without a value
// may stand among those of any kind.
type Columns struct {
	Kind    penstock.Kind // [penstock.None] when no sample has a value
	Times   []int64       // source times, not falling
	Bits    []uint64      // as [penstock.Value.Bits]; for text the index in Texts; 0 without a value
	Texts   []string      // kind text: the different texts
	Quality []Quality     // nil when all samples are good, without native bits and flags
}

// Len returns how many samples there are.
func (c *Columns) Len() int { return len(c.Times) }

// Reset empties the columns and keeps their memory.
func (c *Columns) Reset() {
	clear(c.Texts)
	*c = Columns{Times: c.Times[:0], Bits: c.Bits[:0], Texts: c.Texts[:0]}
}

// QualityAt returns the quality of sample i.
func (c *Columns) QualityAt(i int) Quality {
	if c.Quality == nil {
		return Quality{}
	}
	return c.Quality[i]
}

// Value returns the value of sample i.
func (c *Columns) Value(i int) penstock.Value {
	if c.Kind == penstock.None || c.Quality != nil && c.Quality[i].None {
		return penstock.Value{}
	}
	if c.Kind == penstock.Text {
		return penstock.TextValue(c.Texts[c.Bits[i]])
	}
	return penstock.BitsValue(c.Kind, c.Bits[i])
}

// Append adds a sample and tells whether it fits: not when its kind is another
// or the chunk is full. Times must not fall.
func (c *Columns) Append(s *penstock.Sample) bool {
	kind := s.Value.Kind()
	if c.Len() >= MaxSamples || kind != penstock.None && c.Kind != penstock.None && kind != c.Kind {
		return false
	}
	bits := s.Value.Bits()
	if kind == penstock.Text {
		index, ok := c.text(s.Value.Text())
		if !ok {
			return false
		}
		bits = index
	}
	if kind != penstock.None {
		c.Kind = kind
	}
	q := Quality{Status: s.Status, Native: s.Native, Flags: s.Flags, None: kind == penstock.None}
	if c.Quality == nil && q != (Quality{}) {
		c.Quality = make([]Quality, c.Len(), MaxSamples)
	}
	if c.Quality != nil {
		c.Quality = append(c.Quality, q)
	}
	c.Times = append(c.Times, s.SourceTime)
	c.Bits = append(c.Bits, bits)
	return true
}

// text returns the index of s among the texts. States repeat, so that the search
// from the end is short; a chunk of nothing but different texts is rare, and
// bounded.
func (c *Columns) text(s string) (uint64, bool) {
	size := len(s)
	for i, t := range slices.Backward(c.Texts) {
		if t == s {
			return uint64(i), true
		}
		size += len(t)
	}
	if size > MaxText && len(c.Texts) > 0 {
		return 0, false
	}
	c.Texts = append(c.Texts, s)
	return uint64(len(c.Texts) - 1), true
}
