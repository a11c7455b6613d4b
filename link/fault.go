package link

import (
	"errors"
	"fmt"

	"github.com/penstock/penstock"
)

// Fault names why a frame, a block or a datagram was refused. It is the cause in
// the errors of this package: see [FaultOf].
type Fault string

// The faults, by the names in docs/link-protocol.md.
const (
	FaultHeader   Fault = "header"   // the header check does not hold: the length means nothing
	FaultVersion  Fault = "version"  // the version is not known
	FaultLength   Fault = "length"   // more than the reader takes
	FaultFeature  Fault = "feature"  // a bit of features is not known
	FaultChecksum Fault = "checksum" // damaged
	FaultVariant  Fault = "variant"  // whole, but under another kind of CRC-32: the sender's program is wrong, not the cable
	FaultKind     Fault = "kind"     // not known, or from the wrong side
	FaultPayload  Fault = "payload"  // a field breaks a rule
	FaultCOBS     Fault = "cobs"     // the block is not COBS, or not exactly one frame
	FaultSeal     Fault = "seal"     // the datagram is not ours, or was changed
	FaultReplay   Fault = "replay"   // the datagram came before
)

// Error returns the fault's name.
func (f Fault) Error() string { return string(f) }

// code returns the code of errors with this fault.
func (f Fault) code() penstock.Code {
	switch f {
	case FaultHeader, FaultChecksum, FaultVariant, FaultCOBS, FaultSeal:
		return penstock.Corrupt
	case FaultVersion, FaultFeature, FaultKind:
		return penstock.Unsupported
	case FaultLength:
		return penstock.TooLarge
	case FaultReplay:
		return penstock.Forbidden
	}
	return penstock.Invalid
}

// FaultOf returns the fault in err's chain, and "" where there is none.
func FaultOf(err error) Fault {
	var f Fault
	errors.As(err, &f)
	return f
}

// Errorf returns an error with the fault as its cause and the code that goes
// with it.
func (f Fault) Errorf(format string, args ...any) error {
	return &penstock.Error{Code: f.code(), Text: fmt.Sprintf(format, args...), Err: f}
}
