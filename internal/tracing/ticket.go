package tracing

import (
	"context"

	"github.com/penstock/penstock"
)

// followed is a ticket whose outcome is told to who follows its envelopes.
type followed struct {
	penstock.Ticket
	trails []*Trail
}

// Ticket returns a ticket that tells each trail how its envelope came out; trails has
// one for each envelope, nil for one that nobody follows.
func Ticket(t penstock.Ticket, trails []*Trail) penstock.Ticket { return &followed{t, trails} }

// Wait implements [penstock.Ticket].
func (t *followed) Wait(ctx context.Context) ([]penstock.Outcome, error) {
	outcomes, err := t.Ticket.Wait(ctx)
	if err != nil && ctx.Err() != nil {
		return outcomes, err // it is not known yet
	}
	for i, trail := range t.trails {
		if err != nil {
			trail.Durable(nil, err)
		} else {
			trail.Durable(&outcomes[i], nil)
		}
	}
	return outcomes, err
}
