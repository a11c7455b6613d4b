package delivery

import (
	"context"
	"errors"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/delivery/reading"
	"github.com/penstock/penstock/internal/delivery/trouble"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/shelf"
	"github.com/penstock/penstock/internal/sink"
)

// plainTarget is a sink that only writes: its place and its quarantine stand on the
// shelf.
type plainTarget struct {
	*lane
	sink penstock.Sink
}

func (t *plainTarget) close() error { return t.sink.Close() }

// resume returns what the shelf has.
func (t *plainTarget) resume(context.Context) (interval.Set, error) {
	return t.shelf.Place().Settled, nil
}

// write writes the load, and moves the place behind what was written or went to
// quarantine.
func (t *plainTarget) write(ctx context.Context, b *reading.Load) ([]failure, error) {
	var held []sink.Held
	ds := make([]penstock.Delivery, 0, len(b.Deliveries))
	for _, d := range b.Deliveries {
		switch {
		case d.Report == nil:
		case d.Hold != "":
			held = append(held, t.hold(d, 0, d.Hold))
		case t.suspicion.Guilty(d.Position, t.spec.Settings.Tries):
			tries, why := t.suspicion.Tries()
			held = append(held, t.hold(d, tries, why))
		default:
			ds = append(ds, d)
		}
	}
	failed, err := t.send(ctx, ds)
	if err != nil {
		return nil, err
	}
	if err := allForNow(failed, len(ds)); err != nil {
		return nil, err
	}
	written := uint64(len(ds) - len(failed))
	left := failed[:0]
	for _, f := range failed {
		if trouble.Refusal(f.err) && t.spec.Settings.Tries == 1 {
			held = append(held, t.hold(f.Delivery, 1, f.err.Error()))
		} else {
			left = append(left, f)
		}
	}
	return left, t.shelf.Save(shelf.Change{Put: held, Edit: func(p *shelf.Place) {
		p.Settled.Add(uint64(b.First), uint64(b.Last))
		for _, f := range left {
			p.Settled.Remove(uint64(f.Position), uint64(f.Position))
		}
		p.Books.Delivered += written
	}})
}

// hold returns a report for the quarantine.
func (t *plainTarget) hold(d penstock.Delivery, tries int, why string) sink.Held {
	now := t.env.Now().UnixNano()
	return sink.Held{Reason: why, By: t.spec.Name, Tries: tries, First: now, Last: now, Report: d.Report}
}

// send writes the deliveries and returns those that failed each for itself. When the
// sink refuses all of them and does not say which one is at fault, halves are tried.
func (t *plainTarget) send(ctx context.Context, ds []penstock.Delivery) ([]failure, error) {
	if len(ds) == 0 {
		return nil, nil
	}
	reports := make([]*penstock.Report, len(ds))
	for i := range ds {
		reports[i] = ds[i].Report
	}
	err := t.sink.Write(ctx, reports)
	var each *penstock.WriteError
	switch {
	case err == nil:
		return nil, nil
	case errors.As(err, &each):
		return failures(ds, each), nil
	case !trouble.Own(err):
		return nil, err
	case len(ds) == 1:
		return []failure{{ds[0], err}}, nil
	}
	left, err := t.send(ctx, ds[:len(ds)/2])
	if err != nil {
		return nil, err
	}
	right, err := t.send(ctx, ds[len(ds)/2:])
	return append(left, right...), err
}

// failures returns the deliveries that an error names.
func failures(ds []penstock.Delivery, e *penstock.WriteError) (failed []failure) {
	for i, d := range ds {
		if err := e.Failed[i]; err != nil {
			failed = append(failed, failure{d, err})
		}
	}
	return failed
}

// allForNow returns an error when every one of several reports failed, and none for
// good: then it is the destination that is in trouble.
func allForNow(failed []failure, of int) error {
	if len(failed) == 0 || len(failed) < of {
		return nil
	}
	for _, f := range failed {
		if trouble.Refusal(f.err) {
			return nil
		}
	}
	return failed[0].err
}
