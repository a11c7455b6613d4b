package intake

import (
	"context"

	"github.com/penstock/penstock"
)

// ticket resolves when its submission is durable, or cannot be. It is never used
// again: who waits may look at the outcomes for as long as he likes.
type ticket struct {
	ready    chan struct{} // closed when the outcomes are final
	outcomes []penstock.Outcome
	err      error // of a submission that answers nobody

	outcome [1]penstock.Outcome // room for the usual: one envelope with one report
	verdict [1]penstock.Verdict
}

// newTicket returns a ticket with room for the verdicts on all reports.
func newTicket(js []Judged) *ticket {
	t := &ticket{ready: make(chan struct{})}
	reports := 0
	for i := range js {
		reports += len(js[i].Reports)
	}
	t.outcomes = t.outcome[:]
	if len(js) != 1 {
		t.outcomes = make([]penstock.Outcome, len(js))
	}
	verdicts := t.verdict[:]
	if reports != 1 {
		verdicts = make([]penstock.Verdict, reports)
	}
	for i := range js {
		if js[i].Err == nil {
			n := len(js[i].Reports)
			t.outcomes[i].Verdicts = verdicts[:n:n]
			verdicts = verdicts[n:]
		}
	}
	return t
}

func (t *ticket) resolve() { close(t.ready) }

// Wait implements [penstock.Ticket].
func (t *ticket) Wait(ctx context.Context) ([]penstock.Outcome, error) {
	select {
	case <-t.ready:
		return t.outcomes, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
