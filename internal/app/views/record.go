package views

import (
	"context"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/historian"
	"github.com/penstock/penstock/internal/ledger"
	"github.com/penstock/penstock/internal/sink"
)

// Settled is the historian as the intake asks it at the start.
type Settled struct{ *historian.Historian }

// Counters implements intake.Record.
func (v Settled) Counters(yield func(controller string, o ledger.Outcomes) bool) {
	v.Historian.Counters(func(controller string, c historian.Counters) bool {
		return yield(controller, ledger.Outcomes{Stored: c.Stored, StoredTwice: c.StoredTwice, Quarantined: c.Quarantined, Discarded: c.Discarded})
	})
}

// Record is the historian as a record. It stands on this node's disk and serves
// no other, so that it is past a position and all before it.
type Record struct{ *historian.Historian }

// Resume implements penstock.Record.
func (e Record) Resume(context.Context) ([]penstock.Settled, error) {
	if through := e.Through(); through > 0 {
		return []penstock.Settled{{First: 1, Last: through}}, nil
	}
	return nil, nil
}

// Settle implements penstock.Record.
func (e Record) Settle(ctx context.Context, b penstock.Batch) (penstock.Receipt, error) {
	what, err := e.Historian.Settle(ctx, b.Deliveries, b.Last)
	return penstock.Receipt{Settlements: what}, err
}

// Forget implements penstock.Record: the historian bounds by itself what it can
// answer again.
func (Record) Forget(context.Context, penstock.Position) error { return nil }

// Quarantined implements sink.Quarantine.
func (e Record) Quarantined(ctx context.Context, first uint64, limit int) ([]sink.Held, error) {
	kept, err := e.Historian.Quarantined(ctx, first, limit)
	held := make([]sink.Held, len(kept))
	for i, q := range kept {
		held[i] = sink.Held{Number: q.Number, Reason: q.Reason, By: settings.HistorianName, Tries: q.Tries, First: q.First, Last: q.Last, Report: q.Report}
		if q.Held {
			held[i].By = "rule"
		}
	}
	return held, err
}

// Close implements penstock.Record: the node closes the historian, which answers
// queries while nothing is delivered.
func (Record) Close() error { return nil }
