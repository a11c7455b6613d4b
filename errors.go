package penstock

import (
	"errors"
	"fmt"
	"time"
)

// Code is the kind of an error. Programs act on the code, never on the text.
type Code uint8

// The codes. Adapters translate the errors of their libraries into these at
// their edge; what has no code is [Internal].
const (
	Internal        Code = iota // a fault of the gateway itself
	Invalid                     // the input breaks a rule; sending it again will not help
	Corrupt                     // a checksum or a seal does not hold
	Unauthenticated             // no credential, or one that is not known
	Forbidden                   // the credential's scope does not cover what was named
	NotFound                    // what was named does not exist
	Conflict                    // the identity is known with another content
	TooLarge                    // a limit of size
	Limited                     // a limit of rate: see RetryAfter
	Unavailable                 // for now: see RetryAfter
	Full                        // no room: see RetryAfter
	Unsupported                 // a version, feature or media type that is not known
	Closed                      // the component was closed
)

var codeNames = [...]string{
	Internal: "internal", Invalid: "invalid", Corrupt: "corrupt", Unauthenticated: "unauthenticated",
	Forbidden: "forbidden", NotFound: "not_found", Conflict: "conflict", TooLarge: "too_large",
	Limited: "limited", Unavailable: "unavailable", Full: "full", Unsupported: "unsupported", Closed: "closed",
}

// String returns the code's name as it stands in logs and answers.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "internal"
}

// Temporary tells whether the same call may succeed later.
func (c Code) Temporary() bool { return c == Limited || c == Unavailable || c == Full }

// Error is an error with a code. Layers wrap with fmt.Errorf and %w; the code
// is found through any number of wrappings.
type Error struct {
	Code       Code
	Text       string        // a sentence for the person who must act
	RetryAfter time.Duration // for temporary codes; 0 when unknown
	Err        error         // the cause
}

// Error returns the text, or the cause where there is no text.
func (e *Error) Error() string {
	if e.Text == "" && e.Err != nil {
		return e.Err.Error()
	}
	return e.Text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an error with a code and a formatted text; %w keeps a cause.
func Errorf(c Code, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: c, Text: err.Error(), Err: errors.Unwrap(err)}
}

// RetryLater returns an error of a temporary code that says when to try again.
func RetryLater(c Code, after time.Duration, text string) error {
	return &Error{Code: c, Text: text, RetryAfter: after}
}

// CodeOf returns the code of err: [Internal] when it has none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// RetryAfterOf returns how long to wait before trying again, 0 when unknown.
func RetryAfterOf(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}
