package head

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/chunk"
	"github.com/penstock/penstock/internal/historian/layout"
)

// A row is the samples of one report, as the head keeps them in memory and on
// disk: uvarint of the number of samples, doubled, plus 1 when the row needs
// nothing of the rows before it; then the samples.
//
// A sample is a control byte and what it calls for. The series is the one that
// stood at this place in the row before, the time that of the sample before (for
// the first: as far from the row before as that one was from its own), quality
// that of the series before, the value a difference to that of the series
// before; what is not so is written out.
const (
	codeNone    = 0 // no value
	codeSame    = 1 // the value of the series before
	codeDelta   = 2 // an integer or bool: zigzag difference
	codeDecimal = 3 // a float: zigzag difference of the decimals at the same exponent
	codePower   = 4 // a float: exponent (1 byte), zigzag decimal
	codeRaw     = 5 // kind (1 byte), zigzag of the bits; for floats 8 bytes little endian
	codeText    = 6 // length, bytes

	codeMask       = 7
	withSeries     = 1 << 3 // index of the series (uvarint)
	withTime       = 1 << 4 // zigzag difference
	withQuality    = 1 << 5 // status, native bits, flags (uvarints)
	unknownControl = 1<<6 | 1<<7
)

// headExponent is the largest power of ten that the head tries; what needs more
// is kept bit by bit until the chunk is made.
const headExponent = 6

// notDecimal is the exponent of a series that had a float with more places.
const notDecimal = math.MaxUint8

// UnknownSeries stands for the series of a sample that is not to be stored.
const UnknownSeries = math.MaxUint32

// state is what a coder knows of a series.
type state struct {
	generation uint32 // of the Coder's last reset; what is older is as if not there
	kind       penstock.Kind
	exponent   uint8
	flags      penstock.SampleFlags
	status     penstock.Status
	native     uint32
	bits       uint64
	decimal    int64
}

// Coder writes and reads the rows of one controller, in their order: both ways
// keep the same state.
type Coder struct {
	generation uint32
	states     []state
	order      []uint32 // the series of the row before
	first      int64    // time of the first sample of the row before
	fresh      bool     // the row before started anew
	step       int64    // its distance from the one before it
}

// Reset forgets all rows before.
func (c *Coder) Reset() {
	c.generation++
	c.order = c.order[:0]
	c.first, c.step = 0, 0
}

// Guess returns the series that stood at place i of the row before.
func (c *Coder) Guess(i int) (series uint32, ok bool) {
	if i < len(c.order) {
		return c.order[i], true
	}
	return 0, false
}

// Fresh tells whether the last row needed nothing of the rows before it.
func (c *Coder) Fresh() bool { return c.fresh }

// Grow makes room for n series.
func (c *Coder) Grow(n int) {
	if n > len(c.states) {
		c.states = append(c.states, make([]state, n-len(c.states))...)
	}
}

func (c *Coder) state(series uint32) *state {
	st := &c.states[series]
	if st.generation != c.generation {
		*st = state{generation: c.generation}
	}
	return st
}

// place notes the series at place i of a row.
func (c *Coder) place(i int, series uint32) {
	if i < len(c.order) {
		c.order[i] = series
	} else {
		c.order = append(c.order, series)
	}
}

// Append writes the samples whose series is not [UnknownSeries] as a row; fresh
// says that it must stand without the rows before it.
func (c *Coder) Append(dst []byte, samples []penstock.Sample, series []uint32, fresh bool) []byte {
	count := uint64(0)
	for _, s := range series {
		if s != UnknownSeries {
			count++
		}
	}
	head := count << 1
	if c.fresh = fresh; fresh {
		c.Reset()
		head |= 1
	}
	dst = binary.AppendUvarint(dst, head)
	before := c.first + c.step
	i := 0
	for k := range samples {
		if series[k] == UnknownSeries {
			continue
		}
		s := &samples[k]
		dst = c.appendSample(dst, s, i, series[k], before)
		c.pace(i, s.SourceTime)
		before = s.SourceTime
		i++
	}
	return dst
}

// pace notes the time of the sample at place i.
func (c *Coder) pace(i int, t int64) {
	if i == 0 {
		c.step = t - c.first
		c.first = t
	}
}

func (c *Coder) appendSample(dst []byte, s *penstock.Sample, i int, series uint32, before int64) []byte {
	st := c.state(series)
	at := len(dst)
	control := byte(0)
	dst = append(dst, 0)
	if i >= len(c.order) || c.order[i] != series {
		control |= withSeries
		dst = binary.AppendUvarint(dst, uint64(series))
		c.place(i, series)
	}
	if s.SourceTime != before {
		control |= withTime
		dst = binary.AppendVarint(dst, s.SourceTime-before)
	}
	if s.Status != st.status || s.Native != st.native || s.Flags != st.flags {
		control |= withQuality
		dst = binary.AppendUvarint(dst, uint64(bits.ReverseBytes32(uint32(s.Status))))
		dst = binary.AppendUvarint(dst, uint64(s.Native))
		dst = binary.AppendUvarint(dst, uint64(s.Flags))
		st.status, st.native, st.flags = s.Status, s.Native, s.Flags
	}
	var code byte
	dst, code = st.appendValue(dst, s.Value)
	dst[at] = control | code
	return dst
}

func (st *state) appendValue(dst []byte, v penstock.Value) ([]byte, byte) {
	kind, b := v.Kind(), v.Bits()
	switch {
	case kind == penstock.None:
		return dst, codeNone
	case kind == penstock.Text:
		st.kind = kind
		dst = binary.AppendUvarint(dst, uint64(len(v.Text())))
		return append(dst, v.Text()...), codeText
	case kind == st.kind && b == st.bits:
		return dst, codeSame
	case kind == penstock.Float64:
		return st.appendFloat(dst, v)
	case kind == st.kind:
		dst = binary.AppendVarint(dst, int64(b-st.bits))
		st.bits = b
		return dst, codeDelta
	}
	st.kind, st.bits = kind, b
	return binary.AppendVarint(append(dst, byte(kind)), int64(b)), codeRaw
}

func (st *state) appendFloat(dst []byte, v penstock.Value) ([]byte, byte) {
	if st.kind != penstock.Float64 {
		st.kind, st.exponent = penstock.Float64, 0
	} else if st.exponent != notDecimal {
		if d, ok := chunk.Decimal(v.Float(), int(st.exponent)); ok {
			dst = binary.AppendVarint(dst, d-st.decimal)
			st.bits, st.decimal = v.Bits(), d
			return dst, codeDecimal
		}
	}
	for e := int(st.exponent); e <= headExponent; e++ {
		if d, ok := chunk.Decimal(v.Float(), e); ok {
			st.bits, st.decimal, st.exponent = v.Bits(), d, uint8(e)
			return binary.AppendVarint(append(dst, byte(e)), d), codePower
		}
	}
	st.bits, st.exponent = v.Bits(), notDecimal
	return binary.LittleEndian.AppendUint64(append(dst, byte(penstock.Float64)), st.bits), codeRaw
}

// Read reads the row at the start of b and returns what follows it. It yields
// each sample with the index of its series, below limit, and without its point.
// The sample is good until yield returns.
func (c *Coder) Read(b []byte, limit int, yield func(series uint32, s *penstock.Sample)) ([]byte, bool) {
	r := layout.Reader{B: b}
	head := r.Uvarint()
	if c.fresh = head&1 != 0; c.fresh {
		c.Reset()
	}
	c.Grow(limit)
	before := c.first + c.step
	count := head >> 1
	if count > uint64(len(r.B)) { // a sample has at least one byte
		return nil, false
	}
	var s penstock.Sample
	for i := range int(count) {
		series, ok := c.readSample(&r, &s, i, before)
		if !ok {
			return nil, false
		}
		c.pace(i, s.SourceTime)
		before = s.SourceTime
		yield(series, &s)
	}
	return r.B, !r.Bad
}

func (c *Coder) readSample(r *layout.Reader, s *penstock.Sample, i int, before int64) (uint32, bool) {
	control := r.Byte()
	var series uint32
	switch {
	case control&withSeries != 0:
		n := r.Uvarint()
		if n >= uint64(len(c.states)) {
			return 0, false
		}
		series = uint32(n)
		c.place(i, series)
	case i < len(c.order):
		series = c.order[i]
	default:
		return 0, false
	}
	st := c.state(series)
	s.SourceTime = before
	if control&withTime != 0 {
		s.SourceTime += r.Varint()
	}
	if control&withQuality != 0 {
		status, native, flags := r.Uvarint(), r.Uvarint(), r.Uvarint()
		if status|native > math.MaxUint32 || flags > math.MaxUint8 {
			return 0, false
		}
		st.status = penstock.Status(bits.ReverseBytes32(uint32(status)))
		st.native, st.flags = uint32(native), penstock.SampleFlags(flags)
	}
	s.Status, s.Native, s.Flags = st.status, st.native, st.flags
	ok := st.readValue(r, control&codeMask, &s.Value)
	return series, ok && control&unknownControl == 0 && !r.Bad
}

func (st *state) readValue(r *layout.Reader, code byte, v *penstock.Value) bool {
	switch code {
	case codeNone:
		*v = penstock.Value{}
		return true
	case codeText:
		st.kind = penstock.Text
		*v = penstock.TextValue(string(r.Bytes(r.Uvarint())))
		return true
	case codeSame:
	case codeDelta:
		st.bits += uint64(r.Varint())
	case codeDecimal:
		if st.exponent > headExponent {
			return false
		}
		st.setDecimal(st.decimal + r.Varint())
	case codePower:
		st.kind, st.exponent = penstock.Float64, r.Byte()
		if st.exponent > headExponent {
			return false
		}
		st.setDecimal(r.Varint())
	case codeRaw:
		st.readRaw(r)
	default:
		return false
	}
	if st.kind == penstock.None || st.kind >= penstock.Text || st.kind == penstock.Bool && st.bits > 1 {
		return false
	}
	*v = penstock.BitsValue(st.kind, st.bits)
	return true
}

func (st *state) readRaw(r *layout.Reader) {
	st.kind = penstock.Kind(r.Byte())
	if st.kind != penstock.Float64 {
		st.bits = uint64(r.Varint())
		return
	}
	st.exponent = notDecimal
	if b := r.Bytes(8); b != nil {
		st.bits = binary.LittleEndian.Uint64(b)
	}
}

func (st *state) setDecimal(d int64) {
	st.decimal = d
	st.bits = math.Float64bits(chunk.FromDecimal(d, int(st.exponent)))
}
