package sim

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/pause"
)

// A controller makes reports as their time comes and delivers each in a
// goroutine of its own, a bounded number at a time. When that many are under
// way, later reports wait in the controller, with their source time unchanged.
type controller struct {
	fleet  *Fleet
	number int
	ledger *Ledger
}

func (c *controller) run(ctx context.Context) {
	var deliveries sync.WaitGroup
	defer deliveries.Wait()
	slots := make(chan struct{}, c.fleet.o.InFlight)
	for seq := uint64(1); ; seq++ {
		due := time.Until(time.Unix(0, c.fleet.o.Model.SourceTime(c.number, seq)))
		if !c.sleepUntilStop(ctx, due) {
			return
		}
		select {
		case slots <- struct{}{}:
		case <-c.fleet.stop:
			return
		case <-ctx.Done():
			return
		}
		deliveries.Go(func() {
			defer func() { <-slots }()
			c.deliver(ctx, seq)
		})
	}
}

// deliver tries until the report is settled or ctx ends.
func (c *controller) deliver(ctx context.Context, seq uint64) {
	f := c.fleet
	var report penstock.Report
	f.o.Model.Report(&report, c.number, seq)
	for try := 0; ; try++ {
		fate := f.o.Impair.fate(f.o.Seed, uint64(c.number), seq, try, f.o.Model.Interval())
		if try > 0 {
			f.stats.retries.Add(1)
		}
		if fate.hold > 0 {
			f.stats.held.Add(1)
		}
		if pause.For(ctx, fate.hold) != nil {
			return
		}
		wait := c.try(ctx, &report, fate)
		if c.ledger.settled(seq) {
			if fate.again > 0 && pause.For(ctx, fate.again) == nil {
				f.stats.copies.Add(1)
				c.send(ctx, &report, false)
			}
			return
		}
		if pause.For(ctx, max(wait, c.backoff(seq, try))) != nil {
			return
		}
	}
}

// try makes one try with its mishaps. It returns how long the gateway asked to
// wait before the next one, 0 when it did not.
func (c *controller) try(ctx context.Context, r *penstock.Report, f fate) time.Duration {
	stats := &c.fleet.stats
	switch {
	case f.lost:
		stats.lost.Add(1)
		return 0
	case f.damage != 0:
		c.sendDamaged(ctx, r, f.damage)
		return 0
	}
	if f.unanswered {
		stats.lost.Add(1)
	}
	if !f.twice {
		return c.send(ctx, r, f.unanswered)
	}
	stats.copies.Add(1)
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { c.send(ctx, r, f.unanswered) })
	return c.send(ctx, r, f.unanswered)
}

// send puts an intact message on the wire and books the answer; when the answer
// is thrown away, the sender learns nothing. It returns how long the gateway
// asked to wait.
func (c *controller) send(ctx context.Context, r *penstock.Report, throwAway bool) time.Duration {
	f, seq := c.fleet, r.Identity.Seq
	if c.ledger.Note(seq, Sent)&Sent == 0 {
		f.stats.reports.Add(1)
	}
	started := time.Now()
	answer, err := c.exchange(ctx, Message{Controller: c.number, Report: r})
	switch {
	case throwAway:
		return 0
	case errors.Is(err, ErrUnknown):
		f.stats.unknown.Add(1)
		f.trouble.latest(err)
		return 0
	case err != nil && penstock.CodeOf(err).Temporary():
		f.stats.busy.Add(1)
		return penstock.RetryAfterOf(err)
	case err != nil:
		f.note.first(err)
		return 0
	}
	f.latency.Add(time.Since(started))
	c.book(seq, answer)
	return 0
}

// book writes an answer into the ledger.
func (c *controller) book(seq uint64, a Answer) {
	f := c.fleet
	c.ledger.NoteCommitted(a.Committed.Seq)
	switch a.Result {
	case penstock.Rejected:
		f.note.first(penstock.Errorf(penstock.Conflict, "report %d of %s was rejected: %s: %s", seq, f.o.Model.Name(c.number), a.Reason, a.Detail))
		if c.ledger.Note(seq, Refused)&Refused == 0 {
			f.stats.rejected.Add(1)
		}
		return
	case penstock.Duplicate:
		f.stats.duplicate.Add(1)
	}
	if c.ledger.Note(seq, Acknowledged)&Acknowledged == 0 {
		f.stats.accepted.Add(1)
	}
}

// sendDamaged puts a damaged message on the wire. The sender does not believe
// any answer to it but a refusal of the message.
func (c *controller) sendDamaged(ctx context.Context, r *penstock.Report, damage uint64) {
	f := c.fleet
	f.stats.corrupted.Add(1)
	_, err := c.exchange(ctx, Message{Controller: c.number, Report: r, Damage: damage})
	switch {
	case err == nil:
		f.stats.corruptAccepted.Add(1)
		f.note.first(penstock.Errorf(penstock.Corrupt, "a damaged message of %s was taken for good", r.Controller))
	case errors.Is(err, ErrUnknown):
		f.stats.unknown.Add(1)
		f.trouble.latest(err)
	case penstock.CodeOf(err).Temporary():
		f.stats.busy.Add(1)
	default:
		f.stats.corruptRefused.Add(1)
	}
}

func (c *controller) exchange(ctx context.Context, m Message) (Answer, error) {
	c.fleet.stats.messages.Add(1)
	ctx, cancel := context.WithTimeout(ctx, c.fleet.o.Timeout)
	defer cancel()
	return c.fleet.o.Transport.Send(ctx, m)
}

// backoff doubles from one try to the next, with a jitter of half its length.
func (c *controller) backoff(seq uint64, try int) time.Duration {
	d := c.fleet.o.Backoff << min(try, 4)
	h := mix(c.fleet.o.Seed, uint64(c.number), 9, seq<<8|uint64(try)&0xff)
	return d/2 + time.Duration(h%uint64(d))
}

// sleepUntilStop waits; it returns false when no further report is wanted.
func (c *controller) sleepUntilStop(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil && !c.stopped()
	case <-c.fleet.stop:
		return false
	case <-ctx.Done():
		return false
	}
}

func (c *controller) stopped() bool {
	select {
	case <-c.fleet.stop:
		return true
	default:
		return false
	}
}
