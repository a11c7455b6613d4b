package intake

import (
	"errors"
	"io"
	"math"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/ledger"
	"github.com/penstock/penstock/internal/spool"
)

// replayAtOnce is how many entries of the log are read at once at the start.
const replayAtOnce = 1024

// Open builds the ledger from its newest snapshot, from what a record on the same
// disk says is settled, and from the log after both.
func Open(o Options) (*Intake, error) {
	if o.Limits == (ledger.Limits{}) {
		o.Limits = ledger.DefaultLimits()
	}
	n := &Intake{log: o.Log, now: o.Now, applied: o.Log.Durable(), deferred: map[penstock.Reason]uint64{}}
	snapshot, err := n.restore(o.Limits)
	if err != nil {
		return nil, err
	}
	if o.Record != nil {
		n.settled = interval.Set{}
		if through := o.Record.Through(); through > 0 {
			n.settled.Add(1, uint64(through))
		}
		err = o.Record.Settled(func(controller string, epoch uint64, settled *interval.Set) bool {
			n.ledger.Learn(controller, epoch, settled, &interval.Set{})
			return true
		})
		if err != nil {
			return nil, penstock.Errorf(penstock.CodeOf(err), "what the record has settled: %w", err)
		}
	}
	r := replay{ledger: n.ledger, replayed: o.Replayed, snapshot: snapshot, settled: &n.settled, waiting: map[string]uint64{}}
	if err := r.run(o.Log); err != nil {
		return nil, err
	}
	if o.Record != nil {
		o.Record.Counters(func(controller string, outcomes ledger.Outcomes) bool {
			n.ledger.Restock(controller, outcomes)
			return true
		})
	}
	n.ledger.Recount(r.waiting)
	if r.lost {
		ledger.Reclaim(n.ledger)
	}
	return n, nil
}

// snapshotVersion is the first byte of a snapshot; the positions that the record
// has settled, and the ledger's own snapshot, follow.
const snapshotVersion = 2

// appendSnapshot appends the snapshot of what the intake knows. n.mu is held.
func (n *Intake) appendSnapshot(dst []byte) []byte {
	return n.ledger.AppendSnapshot(n.settled.AppendBinary(append(dst, snapshotVersion)))
}

// restore takes over the newest snapshot, and returns through which position it
// stands.
func (n *Intake) restore(limits ledger.Limits) (penstock.Position, error) {
	through, snapshot, err := n.log.Snapshot()
	if penstock.CodeOf(err) == penstock.NotFound {
		n.ledger = ledger.New(limits)
		return 0, nil
	}
	if err != nil {
		return 0, penstock.Errorf(penstock.CodeOf(err), "snapshot of the ledger: %w", err)
	}
	if len(snapshot) == 0 || snapshot[0] != snapshotVersion {
		return 0, penstock.Errorf(penstock.Unsupported, "snapshot of the ledger: its version is not %d, the one that this program reads", snapshotVersion)
	}
	settled, rest, err := interval.Decode(snapshot[1:])
	if err != nil {
		return 0, penstock.Errorf(penstock.Corrupt, "snapshot of the ledger: %w", err)
	}
	n.settled = settled
	n.ledger, err = ledger.Restore(rest, limits)
	return through, err
}

// replay folds the log into a ledger after a restart. Entries at or below the
// snapshot are in the ledger already; reports at or below the settled position
// are in the record, and its counters have them.
type replay struct {
	ledger   *ledger.Ledger
	replayed func(*penstock.Report)
	snapshot penstock.Position
	settled  *interval.Set
	waiting  map[string]uint64
	decoder  Decoder
	lost     bool // of the log there is less than the snapshot leaves to it
}

func (r *replay) run(log *spool.Spool) error {
	// What was released is in the snapshot and in the record, or was lost with an
	// older log, which the spool has said.
	r.lost = log.First() > r.snapshot+1
	reader := log.NewReader(max(min(r.snapshot, penstock.Position(r.settled.Through(1)))+1, log.First()))
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
		if r.settled.Contains(uint64(rec.Position)) {
			// Of what is settled only the identity matters, which the digest has.
			entry, err := ledger.DecodeEntry(rec.Digest)
			if err != nil {
				return penstock.Errorf(penstock.CodeOf(err), "replay of the spool at position %d: %w", rec.Position, err)
			}
			r.entry(rec.Position, &entry, nil)
			return nil
		}
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
	r.lost = r.lost || rec.Last > r.snapshot && len(rec.Digests) < int(min(rec.Last-rec.First, math.MaxInt32)+1)
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
	case e.Kind == ledger.EntryDamaged && !r.settled.Contains(uint64(e.Position)):
		r.waiting[e.Controller]--
	case e.Kind != ledger.EntryReport:
	case r.settled.Contains(uint64(position)):
		r.ledger.Resettle(e.Controller, e.Identity)
	default:
		r.waiting[e.Controller]++
		if report != nil {
			r.replayed(report)
		}
	}
}
