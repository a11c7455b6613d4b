package penstock

import "context"

// Result is what became of a report.
type Result uint8

// The results. The numbers are part of the formats on disk.
const (
	Accepted  Result = 1 // durable in this node's spool
	Duplicate Result = 2 // this identity is durable already; as good as accepted
	Rejected  Result = 3 // not stored, and never will be: see the reason
)

// String returns the result's name as it stands in answers.
func (r Result) String() string {
	switch r {
	case Accepted:
		return "accepted"
	case Duplicate:
		return "duplicate"
	case Rejected:
		return "rejected"
	}
	return "unknown"
}

// Reason says in one word why input was rejected. The books keep an account a
// reason, so the words are a closed list.
type Reason string

// The reasons. Those down to ReasonTooLarge come up before a report's identity
// can be trusted, and are booked on no controller.
const (
	ReasonUnauthenticated Reason = "unauthenticated" // no valid credential
	ReasonLimited         Reason = "limited"         // over a limit of rate
	ReasonChecksum        Reason = "checksum"        // the checksum does not hold
	ReasonMalformed       Reason = "malformed"       // cannot be decoded
	ReasonTooLarge        Reason = "too_large"       // over a limit of size
	ReasonForbidden       Reason = "forbidden"       // outside the credential's scope
	ReasonUnknown         Reason = "unknown"         // the controller is not registered and may not register itself
	ReasonName            Reason = "name"            // a name breaks the rules
	ReasonIdentity        Reason = "identity"        // epoch, seq or key break the rules
	ReasonConflict        Reason = "conflict"        // the identity is known with another content
	ReasonRefused         Reason = "refused"         // this seq was refused, or declared lost, before: that is final
	ReasonGaps            Reason = "gaps"            // too many gaps in the epoch already
	ReasonType            Reason = "type"            // the value's type is not the point's
	ReasonRange           Reason = "range"           // the value is outside the point's limits
	ReasonUnit            Reason = "unit"            // the unit is not the point's
	ReasonTime            Reason = "time"            // the source time is outside what can be true
	ReasonStatus          Reason = "status"          // no value with a status that is not bad
	ReasonScript          Reason = "script"          // a script refused it
)

// Verdict is the answer to one report.
type Verdict struct {
	Controller string
	Identity   Identity
	Result     Result
	Reason     Reason // when rejected
	Detail     string // when rejected: a sentence for the sender
	Committed  Mark   // what the record has settled without a gap in the identity's epoch
	Accepted   Mark   // what this node holds without a gap in the identity's epoch
}

// Outcome is the answer to one envelope: either a verdict a report, in the
// order of the reports, or an error when none of them could be judged. An error
// of a temporary code says when to try again.
type Outcome struct {
	Verdicts []Verdict
	Err      error
}

// Ticket resolves, once, to an outcome an envelope.
type Ticket interface {
	// Wait blocks until what was accepted is durable and what was refused is
	// booked, or until ctx ends; then the outcome is not known and the sender
	// must be told nothing but to try again. It may be called more than once and
	// by more than one goroutine; all get the same outcomes, which nobody changes
	// any more.
	Wait(ctx context.Context) ([]Outcome, error)
}
