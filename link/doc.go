// Package link is what a controller and a gateway say to each other in binary.
// It holds the codec of reports: the format in which they travel and in which
// the spool keeps them. FORMAT.md beside this file describes every byte of it,
// and testdata/vectors.json has examples that any language can read.
//
// It also holds the frames of the link protocol, which docs/link-protocol.md
// describes: [NextFrame] and [Scanner] read them, and each message has an Append
// and a Decode. The packages below seal frames for carriers without TLS, stuff
// them for serial lines, and run the two ends of a session.
//
// A report has exactly one encoding. Equal encodings are equal reports, and a
// hash of the encoding is a hash of the content: see [Fingerprint].
package link

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/penstock/penstock"
)

// MediaType is the media type of a body of reports, one encoding after another
// with nothing between them.
const MediaType = "application/vnd.penstock.reports"

// Version is the version of the format that this package writes and reads.
const Version = 1

// knownFeatures has a bit for each feature that this package can read.
const knownFeatures = 0

// The tag of a sample, its first byte, says what follows.
const (
	kindMask       = 0x07 // the value's kind
	pointMask      = 0x18 // one of the next three
	pointNext      = 0x00 // the point after the last sample's in the table; nothing follows
	pointKnown     = 0x08 // the point's index in the table follows
	pointNew       = 0x10 // a name and a unit follow: a new row of the table
	timeChanged    = 0x20 // the distance from the last sample's time follows
	statusChanged  = 0x40 // the status follows: it is not the last sample's
	qualityChanged = 0x80 // native bits and flags follow: they are not the last sample's
)

// Fingerprint returns the fingerprint of a report: the first eight bytes, big
// endian, of the SHA-256 of its encoding. It covers all that [AppendReport]
// writes: controller, identity and samples, in their order and bit for bit. It
// does not cover the report's source and its received and accepted times. The
// argument is one whole encoding and nothing else.
func Fingerprint(encoded []byte) penstock.Fingerprint {
	sum := sha256.Sum256(encoded)
	return penstock.Fingerprint(binary.BigEndian.Uint64(sum[:]))
}

// zigzag maps integers near zero, of either sign, to small unsigned ones.
func zigzag(n int64) uint64 { return uint64(n)<<1 ^ uint64(n>>63) }

// unzigzag is the inverse of zigzag.
func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }
