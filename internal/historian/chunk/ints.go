package chunk

import (
	"encoding/binary"
	"math/bits"
)

// A column of integers is written as
//
//	order (1 byte) | order seeds (uvarints) | width (1 byte) | residuals
//
// Order 0 keeps the distances from the smallest (the one seed), 1 and 2 the
// zigzag differences once and twice, 3 the XOR with the number before. In the
// packed form width is in bits, and the residuals stand bit by bit; in the plane
// form width is in bytes, and all lowest bytes come first, then all second
// bytes: an entropy coder then finds the skew of each.
const (
	orderBase = 0
	orderXor  = 3
)

// form says how residuals are laid out.
type form uint8

const (
	packed form = iota
	planes
)

func zigzag(v uint64) uint64   { return v<<1 ^ uint64(int64(v)>>63) }
func unzigzag(v uint64) uint64 { return v>>1 ^ -(v & 1) }

// appendInts writes xs. scratch is returned for the next call.
func appendInts(dst []byte, xs []uint64, f form, scratch []uint64) ([]byte, []uint64) {
	if len(xs) == 0 {
		return dst, scratch
	}
	order := cheapestOrder(xs, f)
	dst = append(dst, byte(order))
	dst, residuals := residualsOf(dst, xs, order, scratch[:0])
	return appendResiduals(dst, residuals, f), residuals
}

// appendXored writes xs as XORs, which suits the bits of floats.
func appendXored(dst []byte, xs []uint64, f form, scratch []uint64) ([]byte, []uint64) {
	if len(xs) == 0 {
		return dst, scratch
	}
	dst = append(dst, orderXor)
	dst = binary.AppendUvarint(dst, xs[0])
	residuals := scratch[:0]
	for i := 1; i < len(xs); i++ {
		residuals = append(residuals, xs[i]^xs[i-1])
	}
	return appendResiduals(dst, residuals, f), residuals
}

// cheapestOrder adds up what each order would cost: the packed form pays the
// widest residual for all, the planes about the bits that each has.
func cheapestOrder(xs []uint64, f form) int {
	low := xs[0]
	for _, x := range xs {
		low = min(low, x)
	}
	var sum [3]int
	var widest [3]int
	var before, difference uint64
	for i, x := range xs {
		d := x - before
		for order, r := range [3]uint64{x - low, zigzag(d), zigzag(d - difference)} {
			if i >= order {
				n := bits.Len64(r)
				sum[order] += n
				widest[order] = max(widest[order], n)
			}
		}
		before, difference = x, d
	}
	cost := sum
	if f == packed {
		cost = widest
	}
	best := orderBase
	for order := range cost {
		if cost[order] < cost[best] && len(xs) > order {
			best = order
		}
	}
	return best
}

func residualsOf(dst []byte, xs []uint64, order int, out []uint64) ([]byte, []uint64) {
	if order == orderBase {
		low := xs[0]
		for _, x := range xs {
			low = min(low, x)
		}
		dst = binary.AppendUvarint(dst, low)
		for _, x := range xs {
			out = append(out, x-low)
		}
		return dst, out
	}
	dst = binary.AppendUvarint(dst, zigzag(xs[0]))
	if order == 1 {
		for i := 1; i < len(xs); i++ {
			out = append(out, zigzag(xs[i]-xs[i-1]))
		}
		return dst, out
	}
	difference := xs[1] - xs[0]
	dst = binary.AppendUvarint(dst, zigzag(difference))
	for i := 2; i < len(xs); i++ {
		d := xs[i] - xs[i-1]
		out = append(out, zigzag(d-difference))
		difference = d
	}
	return dst, out
}

func appendResiduals(dst []byte, rs []uint64, f form) []byte {
	var all uint64
	for _, r := range rs {
		all |= r
	}
	width := bits.Len64(all)
	if f == packed {
		return appendPacked(append(dst, byte(width)), rs, width)
	}
	width = (width + 7) / 8
	dst = append(dst, byte(width))
	for plane := range width {
		for _, r := range rs {
			dst = append(dst, byte(r>>(8*plane)))
		}
	}
	return dst
}

func appendPacked(dst []byte, rs []uint64, width int) []byte {
	var pending uint64
	held := 0
	for _, r := range rs {
		pending |= r << held
		if held+width < 64 {
			held += width
			continue
		}
		dst = binary.LittleEndian.AppendUint64(dst, pending)
		pending = 0
		if held > 0 {
			pending = r >> (64 - held)
		}
		held += width - 64
	}
	for ; held > 0; held -= 8 {
		dst = append(dst, byte(pending))
		pending >>= 8
	}
	return dst
}

// readInts reads n numbers into out[:n] and returns what follows them.
func readInts(b []byte, n int, f form, out []uint64) ([]uint64, []byte, bool) {
	out = out[:0]
	if n == 0 {
		return out, b, true
	}
	if len(b) == 0 || b[0] > orderXor {
		return nil, nil, false
	}
	order := int(b[0])
	b = b[1:]
	first, b, ok := uvarint(b)
	if !ok {
		return nil, nil, false
	}
	var difference uint64
	seeds := 1
	switch {
	case order == orderBase:
		seeds = 0
	case order == 2:
		if difference, b, ok = uvarint(b); !ok || n < 2 {
			return nil, nil, false
		}
		seeds = 2
	}
	if cap(out) < n {
		out = make([]uint64, 0, max(n, MaxSamples))
	}
	out = out[:n]
	if b, ok = readResiduals(b, out[seeds:], f); !ok {
		return nil, nil, false
	}
	integrate(out, order, first, difference)
	return out, b, true
}

// integrate turns residuals back into numbers, in place.
func integrate(out []uint64, order int, first, difference uint64) {
	switch order {
	case orderBase:
		for i := range out {
			out[i] += first
		}
	case orderXor:
		out[0] = first
		for i := 1; i < len(out); i++ {
			first ^= out[i]
			out[i] = first
		}
	case 1:
		first = unzigzag(first)
		out[0] = first
		for i := 1; i < len(out); i++ {
			first += unzigzag(out[i])
			out[i] = first
		}
	default:
		first, difference = unzigzag(first), unzigzag(difference)
		out[0] = first
		first += difference
		out[1] = first
		for i := 2; i < len(out); i++ {
			difference += unzigzag(out[i])
			first += difference
			out[i] = first
		}
	}
}

func readResiduals(b []byte, out []uint64, f form) ([]byte, bool) {
	if len(b) == 0 {
		return nil, false
	}
	width := int(b[0])
	b = b[1:]
	if f == packed {
		return readPacked(b, out, width)
	}
	n := len(out)
	if width > 8 || len(b) < width*n {
		return nil, false
	}
	clear(out)
	for plane := range width {
		for i, v := range b[:n] {
			out[i] |= uint64(v) << (8 * plane)
		}
		b = b[n:]
	}
	return b, true
}

func readPacked(b []byte, out []uint64, width int) ([]byte, bool) {
	size := (width*len(out) + 7) / 8
	if width > 64 || len(b) < size {
		return nil, false
	}
	if width == 0 {
		clear(out)
		return b, true
	}
	rest := b[size:]
	mask := ^uint64(0) >> (64 - width)
	at := 0
	for i := range out {
		out[i] = window(b[:size], at>>3, at&7) & mask
		at += width
	}
	return rest, true
}

// window returns the 64 bits of b that start at a bit; bytes past the end are 0.
func window(b []byte, first, shift int) uint64 {
	if first+8 < len(b) {
		v := binary.LittleEndian.Uint64(b[first:]) >> shift
		return v | uint64(b[first+8])<<(64-shift) // a shift by 64 gives 0
	}
	var v uint64
	for i, c := range b[first:] {
		if i < 8 {
			v |= uint64(c) << (8 * i)
		}
	}
	return v >> shift
}

func uvarint(b []byte) (uint64, []byte, bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}
