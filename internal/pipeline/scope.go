package pipeline

import (
	"context"
	"fmt"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/intake"
)

// scope refuses reports of controllers that the sender may not speak for. The
// answer does not tell whether there is such a controller.
type scope struct{}

func (scope) onReport(_ context.Context, w *passage, item *intake.Item) *fleet.Refusal {
	if w.envelope.Principal.Scope.Covers(item.Report.Controller) {
		return nil
	}
	return &fleet.Refusal{
		Reason: penstock.ReasonForbidden,
		Detail: fmt.Sprintf("credential %s may not speak for controller %q", w.envelope.Principal.Credential, item.Report.Controller),
	}
}
