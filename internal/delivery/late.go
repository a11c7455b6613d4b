package delivery

import (
	"context"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/delivery/trouble"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/shelf"
	"github.com/penstock/penstock/internal/sink"
)

// maxLate is how many reports of a sink wait for another try, each for itself, before
// the others wait for them.
const maxLate = 256

// later is the reports that failed while others of their load did not. They are tried
// again, later each time, and do not hold up what follows.
type later struct {
	list      []attempt
	positions interval.Set
}

// attempt is a report that failed.
type attempt struct {
	failure
	tries int // refusals for good
	turns int // of all kinds
	first time.Time
	due   time.Time
}

// add takes reports over that failed for the first time.
func (l *later) add(failed []failure, now time.Time) {
	for _, f := range failed {
		a := attempt{failure: f, first: now}
		a.failed(f.err, now)
		l.list = append(l.list, a)
		l.positions.Add(uint64(f.Position), uint64(f.Position))
	}
}

// failed books a failure.
func (a *attempt) failed(err error, now time.Time) {
	a.err = err
	if a.turns++; trouble.Refusal(err) {
		a.tries++
	}
	a.due = now.Add(max(min(trouble.FirstBackoff<<min(a.turns, 10), trouble.LastBackoff), min(penstock.RetryAfterOf(err), trouble.LastBackoff)))
}

// next returns when one is to be tried, zero when there is none.
func (l *later) next() (next time.Time) {
	for i := range l.list {
		if at := l.list[i].due; next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

// due tells whether one is to be tried now.
func (l *later) due(now time.Time) bool {
	next := l.next()
	return !next.IsZero() && !now.Before(next)
}

// blocks tells whether nothing else is delivered before these.
func (l *later) blocks(o sink.Order) bool {
	return len(l.list) >= maxLate || o == sink.InOrder && len(l.list) > 0
}

// writeLate tries those again that are due. What was refused for good as often as it is
// named goes to quarantine.
func (d *drive) writeLate(ctx context.Context) error {
	now := d.env.Now()
	var tried, left []attempt
	for _, a := range d.late.list {
		if now.Before(a.due) {
			left = append(left, a)
		} else {
			tried = append(tried, a)
		}
	}
	t := d.target.(*plainTarget) // only a plain sink fails in parts
	change, again, err := d.retry(ctx, t, tried)
	if err != nil {
		return err
	}
	if err := t.shelf.Save(change); err != nil {
		return err
	}
	d.late.list = append(left, again...)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range tried {
		d.done.Add(uint64(a.Position), uint64(a.Position))
		d.late.positions.Remove(uint64(a.Position), uint64(a.Position))
	}
	for _, a := range again {
		d.done.Remove(uint64(a.Position), uint64(a.Position))
		d.late.positions.Add(uint64(a.Position), uint64(a.Position))
	}
	return nil
}

// retry writes attempts, and returns what follows for the shelf and what is left.
func (d *drive) retry(ctx context.Context, t *plainTarget, tried []attempt) (c shelf.Change, again []attempt, err error) {
	ds := make([]penstock.Delivery, len(tried))
	for i := range tried {
		ds[i] = tried[i].Delivery
	}
	within, cancel := context.WithTimeout(ctx, d.spec.Settings.Timeout.Std())
	defer cancel()
	failed, err := t.send(within, ds)
	if err != nil {
		return c, nil, err
	}
	causes := map[penstock.Position]error{}
	for _, f := range failed {
		causes[f.Position] = f.err
	}
	var settled []penstock.Position
	written := uint64(0)
	now := d.env.Now()
	for _, a := range tried {
		err := causes[a.Position]
		if err != nil {
			a.failed(err, now)
			if a.tries < d.spec.Settings.Tries {
				again = append(again, a)
				continue
			}
			h := t.hold(a.Delivery, a.tries, err.Error())
			h.First = a.first.UnixNano()
			c.Put = append(c.Put, h)
			d.logger.Warn("a report went to quarantine", "controller", a.Report.Controller, "identity", a.Report.Identity.String(), "tries", a.tries, "reason", err)
		} else {
			written++
		}
		settled = append(settled, a.Position)
	}
	c.Edit = func(p *shelf.Place) {
		for _, at := range settled {
			p.Settled.Add(uint64(at), uint64(at))
		}
		p.Books.Delivered += written
	}
	return c, again, nil
}
