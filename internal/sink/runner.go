package sink

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/ledger"
	"github.com/penstock/penstock/internal/spool"
)

// Intake is what the runner of the system of record tells of settlements and damage.
type Intake interface {
	// Past returns the positions whose settlements the intake was told.
	Past() interval.Set
	Settled(b penstock.Batch, r penstock.Receipt)
	Damage(ctx context.Context, first penstock.Position, digests [][]byte) error
}

// Feed is told of every batch that the record has settled.
type Feed interface {
	Publish(rs []*penstock.Report)
}

// Health is told whether delivery goes on.
type Health interface {
	OK()
	Failing(reason string)
}

// Options are what a Runner works with; all are required but Linger and Batch.
type Options struct {
	Log    *spool.Spool
	Intake Intake
	Record penstock.Record
	Feed   Feed
	Health Health
	Logger *slog.Logger
	Linger time.Duration // how long the first report of a batch waits for others
	Batch  int           // samples in one batch, unless one report has more
}

// Runner delivers the log to the system of record, in order.
type Runner struct {
	Options
	decoder intake.Decoder
}

// Defaults and the bounds of the back-off after a failed batch.
const (
	readAtOnce   = 256 // entries of the log
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 15 * time.Second
)

// NewRunner returns a runner that has not begun.
func NewRunner(o Options) *Runner {
	if o.Linger == 0 {
		o.Linger = defaultLinger
	}
	if o.Batch == 0 {
		o.Batch = defaultBatch
	}
	return &Runner{Options: o}
}

// Run delivers until ctx ends, and then returns nil. A record that fails is
// tried again for ever, with back-off: the spool keeps what waits.
func (r *Runner) Run(ctx context.Context) error {
	backoff := firstBackoff
	for {
		err := r.deliver(ctx, func() {
			backoff = firstBackoff
			r.Health.OK()
		})
		if ctx.Err() != nil || penstock.CodeOf(err) == penstock.Closed {
			return nil
		}
		r.Health.Failing(err.Error())
		r.Logger.Warn("delivery to the record failed; what waits is in the spool", "error", err, "retry_in", backoff.String())
		if wait(ctx, backoff) != nil {
			return nil
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// deliver reads on from where the record stands until something fails.
func (r *Runner) deliver(ctx context.Context, progress func()) error {
	through, err := r.resume(ctx)
	if err != nil {
		return err
	}
	reader := r.Log.NewReader(through + 1)
	defer reader.Close()
	for {
		if _, err := r.Log.Wait(ctx, through); err != nil {
			return err
		}
		if err := wait(ctx, r.Linger); err != nil {
			return err
		}
		b := batch{}
		if err := r.gather(ctx, reader, &b, math.MaxUint64); err != nil {
			return err
		}
		if b.First == 0 {
			continue
		}
		if err := r.settle(ctx, b.Batch); err != nil {
			return err
		}
		through = b.Last
		progress()
	}
}

// resume asks the record where it stands, and tells the intake what it settled
// and nobody has been told: the process before this one ended, or the connection
// broke, between the two.
func (r *Runner) resume(ctx context.Context) (through penstock.Position, err error) {
	settled, err := r.Record.Resume(ctx)
	if err != nil {
		return 0, err
	}
	var all interval.Set
	told := r.Intake.Past()
	for _, run := range settled {
		all.Add(uint64(run.First), uint64(run.Last))
		var untold interval.Set
		untold.Add(uint64(run.First), uint64(run.Last))
		for span := range told.All {
			untold.Remove(span.First, span.Last)
		}
		for span := range untold.All {
			if err := r.tell(ctx, penstock.Position(span.First), penstock.Position(span.Last), run.Other); err != nil {
				return 0, err
			}
		}
	}
	return penstock.Position(all.Through(1)), nil
}

// tell tells the intake of a run of positions that the record has settled.
func (r *Runner) tell(ctx context.Context, first, last penstock.Position, other map[penstock.Position]penstock.Settlement) error {
	if last < r.Log.First() {
		return nil // released: it was told before
	}
	reader := r.Log.NewReader(max(first, r.Log.First()))
	defer reader.Close()
	var b batch
	for b.Last < last {
		if err := r.gather(ctx, reader, &b, last); err != nil {
			return err
		}
		b.samples = 0
	}
	b.First = first
	receipt := penstock.Receipt{Settlements: make([]penstock.Settlement, len(b.Deliveries))}
	for i, d := range b.Deliveries {
		if receipt.Settlements[i] = penstock.Stored; other[d.Position] != 0 {
			receipt.Settlements[i] = other[d.Position]
		}
	}
	r.Intake.Settled(b.Batch, receipt)
	return nil
}

// batch is what goes to the record at once. Decisions in the log carry nothing
// for it, but move its place.
type batch struct {
	penstock.Batch
	samples int
}

// gather reads the log until the batch is full, has what stands at last, or the log
// has no more.
func (r *Runner) gather(ctx context.Context, reader *spool.Reader, b *batch, last penstock.Position) error {
	for b.samples < r.Batch && b.Last < last {
		atOnce := readAtOnce
		if b.First == 0 {
			atOnce = 1 // it says where the batch begins
		}
		records, err := reader.Next(int(min(penstock.Position(atOnce), last-b.Last)))
		for i := range records {
			if err := r.take(ctx, b, &records[i]); err != nil {
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

// take adds a record of the log to the batch. Reports that can no longer be read
// are taken back first, so that their controllers send them again.
func (r *Runner) take(ctx context.Context, b *batch, rec *spool.Record) error {
	if b.Last = rec.Last; b.First == 0 {
		b.First = rec.First
	}
	if rec.Damaged {
		r.Logger.Error("reports in the spool can no longer be read; their controllers are asked to send them again",
			"first", rec.First, "last", rec.Last, "identities_known", len(rec.Digests) > 0)
		return r.Intake.Damage(ctx, rec.First, rec.Digests)
	}
	entry, report, err := r.decoder.Decode(rec.Data)
	if err != nil {
		return penstock.Errorf(penstock.CodeOf(err), "spool position %d: %w", rec.Position, err)
	}
	switch {
	case report != nil:
		b.Deliveries = append(b.Deliveries, penstock.Delivery{Position: rec.Position, Report: report})
		b.samples += len(report.Samples)
	case entry.Kind == ledger.EntryDecision:
		decision := &penstock.Decision{Verb: entry.Verb, Controller: entry.Controller, Number: entry.Number}
		b.Deliveries = append(b.Deliveries, penstock.Delivery{Position: rec.Position, Decision: decision})
	}
	return nil
}

// settle hands a batch to the record and tells the others what became of it.
func (r *Runner) settle(ctx context.Context, b penstock.Batch) error {
	receipt, err := r.Record.Settle(ctx, b)
	if err != nil {
		return err
	}
	r.Intake.Settled(b, receipt)
	r.publish(b.Deliveries, receipt.Settlements)
	return nil
}

// publish shows what is new in the record to those who watch.
func (r *Runner) publish(ds []penstock.Delivery, what []penstock.Settlement) {
	reports := make([]*penstock.Report, 0, len(ds))
	for i, d := range ds {
		if d.Report != nil && what[i] == penstock.Stored {
			reports = append(reports, d.Report)
		}
	}
	if len(reports) > 0 {
		r.Feed.Publish(reports)
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
