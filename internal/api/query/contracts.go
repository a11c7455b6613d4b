package query

import (
	"context"
	"iter"

	"github.com/penstock/penstock"
)

// Historian answers queries. Times are nanoseconds since 1970 UTC, ranges hold
// from and not to.
type Historian interface {
	// Series returns the series that the selector names, in any order.
	Series(sel Selector) []Series
	// Latest returns the sample with the newest source time, false for none.
	Latest(ctx context.Context, id uint64) (penstock.Sample, bool, error)
	// Samples yields the samples in the order of their source times. Samples of
	// one time keep their order from call to call.
	Samples(ctx context.Context, id uint64, from, to int64) iter.Seq2[penstock.Sample, error]
	// Aggregates yields a bucket for each step that has samples, in order. Steps
	// begin at multiples of step since 1970 UTC.
	Aggregates(ctx context.Context, id uint64, from, to, step int64) iter.Seq2[Bucket, error]
	// Wait returns when all positions up to p are settled, or ctx ends.
	Wait(ctx context.Context, p penstock.Position) error
}

// Selector names series. In Controller and Point '*' stands for any run of
// characters; empty means all. The scope holds for controllers besides.
type Selector struct {
	Controller string
	Point      string
	Scope      penstock.Scope
}

// Series is one controller's point in the historian.
type Series struct {
	ID         uint64
	Controller string
	Point      string
	Unit       string
	Kind       penstock.Kind
}

// Bucket is what one step of a series holds.
type Bucket struct {
	Start       int64  // nanoseconds since 1970 UTC
	Count       uint64 // samples that are numbers and not bad: those in Min, Max and Sum
	Unusable    uint64 // the other samples
	Min, Max    float64
	Sum         float64
	First, Last penstock.Value // of the first and the last sample that is usable
	Worst       penstock.Status
}

// Ledger has the books.
type Ledger interface {
	// Books returns the account of each controller, in any order.
	Books() []Account
	// Nameless returns how much input was refused before it named a controller.
	Nameless() map[penstock.Reason]uint64
}

// Account is a controller's account in reports. Received is the sum of Accepted,
// Duplicate and Rejected; Accepted is the sum of what stands below Rejected.
type Account struct {
	Controller string
	Received   uint64
	Accepted   uint64
	Duplicate  uint64
	Rejected   map[penstock.Reason]uint64

	Committed         uint64 // settled in the record
	DuplicateAtRecord uint64 // the record had it already
	InSpool           uint64 // durable here, not yet settled
	Quarantined       uint64 // refused by the record, waiting for a person
	Filtered          uint64 // dropped on purpose by a step
	Discarded         uint64 // by a person
	Damaged           uint64 // rotten on disk, to be sent again
}

// Spool tells how far the log is durable.
type Spool interface {
	Durable() penstock.Position
}
