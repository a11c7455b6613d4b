package chunk

import (
	"encoding/binary"
	"math/bits"

	"github.com/klauspost/compress/zstd"

	"github.com/penstock/penstock"
)

const (
	version = 1

	featureQuality = 1 << 0 // a quality column stands in the body
	featurePlanes  = 1 << 1 // integers are in the plane form, otherwise packed
	featureZstd    = 1 << 2 // the body is compressed
	allFeatures    = featureQuality | featurePlanes | featureZstd
)

// maxBody bounds what a compressed body may grow to: every column at its widest
// and one text of the largest size beyond the limit of all texts.
const maxBody = MaxSamples*40 + MaxText + penstock.MaxText + MaxSamples*3 + 64

// Encoder writes chunks. It keeps memory between calls and is not safe for
// concurrent use.
type Encoder struct {
	zstd    *zstd.Encoder
	ints    []uint64
	scratch []uint64
	packed  []byte
	planes  []byte
}

// NewEncoder returns an encoder.
func NewEncoder() (*Encoder, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(64<<10),
		zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, penstock.Errorf(penstock.Internal, "chunk: %w", err)
	}
	return &Encoder{zstd: z}, nil
}

// Append writes the samples of c, at least one and at most [MaxSamples], as a
// chunk behind dst.
func (e *Encoder) Append(dst []byte, c *Columns) []byte {
	var features byte
	if c.Quality != nil {
		features = featureQuality
	}
	e.packed = e.appendBody(e.packed[:0], c, packed)
	e.planes = e.appendBody(e.planes[:0], c, planes)
	squeezed := e.zstd.EncodeAll(e.planes, nil)

	if len(e.packed) <= len(squeezed)+binary.MaxVarintLen16 {
		dst = appendHeader(dst, c, features)
		return append(dst, e.packed...)
	}
	dst = appendHeader(dst, c, features|featurePlanes|featureZstd)
	dst = binary.AppendUvarint(dst, uint64(len(e.planes)))
	return append(dst, squeezed...)
}

func appendHeader(dst []byte, c *Columns, features byte) []byte {
	dst = append(dst, version, byte(c.Kind), features)
	return binary.AppendUvarint(dst, uint64(c.Len()))
}

func (e *Encoder) appendBody(dst []byte, c *Columns, f form) []byte {
	dst = e.appendTimes(dst, c.Times, f)
	if c.Quality != nil {
		dst = appendQuality(dst, c.Quality)
	}
	return e.appendValues(dst, c, f)
}

func (e *Encoder) appendTimes(dst []byte, times []int64, f form) []byte {
	first := uint64(times[0])
	divisor := uint64(0)
	for _, t := range times {
		divisor = commonDivisor(divisor, uint64(t)-first)
		if divisor == 1 {
			break
		}
	}
	divisor = max(divisor, 1)
	e.ints = e.ints[:0]
	for _, t := range times {
		e.ints = append(e.ints, (uint64(t)-first)/divisor)
	}
	dst = binary.AppendUvarint(dst, zigzag(first))
	dst = binary.AppendUvarint(dst, divisor)
	dst, e.scratch = appendInts(dst, e.ints, f, e.scratch)
	return dst
}

func commonDivisor(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// appendQuality writes runs of equal quality: length, status, native bits, and
// flags with the mark of a missing value above them.
func appendQuality(dst []byte, qs []Quality) []byte {
	for i := 0; i < len(qs); {
		j := i + 1
		for j < len(qs) && qs[j] == qs[i] {
			j++
		}
		q := qs[i]
		marks := uint64(q.Flags)
		if q.None {
			marks |= 1 << 8
		}
		dst = binary.AppendUvarint(dst, uint64(j-i))
		dst = binary.AppendUvarint(dst, uint64(bits.ReverseBytes32(uint32(q.Status))))
		dst = binary.AppendUvarint(dst, uint64(q.Native))
		dst = binary.AppendUvarint(dst, marks)
		i = j
	}
	return dst
}

// Decoder reads chunks. It is safe for concurrent use.
type Decoder struct {
	zstd *zstd.Decoder
}

// NewDecoder returns a decoder.
func NewDecoder() (*Decoder, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxBody),
		zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, penstock.Errorf(penstock.Internal, "chunk: %w", err)
	}
	return &Decoder{zstd: z}, nil
}

// Close ends the decoder, which must not be used any more.
func (d *Decoder) Close() { d.zstd.Close() }

// Decode reads a chunk into c, whose memory it uses again. Whatever b holds,
// memory stays bounded; an error has code [penstock.Corrupt], or
// [penstock.Unsupported] when a newer program wrote the chunk.
func (d *Decoder) Decode(b []byte, c *Columns) error {
	c.Reset()
	if len(b) < 3 {
		return malformed()
	}
	if b[0] != version || b[2]&^allFeatures != 0 {
		return penstock.Errorf(penstock.Unsupported, "a chunk has version %d and features %#x, this program reads version %d: run the newer program", b[0], b[2], version)
	}
	kind, features := penstock.Kind(b[1]), b[2]
	n, b, ok := uvarint(b[3:])
	if !ok || kind > penstock.Text || n == 0 || n > MaxSamples {
		return malformed()
	}
	if features&featureZstd != 0 {
		if b, ok = d.inflate(b); !ok {
			return malformed()
		}
	}
	f := packed
	if features&featurePlanes != 0 {
		f = planes
	}
	c.Kind = kind
	if b, ok = c.readTimes(b, int(n), f); !ok {
		return malformed()
	}
	if features&featureQuality != 0 {
		if b, ok = c.readQuality(b, int(n)); !ok {
			return malformed()
		}
	}
	if !c.readValues(b, int(n), f) {
		return malformed()
	}
	return nil
}

func malformed() error {
	return penstock.Errorf(penstock.Corrupt, "a chunk of samples is malformed")
}

func (d *Decoder) inflate(b []byte) ([]byte, bool) {
	size, b, ok := uvarint(b)
	if !ok || size > maxBody {
		return nil, false
	}
	body, err := d.zstd.DecodeAll(b, make([]byte, 0, size))
	return body, err == nil && uint64(len(body)) == size
}

func (c *Columns) readTimes(b []byte, n int, f form) ([]byte, bool) {
	first, b, ok := uvarint(b)
	if !ok {
		return nil, false
	}
	divisor, b, ok := uvarint(b)
	if !ok {
		return nil, false
	}
	distances, b, ok := readInts(b, n, f, c.Bits)
	if !ok {
		return nil, false
	}
	c.Bits = distances
	if cap(c.Times) < n {
		c.Times = make([]int64, 0, MaxSamples)
	}
	c.Times = c.Times[:n]
	start := unzigzag(first)
	before := int64(start)
	for i, v := range distances {
		t := int64(start + v*divisor)
		if t < before {
			return nil, false
		}
		c.Times[i] = t
		before = t
	}
	return b, true
}

func (c *Columns) readQuality(b []byte, n int) ([]byte, bool) {
	c.Quality = make([]Quality, 0, n)
	for len(c.Quality) < n {
		var fields [4]uint64
		for i := range fields {
			var ok bool
			if fields[i], b, ok = uvarint(b); !ok {
				return nil, false
			}
		}
		if fields[0] == 0 || fields[0] > uint64(n-len(c.Quality)) || fields[1]|fields[2] > 1<<32-1 || fields[3] > 1<<9-1 {
			return nil, false
		}
		q := Quality{
			Status: penstock.Status(bits.ReverseBytes32(uint32(fields[1]))),
			Native: uint32(fields[2]),
			Flags:  penstock.SampleFlags(fields[3]),
			None:   fields[3]>>8 != 0,
		}
		for range fields[0] {
			c.Quality = append(c.Quality, q)
		}
	}
	return b, true
}
