// Package reason says in MQTT's words what became of a publish.
package reason

import (
	"fmt"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// Again tells whether an envelope that met the error is to be submitted again:
// nothing of it was decided about. A fault of the gateway is among these, because
// an acknowledgement would end what nobody has stored.
func Again(err error) bool {
	if err == nil {
		return false
	}
	switch penstock.CodeOf(err) {
	case penstock.Invalid, penstock.Corrupt, penstock.Forbidden, penstock.Conflict, penstock.TooLarge, penstock.Unsupported, penstock.Unauthenticated:
		return false
	}
	return true
}

// Verdict is what becomes of a publish.
type Verdict struct {
	Code    wire.Code // one that PUBACK and PUBREC may have
	Text    string    // a sentence for the sender, empty for success
	Final   bool      // it was rejected: sending it again will not help
	Revoked bool      // the sender is no longer known
}

// Of reads an outcome.
func Of(o *penstock.Outcome) Verdict {
	switch {
	case o.Err == nil:
	case Again(o.Err):
		return Verdict{Code: wire.QuotaExceeded, Text: o.Err.Error()}
	case penstock.CodeOf(o.Err) == penstock.Unauthenticated:
		return Verdict{Code: wire.NotAuthorized, Text: o.Err.Error(), Revoked: true}
	default:
		return Verdict{Code: wire.InvalidPayload, Text: o.Err.Error(), Final: true}
	}
	rejected, first := 0, -1
	for i := range o.Verdicts {
		if o.Verdicts[i].Result == penstock.Rejected {
			if rejected++; first < 0 {
				first = i
			}
		}
	}
	if rejected == 0 {
		return Verdict{Code: wire.Success}
	}
	v := &o.Verdicts[first]
	text := string(v.Reason) + ": " + v.Detail
	if len(o.Verdicts) > 1 {
		text = fmt.Sprintf("%d of %d reports were rejected, the first as %s", rejected, len(o.Verdicts), text)
	}
	return Verdict{Code: codeOf(v.Reason), Text: text, Final: true}
}

func codeOf(r penstock.Reason) wire.Code {
	switch r {
	case penstock.ReasonForbidden, penstock.ReasonUnknown, penstock.ReasonUnauthenticated:
		return wire.NotAuthorized
	case penstock.ReasonMalformed, penstock.ReasonChecksum, penstock.ReasonTooLarge:
		return wire.InvalidPayload
	case penstock.ReasonLimited, penstock.ReasonGaps:
		return wire.QuotaExceeded
	}
	return wire.ImplementationError
}
