package sink

import (
	"context"

	"github.com/penstock/penstock"
)

// Held is a report in quarantine: one that a sink or a rule refused, kept until a
// person decides.
type Held struct {
	Number uint64 // in the quarantine of its sink, from 1 or 0 on, never used twice
	Reason string // a sentence: why it was refused the last time
	By     string // who refused it: the name of the sink, or of the rule
	Tries  int    // how often it was tried
	First  int64  // nanoseconds since 1970 UTC, when it was refused first
	Last   int64  // nanoseconds since 1970 UTC, when it was refused last
	Report *penstock.Report
}

// Quarantine is what a record keeps of reports that it could not store. A record
// that implements it has its quarantine shown with that of the other sinks; what a
// person decides comes as a [penstock.Decision] in a batch.
type Quarantine interface {
	// Quarantined returns at most limit reports of this node with numbers from first
	// on, in their order.
	Quarantined(ctx context.Context, first uint64, limit int) ([]Held, error)
}
