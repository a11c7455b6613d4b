package sink

import (
	"context"

	"github.com/penstock/penstock/internal/shelf"
)

// Held is a report in quarantine: one that a sink or a rule refused, kept until a
// person decides.
type Held = shelf.Held

// Quarantine is what a record keeps of reports that it could not store. A record
// that implements it has its quarantine shown with that of the other sinks; what a
// person decides comes as a [penstock.Decision] in a batch.
type Quarantine interface {
	// Quarantined returns at most limit reports of this node with numbers from first
	// on, in their order.
	Quarantined(ctx context.Context, first uint64, limit int) ([]Held, error)
}
