package sink

import (
	"context"
	"time"

	"github.com/penstock/penstock"
)

// What follows is for records that several nodes share. A record implements it beside
// [penstock.Record], as far as it can. All of it is safe for concurrent use, also
// with Settle and Close, and does not wait for a Settle under way.

// Knower is a record that any node may ask what it holds.
type Knower interface {
	// Known returns what the record holds of each epoch of a controller, through
	// whichever node it came, in the order of the epochs; nothing for a controller
	// that it does not know. It sees every transaction whose commit was answered
	// before the call.
	Known(ctx context.Context, controller string) ([]penstock.Known, error)
}

// Leaser is a record through which nodes agree on who does a thing. What counts is
// the clock of the record.
type Leaser interface {
	// Lease takes the lease of the name for ttl, of at least a second, or holds it for
	// that much longer, and tells whether this process has it. After an error that is
	// not known. An earlier process of the same node gives way at once, if the record
	// can tell.
	Lease(ctx context.Context, name string, ttl time.Duration) (held bool, err error)
	// Release gives the lease of the name up, so that another process has it at once.
	// It does nothing where this process does not have it.
	Release(ctx context.Context, name string) error
}
