// Package chunk packs samples of one series into bytes and back, bit for bit.
//
// A chunk is columnar: times, quality (status, native bits, flags, "none") and
// values stand apart, each in the form that is smallest for it.
//
//	version (1 byte) | kind (1) | features (1) | count (uvarint) | body
//
// The body is times, quality when the feature bit says so, values; compressed
// with zstd when that bit is set, and then preceded by its length. Times are
// distances from the first one over their greatest common divisor. Floats are
// decimal integers (value × 10^e) where every bit can be had back from them,
// with the others as exceptions; otherwise their bits are XORed with those of
// the sample before. Integers go through no, one or two differences, whichever
// is smallest. An unknown version or feature bit is refused.
package chunk
