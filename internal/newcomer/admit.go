package newcomer

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/intake"
)

// mostParked is how many calls of Admit wait for the record at once. What they hold
// is bounded by the memory that the node gives to requests under way.
const mostParked = 1024

// Admit hands on what the node knows the controllers of, at once. Reports of others
// wait until the record was asked; then they are admitted, or, when it could not be
// asked, their envelopes are refused for now.
func (d *Desk) Admit(js []intake.Judged) penstock.Ticket {
	strangers := d.strangers(js)
	if len(strangers) == 0 {
		return &asking{d.Intake.Admit(js), d}
	}
	return d.park(js, strangers)
}

// asking is a ticket that has the record asked when it shows a hole: a controller that
// sends again what is not committed here may wait for what went through another node.
type asking struct {
	penstock.Ticket
	desk *Desk
}

// Wait implements [penstock.Ticket].
func (a *asking) Wait(ctx context.Context) ([]penstock.Outcome, error) {
	outcomes, err := a.Ticket.Wait(ctx)
	for i := range outcomes {
		for k := range outcomes[i].Verdicts {
			v := &outcomes[i].Verdicts[k]
			if v.Result == penstock.Duplicate && v.Identity.Form == penstock.Sequence && v.Committed.Seq < v.Identity.Seq {
				a.desk.refresh(v.Controller)
			}
		}
	}
	return outcomes, err
}

// strangers returns the controllers whose sequences the node knows nothing of.
func (d *Desk) strangers(js []intake.Judged) (names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range js {
		for k := range js[i].Reports {
			r := js[i].Reports[k].Report
			if r.Identity.Form != penstock.Sequence || d.familiar[r.Controller] == r.Identity.Epoch || slices.Contains(names, r.Controller) {
				continue
			}
			if d.isFresh(r.Controller) || d.Intake.Knows(r.Controller, r.Identity.Epoch) {
				if len(d.familiar) >= mostFamiliar {
					clear(d.familiar) // they are looked up again
				}
				d.familiar[r.Controller] = r.Identity.Epoch
				continue
			}
			names = append(names, r.Controller)
		}
	}
	return names
}

// parked is the ticket of a call that waits for the record.
type parked struct {
	ready    chan struct{}      // closed when what follows is final
	outcomes []penstock.Outcome // of the envelopes that were refused
	admitted []int              // the envelopes that were not
	ticket   penstock.Ticket    // of those
}

// Wait implements [penstock.Ticket].
func (p *parked) Wait(ctx context.Context) ([]penstock.Outcome, error) {
	select {
	case <-p.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if p.ticket == nil {
		return p.outcomes, nil
	}
	admitted, err := p.ticket.Wait(ctx)
	if err != nil || len(admitted) == len(p.outcomes) {
		return admitted, err
	}
	all := slices.Clone(p.outcomes) // others may wait as well
	for i, at := range p.admitted {
		all[at] = admitted[i]
	}
	return all, nil
}

// park keeps a copy of the reports until the record was asked about the strangers
// among their controllers, or until the patience is over.
func (d *Desk) park(js []intake.Judged, strangers []string) penstock.Ticket {
	p := &parked{ready: make(chan struct{}), outcomes: make([]penstock.Outcome, len(js))}
	kept := copyOf(js)
	resolve := sync.OnceFunc(func() { d.resolve(p, kept) })
	timer := time.AfterFunc(d.Patience, resolve)
	var left atomic.Int64 // questions that are not answered, and this call
	left.Store(1)
	one := func() {
		if left.Add(-1) == 0 {
			timer.Stop()
			resolve()
		}
	}
	d.mu.Lock()
	if d.parked++; d.parked <= mostParked {
		for _, name := range strangers {
			if q := d.begin(name); q != nil {
				left.Add(1)
				q.then = append(q.then, one)
			}
		}
	}
	d.mu.Unlock()
	one()
	return p
}

// resolve admits what may be admitted, and refuses the rest for now.
func (d *Desk) resolve(p *parked, js []intake.Judged) {
	var admit []intake.Judged
	for i := range js {
		if err := d.refusal(&js[i]); err != nil {
			p.outcomes[i].Err = err
			continue
		}
		p.admitted = append(p.admitted, i)
		admit = append(admit, js[i])
	}
	if len(admit) > 0 {
		p.ticket = d.Intake.Admit(admit)
	}
	d.mu.Lock()
	d.parked--
	d.mu.Unlock()
	close(p.ready)
}

// refusal returns why an envelope has to come again, nil when it may be admitted.
func (d *Desk) refusal(j *intake.Judged) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k := range j.Reports {
		r := j.Reports[k].Report
		if r.Identity.Form != penstock.Sequence || d.isFresh(r.Controller) {
			continue
		}
		if err := d.verdict(r.Controller); err != nil {
			return err
		}
	}
	return nil
}

// copyOf returns a copy of what serves another call soon, but for strings.
func copyOf(js []intake.Judged) []intake.Judged {
	kept := slices.Clone(js)
	for i := range kept {
		kept[i].Reports = slices.Clone(kept[i].Reports)
		for k := range kept[i].Reports {
			r := *kept[i].Reports[k].Report
			r.Samples = slices.Clone(r.Samples)
			kept[i].Reports[k].Report = &r
		}
	}
	return kept
}
