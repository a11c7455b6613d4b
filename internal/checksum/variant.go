package checksum

import "math/bits"

// maxExamined is how many bytes are read again to name a wrong variant, so that
// damage costs little.
const maxExamined = 64 << 10

// minVariant is the least width, in bits, for which a match means anything: one
// of eight bits fits damaged bytes by chance too often.
const minVariant = 16

// Variant returns in words which other known checksum wanted is, where it is not
// the algorithm's own of data: another CRC of the same size, the bytes in reverse
// order, or the right CRC over a little less than data.
func (a *Algorithm) Variant(data []byte, wanted uint32) (string, bool) {
	if a.width < minVariant || len(data) > maxExamined {
		return "", false
	}
	reversed := bits.ReverseBytes32(wanted) >> (32 - a.width)
	const inReverse = " with its bytes in reverse order"
	if a.Sum(data) == reversed {
		return a.Title() + inReverse, true
	}
	for _, other := range algorithms() {
		if other.width != a.width || other == a {
			continue
		}
		switch other.Sum(data) {
		case wanted:
			return other.Title(), true
		case reversed:
			return other.Title() + inReverse, true
		}
	}
	for _, part := range []struct {
		data []byte
		name string
	}{
		{data[min(1, len(data)):], "without the first byte"},
		{data[min(2, len(data)):], "without the first two bytes"},
		{data[:max(0, len(data)-1)], "without the last byte"},
	} {
		if len(part.data) == 0 {
			continue
		}
		switch a.Sum(part.data) {
		case wanted:
			return a.Title() + " " + part.name, true
		case reversed:
			return a.Title() + " " + part.name + inReverse, true
		}
	}
	return "", false
}
