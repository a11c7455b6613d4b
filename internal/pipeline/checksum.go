package pipeline

import (
	"context"
	"slices"

	"github.com/penstock/penstock"
	algorithms "github.com/penstock/penstock/internal/checksum"
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
	own         *algorithms.Algorithm // CRC-32/ISO-HDLC
	require     bool
	requireFrom []string
}

func newChecksum(c ChecksumConfig) *checksum {
	own, _ := algorithms.Find("crc-32/iso-hdlc")
	return &checksum{own, c.Require, c.RequireFrom}
}

func (s *checksum) onEnvelope(_ context.Context, w *passage) *refused {
	e := w.envelope
	if !e.HasChecksum {
		if s.require || slices.Contains(s.requireFrom, e.Source) {
			return &refused{penstock.ReasonChecksum, penstock.Errorf(penstock.Invalid,
				"checksum: source %q takes only bodies with a CRC-32 beside them, and this one has none", e.Source)}
		}
		return nil
	}
	sum := s.own.Sum(e.Body)
	if sum == e.Checksum {
		return nil
	}
	return &refused{penstock.ReasonChecksum, s.mismatch(e, sum)}
}

// mismatch returns the error for a body whose CRC-32 is sum, and another than the
// sender said. A sender that computes another CRC is the most frequent cause, and
// no cable mends that: so it is named.
func (s *checksum) mismatch(e *penstock.Envelope, sum uint32) error {
	if variant, ok := s.own.Variant(e.Body, e.Checksum); ok {
		return penstock.Errorf(penstock.Corrupt,
			"checksum: %08x from source %q is the %s of these bytes; Penstock takes CRC-32/ISO-HDLC, that of zlib and Ethernet, here %08x: change it at the sender, the line is sound",
			e.Checksum, e.Source, variant, sum)
	}
	return penstock.Errorf(penstock.Corrupt,
		"checksum: the %d bytes that came have the CRC-32 %08x, source %q declared %08x: they were damaged on the way, send them again",
		len(e.Body), sum, e.Source, e.Checksum)
}
