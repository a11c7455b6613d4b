package trouble

import (
	"math/rand/v2"
	"time"

	"github.com/penstock/penstock"
)

// The bounds of the back-off after a failure, and when a sink counts as down.
const (
	FirstBackoff = 100 * time.Millisecond
	LastBackoff  = 15 * time.Second
	openAfter    = 5  // failures in a row
	ProbeReports = 16 // of the first batch after that
)

// Breaker says when a sink is tried again.
type Breaker struct {
	failures int // in a row
	backoff  time.Duration
}

// Failed books a failure, and returns how long to wait: longer each time, by chance,
// so that what failed together does not come back together, and not before the
// destination wants it.
func (b *Breaker) Failed(err error) time.Duration {
	b.failures++
	b.backoff = min(max(2*b.backoff, FirstBackoff), LastBackoff)
	pause := b.backoff/2 + rand.N(b.backoff/2)
	return max(pause, min(penstock.RetryAfterOf(err), LastBackoff))
}

// Worked books a success.
func (b *Breaker) Worked() { *b = Breaker{} }

// Open tells whether the sink counts as down: then it is tried with little.
func (b *Breaker) Open() bool { return b.failures >= openAfter }

// Own tells whether an error is that of the reports and not of the destination:
// writing them again will not help.
func Own(err error) bool {
	switch penstock.CodeOf(err) {
	case penstock.Invalid, penstock.TooLarge, penstock.Corrupt, penstock.Conflict, penstock.Unsupported:
		return true
	}
	return false
}

// Refusal is [Own] for an error that names one report: there the destination says what
// it may not be sent, too.
func Refusal(err error) bool {
	code := penstock.CodeOf(err)
	return Own(err) || code == penstock.Forbidden || code == penstock.NotFound
}

// Failures returns how many there were in a row.
func (b *Breaker) Failures() int { return b.failures }
