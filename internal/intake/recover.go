package intake

import (
	"errors"
	"io"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/ledger"
	"github.com/penstock/penstock/internal/spool"
)

// replayAtOnce is how many entries of the log are read at once at the start.
const replayAtOnce = 1024

// Open builds the ledger from its newest snapshot, from what the record says is
// settled, and from the log after both.
func Open(o Options) (*Intake, error) {
	if o.Limits == (ledger.Limits{}) {
		o.Limits = ledger.DefaultLimits()
	}
	through, l, err := restore(o.Log, o.Limits)
	if err != nil {
		return nil, err
	}
	n := &Intake{log: o.Log, now: o.Now, ledger: l, deferred: map[penstock.Reason]uint64{}}
	n.applied, n.settled = o.Log.Durable(), o.Record.Through()
	r := replay{
		ledger: l, replayed: o.Replayed, snapshot: through, settled: o.Record.Through(),
		waiting: map[string]uint64{},
	}
	err = o.Record.Settled(func(controller string, epoch uint64, settled *interval.Set) bool {
		l.Learn(controller, epoch, settled)
		return true
	})
	if err != nil {
		return nil, penstock.Errorf(penstock.CodeOf(err), "what the record has settled: %w", err)
	}
	if err := r.run(o.Log); err != nil {
		return nil, err
	}
	o.Record.Counters(func(controller string, stored, storedTwice, quarantined uint64) bool {
		l.Restock(controller, stored, storedTwice, quarantined)
		return true
	})
	l.Recount(r.waiting)
	return n, nil
}

func restore(log *spool.Spool, limits ledger.Limits) (penstock.Position, *ledger.Ledger, error) {
	through, snapshot, err := log.Snapshot()
	if penstock.CodeOf(err) == penstock.NotFound {
		return 0, ledger.New(limits), nil
	}
	if err != nil {
		return 0, nil, penstock.Errorf(penstock.CodeOf(err), "snapshot of the ledger: %w", err)
	}
	l, err := ledger.Restore(snapshot, limits)
	return through, l, err
}

// replay folds the log into a ledger after a restart. Entries at or below the
// snapshot are in the ledger already; reports at or below the settled position
// are in the record, and its counters have them.
type replay struct {
	ledger   *ledger.Ledger
	replayed func(*penstock.Report)
	snapshot penstock.Position
	settled  penstock.Position
	waiting  map[string]uint64
	decoder  Decoder
}

func (r *replay) run(log *spool.Spool) error {
	// What was released is in the snapshot and in the record, or was lost with an
	// older log, which the spool has said.
	reader := log.NewReader(max(min(r.snapshot, r.settled)+1, log.First()))
	defer reader.Close()
	for {
		records, err := reader.Next(replayAtOnce)
		for i := range records {
			if err := r.record(&records[i]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return penstock.Errorf(penstock.CodeOf(err), "replay of the spool: %w", err)
		}
	}
}

func (r *replay) record(rec *spool.Record) error {
	if !rec.Damaged {
		entry, report, err := r.decoder.Decode(rec.Data)
		if err != nil {
			return penstock.Errorf(penstock.CodeOf(err), "replay of the spool at position %d: %w", rec.Position, err)
		}
		if Quarantine(rec.Data) != "" {
			report = nil // what is to be kept for a person teaches nothing
		}
		r.entry(rec.Position, &entry, report)
		return nil
	}
	for i, digest := range rec.Digests {
		entry, err := ledger.DecodeEntry(digest)
		if err != nil {
			continue // nothing is known of it
		}
		r.entry(rec.First+penstock.Position(i), &entry, nil)
	}
	return nil
}

// entry folds one entry in; report is nil for decisions and for what cannot be
// read any more.
func (r *replay) entry(position penstock.Position, e *ledger.Entry, report *penstock.Report) {
	if position > r.snapshot {
		r.ledger.Apply(e)
	}
	switch {
	case e.Kind == ledger.EntryDamaged && e.Position > r.settled:
		r.waiting[e.Controller]--
	case e.Kind != ledger.EntryReport:
	case position <= r.settled:
		r.ledger.Resettle(e.Controller, e.Identity)
	default:
		r.waiting[e.Controller]++
		if report != nil {
			r.replayed(report)
		}
	}
}
