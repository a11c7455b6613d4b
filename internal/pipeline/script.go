package pipeline

import (
	"context"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/script"
)

// Script runs the user's own script.
type Script interface {
	// Run has the script look at the report, which it neither changes nor keeps. The
	// error is one of a temporary code: the report could not be looked at now.
	Run(ctx context.Context, r *penstock.Report) (script.Outcome, error)
}

// scripted lets the user's script change, add and drop samples. Where it fails, the
// report goes on as it came, or to quarantine, or is refused, as the settings say.
type scripted struct{ script Script }

func (s scripted) onReport(ctx context.Context, w *passage, item *intake.Item) *fleet.Refusal {
	r := item.Report
	out, err := s.script.Run(ctx, r)
	switch {
	case err != nil: // the sender is asked to come again, with the whole envelope
		w.refused = &refused{penstock.ReasonLimited, err}
	case out.Rejected:
		return &fleet.Refusal{Reason: penstock.ReasonScript, Detail: out.Fault.Error()}
	case out.Quarantine:
		item.Quarantine = scriptName + ": " + out.Fault.Error()
		return stamp{}.onReport(ctx, w, item) // no other step looks at it
	case out.Dropped:
		item.Filter = true
	case out.Changed:
		r.Samples = append(r.Samples[:0], out.Samples...)
	}
	return nil
}
