package delivery

import (
	"context"
	"fmt"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/delivery/reading"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/shelf"
)

// recordTarget is a record, which keeps its place itself.
type recordTarget struct {
	*lane
	record penstock.Record
}

func (t *recordTarget) close() error { return t.record.Close() }

// resume asks the record where it stands. The system of record's settlements that
// nobody has been told are told the intake: the process before this one ended, or the
// connection broke, between the two.
func (t *recordTarget) resume(ctx context.Context) (interval.Set, error) {
	within, cancel := context.WithTimeout(ctx, t.spec.Settings.Timeout.Std())
	defer cancel()
	runs, renewed, err := t.ask(within)
	if err != nil {
		return interval.Set{}, err
	}
	var all interval.Set
	for _, run := range runs {
		all.Add(uint64(run.First), uint64(run.Last))
	}
	place := t.shelf.Place()
	known := place.Settled
	if t.main {
		known = t.set.Intake.Past()
		if err := t.tell(ctx, runs, &known); err != nil {
			return interval.Set{}, err
		}
	}
	if place.Used && !renewed {
		t.compare(&known, &all, &place.GivenUp)
	}
	if err := t.cover(within, &all); err != nil {
		return interval.Set{}, err
	}
	return all, t.shelf.Save(shelf.Change{Edit: func(p *shelf.Place) {
		p.Used, p.Settled, p.GivenUp = true, all.Clone(), interval.Set{}
	}})
}

// ask resumes the record. When somebody else has settled in this node's name, the node
// takes another, and the record is given all that the spool has.
func (t *recordTarget) ask(ctx context.Context) (runs []penstock.Settled, renewed bool, err error) {
	was := t.env.Node().ID
	runs, err = t.record.Resume(ctx)
	if penstock.CodeOf(err) != penstock.Conflict {
		return runs, false, err
	}
	t.logger.Error("another copy of this node's data has delivered in its name; the node goes on under a new id, and delivers all that its spool has once more",
		"error", err, "id", was)
	if err := t.set.Self.Renew(was); err != nil {
		return nil, true, err
	}
	runs, err = t.record.Resume(ctx)
	return runs, true, err
}

// tell tells the intake what the record has settled and the intake does not know.
func (t *recordTarget) tell(ctx context.Context, runs []penstock.Settled, known *interval.Set) error {
	l := reading.Loader{Log: t.set.Log, Name: t.spec.Name, Main: true, Logger: t.logger}
	for _, run := range runs {
		var untold interval.Set
		untold.Add(uint64(run.First), uint64(run.Last))
		for span := range known.All {
			untold.Remove(span.First, span.Last)
		}
		for span := range untold.All {
			first, last := penstock.Position(span.First), penstock.Position(span.Last)
			err := l.Settled(first, last, func(ds []penstock.Delivery) error {
				receipt := penstock.Receipt{Settlements: make([]penstock.Settlement, len(ds))}
				for i, d := range ds {
					if receipt.Settlements[i] = run.Other[d.Position]; receipt.Settlements[i] == 0 {
						receipt.Settlements[i] = penstock.Stored
					}
				}
				t.set.Intake.Settled(through(ds, first), receipt)
				return ctx.Err()
			})
			if err != nil {
				return err
			}
			t.set.Intake.Settled(penstock.Batch{First: first, Last: last}, penstock.Receipt{})
		}
	}
	return nil
}

// through returns the batch of deliveries that begins at a position.
func through(ds []penstock.Delivery, first penstock.Position) penstock.Batch {
	b := penstock.Batch{First: first, Last: first - 1, Deliveries: ds}
	if len(ds) > 0 {
		b.First, b.Last = ds[0].Position, ds[len(ds)-1].Position
	}
	return b
}

// compare finds what the record had settled and has no more, as after a failover to a
// replica that lacked the last transactions: it is fed again, as far as the spool has
// it.
func (t *recordTarget) compare(known, all, givenUp *interval.Set) {
	var lacking interval.Set
	for span := range known.All {
		lacking.Add(span.First, span.Last)
	}
	for _, set := range [...]*interval.Set{all, givenUp} {
		for span := range set.All {
			lacking.Remove(span.First, span.Last)
		}
	}
	whole := lacking.Count()
	if whole == 0 {
		return
	}
	gone := uint64(0)
	if first := uint64(t.set.Log.First()); first > 1 {
		gone = lacking.Remove(1, first-1)
	}
	t.logger.Error("the record came back with less than it had settled; it is fed again what the spool has",
		"entries_missing", whole, "fed_again", whole-gone, "no_longer_in_the_spool", gone)
	t.book(func(b *shelf.Books) {
		b.Refed += whole - gone
		b.Dropped += gone
	})
	if gone > 0 {
		t.alarm(fmt.Sprintf("the record lost %d entries that the spool does not keep any more", gone))
	}
}

// cover tells the record of positions that the spool does not have any more, so that
// what it has settled begins with the first.
func (t *recordTarget) cover(ctx context.Context, all *interval.Set) error {
	first := uint64(t.set.Log.First())
	if first <= 1 || all.Through(1) >= first-1 {
		return nil
	}
	var missing interval.Set
	missing.Add(1, first-1)
	for span := range all.All {
		missing.Remove(span.First, span.Last)
	}
	for span := range missing.All {
		b := penstock.Batch{First: penstock.Position(span.First), Last: penstock.Position(span.Last)}
		if _, err := t.record.Settle(ctx, b); err != nil {
			return err
		}
		all.Add(span.First, span.Last)
	}
	return nil
}

// write settles a load and tells the others what became of it.
func (t *recordTarget) write(ctx context.Context, b *reading.Load) ([]failure, error) {
	for i := range b.Deliveries {
		if d := &b.Deliveries[i]; d.Report != nil && t.suspicion.Guilty(d.Position, t.spec.Settings.Tries) {
			tries, why := t.suspicion.Tries()
			d.Hold = fmt.Sprintf("the sink failed on it %d times: %s", tries, why)
		}
	}
	receipt, err := t.record.Settle(ctx, b.Batch)
	if err != nil {
		return nil, err
	}
	if t.main {
		t.set.Intake.Settled(b.Batch, receipt)
		t.publish(b.Deliveries, receipt.Settlements)
	}
	t.count(b.Deliveries)
	return nil, nil
}

// publish shows what is new in the system of record to those who watch.
func (t *recordTarget) publish(ds []penstock.Delivery, what []penstock.Settlement) {
	reports := make([]*penstock.Report, 0, len(ds))
	for i, d := range ds {
		if d.Report != nil && what[i] == penstock.Stored {
			reports = append(reports, d.Report)
		}
	}
	if len(reports) > 0 {
		t.set.Feed.Publish(reports)
	}
}

// count books delivered reports in memory: the next save takes them along.
func (t *recordTarget) count(ds []penstock.Delivery) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range ds {
		if d.Report != nil {
			t.status.unsaved++
		}
	}
}
