package sink

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/flow"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/plant"
	"github.com/penstock/penstock/internal/spool"
)

// Intake is what the runner tells of settlements and damage.
type Intake interface {
	Settled(ds []penstock.Delivery, what []penstock.Settlement, through penstock.Position)
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
	Flow   *flow.Book // is told how long reading and settling take; nil for none
	Logger *slog.Logger
	Linger time.Duration // how long the first report of a batch waits for others
	Batch  int           // samples in one batch, unless one report has more
}

// Runner delivers the log to the system of record, in order.
type Runner struct {
	Options
	decoder intake.Decoder

	reading, settling *flow.Stage
	slot              *flow.Slot
}

// Defaults and the bounds of the back-off after a failed batch.
const (
	defaultLinger = 20 * time.Millisecond
	defaultBatch  = 64 << 10
	readAtOnce    = 256 // entries of the log
	firstBackoff  = 100 * time.Millisecond
	lastBackoff   = 15 * time.Second
)

// NewRunner returns a runner that has not begun.
func NewRunner(o Options) *Runner {
	if o.Linger == 0 {
		o.Linger = defaultLinger
	}
	if o.Batch == 0 {
		o.Batch = defaultBatch
	}
	return &Runner{
		Options:  o,
		reading:  o.Flow.Stage("delivery read", flow.Delivery, "sink.(*Runner).gather"),
		settling: o.Flow.Stage("record settle", flow.Delivery, "sink.(*Runner).settle"),
		slot:     o.Flow.Slot(),
	}
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
		r.Logger.Warn("delivery to the record failed; what waits is in the spool", "error", err, "retry_in", backoff.String(), "through", r.Record.Through())
		if wait(ctx, backoff) != nil {
			return nil
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// deliver reads on from where the record stands until something fails.
func (r *Runner) deliver(ctx context.Context, progress func()) error {
	through := r.Record.Through()
	reader := r.Log.NewReader(through + 1)
	defer reader.Close()
	for {
		if _, err := r.Log.Wait(ctx, through); err != nil {
			return err
		}
		if err := wait(ctx, r.Linger); err != nil {
			return err
		}
		b, err := r.gather(ctx, reader)
		if err != nil {
			return err
		}
		if b.through == 0 {
			continue
		}
		if err := r.settle(ctx, b); err != nil {
			return err
		}
		through = b.through
		progress()
	}
}

// batch is what goes to the record at once. Decisions in the log carry nothing
// for it, but move its place.
type batch struct {
	deliveries []penstock.Delivery
	samples    int
	through    penstock.Position // 0 when there was nothing to read
}

// gather reads the log until the batch is full or the log has no more.
func (r *Runner) gather(ctx context.Context, reader *spool.Reader) (batch, error) {
	var b batch
	defer r.timed(r.reading, func() int { return len(b.deliveries) })()
	plant.Stall("delivery read")
	for b.samples < r.Batch {
		records, err := reader.Next(readAtOnce)
		for i := range records {
			if err := r.take(ctx, &b, &records[i]); err != nil {
				return batch{}, err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return batch{}, penstock.Errorf(penstock.CodeOf(err), "reading the spool: %w", err)
		}
	}
	return b, nil
}

// take adds a record of the log to the batch. Reports that can no longer be read
// are taken back first, so that their controllers send them again.
func (r *Runner) take(ctx context.Context, b *batch, rec *spool.Record) error {
	b.through = rec.Last
	if rec.Damaged {
		r.Logger.Error("reports in the spool can no longer be read; their controllers are asked to send them again",
			"first", rec.First, "last", rec.Last, "identities_known", len(rec.Digests) > 0)
		return r.Intake.Damage(ctx, rec.First, rec.Digests)
	}
	_, report, err := r.decoder.Decode(rec.Data)
	if err != nil {
		return penstock.Errorf(penstock.CodeOf(err), "spool position %d: %w", rec.Position, err)
	}
	if report != nil {
		b.deliveries = append(b.deliveries, penstock.Delivery{Position: rec.Position, Report: report})
		b.samples += len(report.Samples)
	}
	return nil
}

// settle hands a batch to the record and tells the others what became of it.
func (r *Runner) settle(ctx context.Context, b batch) error {
	defer r.timed(r.settling, func() int { return len(b.deliveries) })()
	plant.Stall("record settle")
	what, err := r.Record.Settle(ctx, b.deliveries, b.through)
	if err != nil {
		return err
	}
	r.Intake.Settled(b.deliveries, what, b.through)
	r.publish(b.deliveries, what)
	return nil
}

// timed says that a stage begins, and returns what says that it ended and for how
// many reports it worked.
func (r *Runner) timed(at *flow.Stage, reports func() int) (ended func()) {
	began := time.Now()
	r.slot.Enter(at, began)
	return func() {
		r.slot.Leave()
		at.Took(time.Since(began), reports())
	}
}

// publish shows what is new in the record to those who watch.
func (r *Runner) publish(ds []penstock.Delivery, what []penstock.Settlement) {
	reports := make([]*penstock.Report, 0, len(ds))
	for i, d := range ds {
		if what[i] == penstock.Stored {
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
