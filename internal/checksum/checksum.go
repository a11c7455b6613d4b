package checksum

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"slices"
	"strings"
)

// Algorithm is one checksum. It is safe for concurrent use.
type Algorithm struct {
	parameters
	table  [256]uint32
	native *crc32.Table // the standard library's, where it has the CRC
}

func newAlgorithm(p parameters) *Algorithm {
	a := &Algorithm{parameters: p}
	if p.family != crc {
		return a
	}
	for i := range a.table {
		a.table[i] = p.entry(uint32(i))
	}
	switch p.name {
	case "crc-32/iso-hdlc":
		a.native = crc32.IEEETable
	case "crc-32c":
		a.native = crc32.MakeTable(crc32.Castagnoli)
	}
	return a
}

// entry returns the remainder of one byte. The register of a CRC that is not
// reflected stands at the top of the 32 bits, whatever its width.
func (p parameters) entry(b uint32) uint32 {
	if p.reflect {
		poly := bits.Reverse32(p.poly << (32 - p.width))
		for range 8 {
			b = b>>1 ^ poly&-(b&1)
		}
		return b
	}
	b <<= 24
	for range 8 {
		b = b<<1 ^ p.poly<<(32-p.width)&-(b>>31)
	}
	return b
}

// Name returns the name as it stands in configuration.
func (a *Algorithm) Name() string { return a.name }

// Title returns the name as the standards write it.
func (a *Algorithm) Title() string { return strings.ToUpper(a.name) }

// Size returns how many bytes the checksum has in a frame, 0 to 4.
func (a *Algorithm) Size() int { return a.width / 8 }

// Sum returns the checksum of data.
func (a *Algorithm) Sum(data []byte) uint32 {
	switch a.family {
	case crc:
		return a.crc(data)
	case none:
		return 0
	}
	var total uint32
	for _, b := range data {
		if a.family == xor {
			total ^= uint32(b)
		} else {
			total += uint32(b)
		}
	}
	if a.family == negSum {
		total = -total
	}
	return total & (1<<a.width - 1)
}

func (a *Algorithm) crc(data []byte) uint32 {
	if a.native != nil {
		return crc32.Checksum(data, a.native)
	}
	if a.reflect {
		r := a.init
		for _, b := range data {
			r = r>>8 ^ a.table[byte(r)^b]
		}
		return r ^ a.xorOut
	}
	r := a.init << (32 - a.width)
	for _, b := range data {
		r = r<<8 ^ a.table[byte(r>>24)^b]
	}
	return r>>(32-a.width) ^ a.xorOut
}

// Order is the order of a checksum's bytes in a frame.
type Order uint8

// The orders.
const (
	LowFirst Order = iota
	HighFirst
)

// String returns the order's name as it stands in configuration.
func (o Order) String() string {
	if o == HighFirst {
		return "big"
	}
	return "little"
}

// Append appends the checksum of data to dst as it stands in a frame.
func (a *Algorithm) Append(dst, data []byte, o Order) []byte {
	var four [4]byte
	binary.LittleEndian.PutUint32(four[:], a.Sum(data))
	wire := four[:a.Size()]
	if o == HighFirst {
		slices.Reverse(wire)
	}
	return append(dst, wire...)
}

// Read returns the checksum that stands in the first [Algorithm.Size] bytes.
func (a *Algorithm) Read(wire []byte, o Order) uint32 {
	var v uint32
	for i := range a.Size() {
		shift := 8 * i
		if o == HighFirst {
			shift = 8 * (a.Size() - 1 - i)
		}
		v |= uint32(wire[i]) << shift
	}
	return v
}
