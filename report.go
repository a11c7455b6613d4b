package penstock

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of the format, fixed for ever.
const (
	MaxSequence = 1<<53 - 1 // largest epoch and seq
	MaxName     = 128       // bytes of a controller's or a point's name
	MaxUnit     = 32        // bytes of a UCUM unit
	MaxKey      = 255       // bytes of an idempotency key
	MaxText     = 64 << 10  // bytes of a text value
	MaxSamples  = 1<<16 - 1 // samples of a report
	MaxReport   = 1 << 20   // bytes of a report in the encoding of package link
)

// SampleFlags tell how a sample's time came about. The bits are part of the
// formats on disk and on the wire.
type SampleFlags uint8

// The flags of a sample.
const (
	GatewayClock SampleFlags = 1 << 0 // the protocol has no time: the gateway stamped it on receipt
	SkewedClock  SampleFlags = 1 << 1 // the controller's clock was implausible when the report came
	Historical   SampleFlags = 1 << 2 // sent after an outage, not live
)

// Sample is one value of one point.
type Sample struct {
	Point      string      // NFC, at most MaxName bytes, '/' allowed
	SourceTime int64       // nanoseconds since 1970 UTC on the controller's clock, never rewritten
	Value      Value       // none only with a bad status
	Status     Status      // OPC UA StatusCode
	Native     uint32      // the protocol's own quality bits, 0 where it has none
	Unit       string      // UCUM as sent, empty when the report does not say
	Flags      SampleFlags // origin and plausibility of SourceTime
}

// IdentityForm says by what a report is told apart from every other report.
type IdentityForm uint8

// The forms of identity, in the order of their strength. The numbers are part
// of the formats on disk and on the wire.
const (
	Natural  IdentityForm = 0 // (controller, point, source time) of each sample
	Keyed    IdentityForm = 1 // (controller, key)
	Sequence IdentityForm = 2 // (controller, epoch, seq)
)

// Identity tells a controller's report from all its others. The zero Identity
// is natural.
type Identity struct {
	Form  IdentityForm
	Epoch uint64 // Sequence: grows when the controller loses its sequence
	Seq   uint64 // Sequence: 1, 2, 3 … within the epoch
	Key   string // Keyed: at most MaxKey bytes
}

// SequenceIdentity returns the identity (epoch, seq).
func SequenceIdentity(epoch, seq uint64) Identity {
	return Identity{Form: Sequence, Epoch: epoch, Seq: seq}
}

// KeyIdentity returns the identity of an idempotency key.
func KeyIdentity(key string) Identity { return Identity{Form: Keyed, Key: key} }

// String returns the identity for logs: "3/17", "key:…" or "natural".
func (id Identity) String() string {
	switch id.Form {
	case Sequence:
		return strconv.FormatUint(id.Epoch, 10) + "/" + strconv.FormatUint(id.Seq, 10)
	case Keyed:
		return "key:" + id.Key
	}
	return "natural"
}

// Check returns an error of code [Invalid] when the identity breaks a limit.
func (id Identity) Check() error {
	switch id.Form {
	case Sequence:
		if id.Epoch < 1 || id.Epoch > MaxSequence {
			return Errorf(Invalid, "epoch %d is outside 1 to 2^53-1", id.Epoch)
		}
		if id.Seq < 1 || id.Seq > MaxSequence {
			return Errorf(Invalid, "seq %d is outside 1 to 2^53-1", id.Seq)
		}
	case Keyed:
		if id.Key == "" || len(id.Key) > MaxKey {
			return Errorf(Invalid, "a key has 1 to %d bytes, this one has %d", MaxKey, len(id.Key))
		}
		if !utf8.ValidString(id.Key) {
			return Errorf(Invalid, "the key %s is not valid UTF-8", quotedPrefix(id.Key))
		}
	case Natural:
	default:
		return Errorf(Invalid, "identity form %d is unknown", id.Form)
	}
	return nil
}

// Fingerprint is a digest of a report's content as decoded, before any
// transformation. Equal identities with different fingerprints are a conflict.
type Fingerprint uint64

// Report is what a controller sends at once.
type Report struct {
	Controller  string // NFC, at most MaxName bytes, no '/'
	Identity    Identity
	Samples     []Sample
	Fingerprint Fingerprint

	Source       string // configured name of the source it came through
	ReceivedTime int64  // nanoseconds since 1970 UTC, the gateway's clock, at the last byte
	AcceptedTime int64  // nanoseconds since 1970 UTC, the gateway's clock, at admission to the spool
}

// Mark names the last seq of an epoch up to which something holds without a
// gap. Seq 0 means for none yet.
type Mark struct {
	Epoch uint64
	Seq   uint64
}

// CheckControllerName returns an error of code [Invalid] when name cannot be a
// controller's: see [CheckPointName]; moreover '/' is not allowed. Whether the
// name is in Unicode's normal form C is checked where names enter the gateway.
func CheckControllerName(name string) error {
	return checkName("controller", name, false)
}

// CheckPointName returns an error of code [Invalid] when name cannot be a
// point's: it has 1 to [MaxName] bytes of valid UTF-8 without control characters.
func CheckPointName(name string) error {
	return checkName("point", name, true)
}

// CheckUnit returns an error of code [Invalid] when unit cannot be a sample's:
// it has at most [MaxUnit] bytes of valid UTF-8 without control characters, and
// may be empty.
func CheckUnit(unit string) error {
	if len(unit) > MaxUnit {
		return Errorf(Invalid, "a unit has at most %d bytes, %s… has %d", MaxUnit, quotedPrefix(unit), len(unit))
	}
	return checkLine("", "unit", unit)
}

func checkName(what, name string, slash bool) error {
	if name == "" {
		return Errorf(Invalid, "a %s needs a name", what)
	}
	if len(name) > MaxName {
		return Errorf(Invalid, "the name of a %s has at most %d bytes, %s… has %d", what, MaxName, quotedPrefix(name), len(name))
	}
	if !slash && strings.Contains(name, "/") {
		return Errorf(Invalid, "the name of %s %s has a '/', which only points may have", what, quotedPrefix(name))
	}
	return checkLine("name of ", what, name)
}

// checkLine returns an error when s is not valid UTF-8 on one line. It joins what
// s is only for an error: it runs for every report.
func checkLine(part, what, s string) error {
	if !utf8.ValidString(s) {
		return Errorf(Invalid, "the %s%s %s is not valid UTF-8", part, what, quotedPrefix(s))
	}
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return Errorf(Invalid, "the %s%s %s has a control character", part, what, quotedPrefix(s))
		}
	}
	return nil
}

func quotedPrefix(s string) string {
	const keep = 40
	if len(s) > keep {
		s = s[:keep]
	}
	return fmt.Sprintf("%q", s)
}
