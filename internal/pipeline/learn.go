package pipeline

import (
	"context"

	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/intake"
)

// learn teaches the fleet the points of reports that passed every step. It may
// still refuse a report: when another one, at the same moment or before it in the
// same envelope, made one of its points something else. What it taught stays when
// the intake finds that the report is a duplicate or in conflict with another one.
type learn struct{ fleet *fleet.Fleet }

func (s learn) onReport(_ context.Context, w *passage, item *intake.Item) *fleet.Refusal {
	if !w.fresh {
		return nil
	}
	return s.fleet.Learn(item.Report, w.literal)
}
