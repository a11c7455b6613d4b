package reading

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/ledger"
	"github.com/penstock/penstock/internal/spool"
)

// readAtOnce is how many entries of the log are read at once.
const readAtOnce = 256

// Load is what goes to a sink at once.
type Load struct {
	penstock.Batch
	Samples int
	Oldest  int64 // when the first report was accepted, 0 when there is none
}

// Limits say when a load is full.
type Limits struct {
	Last    penstock.Position // nothing behind it
	Samples int               // unless one report has more
	Reports int
}

// Intake is told of reports that can no longer be read.
type Intake interface {
	Damage(ctx context.Context, first penstock.Position, digests [][]byte) error
}

// Loader reads loads from the log.
type Loader struct {
	Log      *spool.Spool
	Name     string // of the sink
	Main     bool   // it is the system of record
	Forwards bool   // it hands reports on: see sink.Spec
	Intake   Intake
	Logger   *slog.Logger
	decoder  intake.Decoder
	Damaged  func(first, last penstock.Position) // what a sink that is not the system of record will never get
}

// Gather adds to the load what the reader gives, but for the positions in skip, until
// it is full or the log has no more.
func (l *Loader) Gather(ctx context.Context, reader *spool.Reader, b *Load, max Limits, skip *interval.Set) error {
	for b.Samples < max.Samples && len(b.Deliveries)+len(b.Filled) < max.Reports && b.Last < max.Last {
		atOnce := penstock.Position(readAtOnce)
		if b.First == 0 {
			atOnce = 1 // it says where the load begins
		}
		atOnce = min(atOnce, max.Last-b.Last, penstock.Position(max.Reports-len(b.Deliveries)-len(b.Filled)))
		records, err := reader.Next(int(atOnce))
		for i := range records {
			if err := l.take(ctx, b, &records[i], max.Last, skip); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return penstock.Errorf(penstock.CodeOf(err), "reading the spool: %w", err)
		}
	}
	return nil
}

// take adds a record of the log to the load. Reports that can no longer be read are
// taken back first, so that their controllers send them again.
func (l *Loader) take(ctx context.Context, b *Load, rec *spool.Record, last penstock.Position, skip *interval.Set) error {
	if b.Last = min(rec.Last, last); b.First == 0 {
		b.First = rec.First
	}
	if rec.Damaged {
		return l.takeDamaged(ctx, rec, skip)
	}
	if skip.Contains(uint64(rec.Position)) {
		return nil
	}
	entry, report, err := l.decoder.Decode(rec.Data)
	if err != nil {
		return penstock.Errorf(penstock.CodeOf(err), "spool position %d: %w", rec.Position, err)
	}
	b.fill(&entry)
	switch {
	case report != nil:
		hold := intake.Quarantine(rec.Data)
		if hold != "" && !l.Main {
			break // it waits for a person in the quarantine of the system of record, and nowhere else
		}
		b.Deliveries = append(b.Deliveries, penstock.Delivery{Position: rec.Position, Report: report, Hold: hold})
		b.Samples += len(report.Samples)
		if b.Oldest == 0 {
			b.Oldest = report.AcceptedTime
		}
	case entry.Kind == ledger.EntryDecision && l.decides(&entry):
		b.Deliveries = append(b.Deliveries, decision(rec.Position, &entry))
	case l.Forwards && fills(&entry):
		b.Deliveries = append(b.Deliveries, penstock.Delivery{Position: rec.Position, Report: &penstock.Report{Controller: entry.Controller, Identity: entry.Identity}})
	}
	return nil
}

// fill notes the numbers that an entry fills without a report. Those that follow each
// other are one run.
func (b *Load) fill(e *ledger.Entry) {
	f := penstock.Filled{Controller: e.Controller, Epoch: e.Identity.Epoch, SeqRange: penstock.SeqRange{First: e.Identity.Seq, Last: e.Identity.Seq}}
	switch {
	case fills(e):
		f.Dropped = e.Kind == ledger.EntryFiltered
	case e.Kind == ledger.EntryLost:
		f.Last = e.Last
	default:
		return
	}
	if n := len(b.Filled); n > 0 {
		last := &b.Filled[n-1]
		if last.Controller == f.Controller && last.Epoch == f.Epoch && last.Dropped == f.Dropped && last.Last+1 == f.First {
			last.Last = f.Last
			return
		}
	}
	b.Filled = append(b.Filled, f)
}

// fills tells whether an entry takes a place in a sequence, for good and without a
// report.
func fills(e *ledger.Entry) bool {
	return (e.Kind == ledger.EntryRefused || e.Kind == ledger.EntryFiltered) && e.Identity.Form == penstock.Sequence
}

// decides tells whether a decision is about a report in the quarantine of this sink.
func (l *Loader) decides(e *ledger.Entry) bool {
	return e.Sink == l.Name || e.Sink == "" && l.Main
}

func decision(at penstock.Position, e *ledger.Entry) penstock.Delivery {
	return penstock.Delivery{Position: at, Decision: &penstock.Decision{Verb: e.Verb, Controller: e.Controller, Number: e.Number}}
}

func (l *Loader) takeDamaged(ctx context.Context, rec *spool.Record, skip *interval.Set) error {
	if !l.Main {
		if !skip.Contains(uint64(rec.First)) {
			l.Damaged(rec.First, rec.Last)
		}
		return nil
	}
	l.Logger.Error("reports in the spool can no longer be read; their controllers are asked to send them again",
		"first", rec.First, "last", rec.Last, "identities_known", len(rec.Digests) > 0)
	return l.Intake.Damage(ctx, rec.First, rec.Digests)
}

// Settled reads what stands from first to last, where the record has settled all of it
// already: what can no longer be read is known from its digests, and is settled too.
func (l *Loader) Settled(first, last penstock.Position, each func([]penstock.Delivery) error) error {
	reader := l.Log.NewReader(max(first, l.Log.First()))
	defer reader.Close()
	for at := max(first, l.Log.First()) - 1; at < last; {
		records, err := reader.Next(int(min(readAtOnce, last-at)))
		var ds []penstock.Delivery
		for i := range records {
			at = records[i].Last
			found, err := l.known(&records[i], last)
			if err != nil {
				return err
			}
			ds = append(ds, found...)
		}
		if err := each(ds); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return penstock.Errorf(penstock.CodeOf(err), "reading the spool: %w", err)
		}
	}
	return nil
}

// known returns the deliveries that a record of the log stands for.
func (l *Loader) known(rec *spool.Record, last penstock.Position) (ds []penstock.Delivery, err error) {
	if !rec.Damaged {
		entry, report, err := l.decoder.Decode(rec.Data)
		if err != nil {
			return nil, penstock.Errorf(penstock.CodeOf(err), "spool position %d: %w", rec.Position, err)
		}
		return l.deliveries(rec.Position, &entry, report), nil
	}
	for i, digest := range rec.Digests {
		at := rec.First + penstock.Position(i)
		entry, err := ledger.DecodeEntry(digest)
		if err != nil || at > last {
			continue // nothing is known of it
		}
		var report *penstock.Report
		if entry.Kind == ledger.EntryReport {
			report = &penstock.Report{Controller: entry.Controller, Identity: entry.Identity}
		}
		ds = append(ds, l.deliveries(at, &entry, report)...)
	}
	return ds, nil
}

func (l *Loader) deliveries(at penstock.Position, e *ledger.Entry, r *penstock.Report) []penstock.Delivery {
	switch {
	case r != nil:
		return []penstock.Delivery{{Position: at, Report: r}}
	case e.Kind == ledger.EntryDecision && l.decides(e):
		return []penstock.Delivery{decision(at, e)}
	}
	return nil
}
