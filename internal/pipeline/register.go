package pipeline

import (
	"context"

	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/intake"
)

// register asks the fleet whether it takes reports of the controller. From here
// on a refusal stands in the controller's own books: the sender may speak for it,
// and it is one that the fleet has room for.
type register struct{ fleet *fleet.Fleet }

func (s register) onReport(_ context.Context, _ *passage, item *intake.Item) *fleet.Refusal {
	refusal := s.fleet.Register(item.Report)
	item.Trusted = refusal == nil
	return refusal
}
