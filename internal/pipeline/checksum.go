package pipeline

import (
	"context"
	"hash/crc32"
	"math/bits"
	"slices"

	"github.com/penstock/penstock"
)

// ChecksumConfig are the settings of the step that verifies checksums. One that
// came is always verified.
type ChecksumConfig struct {
	Require     bool     `yaml:"require" jsonschema_description:"refuse bodies that came without a checksum"`
	RequireFrom []string `yaml:"require_from,omitempty" jsonschema_description:"names of the sources from which a checksum is required"`
}

// Validate returns an error of code [penstock.Invalid] when a setting breaks a rule.
func (c *ChecksumConfig) Validate() error {
	if slices.Contains(c.RequireFrom, "") {
		return penstock.Errorf(penstock.Invalid, "require_from: the name of a source is empty")
	}
	return nil
}

type checksum struct {
	require     bool
	requireFrom []string
}

func newChecksum(c ChecksumConfig) *checksum { return &checksum{c.Require, c.RequireFrom} }

func (s *checksum) onEnvelope(_ context.Context, w *passage) *refused {
	e := w.envelope
	if !e.HasChecksum {
		if s.require || slices.Contains(s.requireFrom, e.Source) {
			return &refused{penstock.ReasonChecksum, penstock.Errorf(penstock.Invalid,
				"checksum: source %q takes only bodies with a CRC-32 beside them, and this one has none", e.Source)}
		}
		return nil
	}
	sum := crc32.ChecksumIEEE(e.Body)
	if sum == e.Checksum {
		return nil
	}
	return &refused{penstock.ReasonChecksum, mismatch(e, sum)}
}

// mismatch returns the error for a body whose CRC-32 is sum, and another than the
// sender said. A sender that computes another CRC is the most frequent cause, and
// no cable mends that: so it is named.
func mismatch(e *penstock.Envelope, sum uint32) error {
	if variant := variantOf(e.Body, sum, e.Checksum); variant != "" {
		return penstock.Errorf(penstock.Corrupt,
			"checksum: %08x from source %q is the %s of these bytes; Penstock takes CRC-32/ISO-HDLC, that of zlib and Ethernet, here %08x: change it at the sender, the line is sound",
			e.Checksum, e.Source, variant, sum)
	}
	return penstock.Errorf(penstock.Corrupt,
		"checksum: the %d bytes that came have the CRC-32 %08x, source %q declared %08x: they were damaged on the way, send them again",
		len(e.Body), sum, e.Source, e.Checksum)
}

// maxExamined is how many bytes are read again to name a wrong variant, so that
// damage costs little.
const maxExamined = 64 << 10

// variantOf returns the name of the CRC-32 by which body has the checksum
// declared, given its CRC-32/ISO-HDLC: empty for none.
func variantOf(body []byte, sum, declared uint32) string {
	switch declared {
	case ^sum:
		return "CRC-32/JAMCRC"
	case bits.ReverseBytes32(sum):
		return "CRC-32/ISO-HDLC with its bytes in reverse order"
	}
	if len(body) > maxExamined {
		return ""
	}
	forward := forwardCRC(body)
	switch declared {
	case forward:
		return "CRC-32/BZIP2"
	case ^forward:
		return "CRC-32/MPEG-2"
	case crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)):
		return "CRC-32C"
	}
	return ""
}

// forwardCRC returns the CRC-32/BZIP2: that of ISO-HDLC with the bits of every
// byte and of the result in reverse order.
func forwardCRC(body []byte) uint32 {
	var sum uint32
	var mirrored [512]byte
	for part := range slices.Chunk(body, len(mirrored)) {
		for i, b := range part {
			mirrored[i] = bits.Reverse8(b)
		}
		sum = crc32.Update(sum, crc32.IEEETable, mirrored[:len(part)])
	}
	return bits.Reverse32(sum)
}
