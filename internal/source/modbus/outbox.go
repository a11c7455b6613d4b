package modbus

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
)

// outbox holds the reports of a line until the pipeline has taken them, so that
// polling waits for nobody. It is bounded: the oldest gives way.
type outbox struct {
	limit int
	log   *slog.Logger
	wake  chan struct{}

	mu      sync.Mutex // guards everything below
	waiting []parcel
	dropped int // since it was told last
}

// parcel is one report on its way.
type parcel struct {
	envelope   penstock.Envelope
	controller *evidence.Page
}

func newOutbox(limit int, log *slog.Logger) *outbox {
	return &outbox{limit: limit, log: log, wake: make(chan struct{}, 1)}
}

// put takes a report.
func (o *outbox) put(p parcel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) >= o.limit {
		o.waiting[0].controller.Count(evidence.Gap)
		o.waiting[0] = parcel{}
		o.waiting = o.waiting[1:]
		o.dropped++
	}
	o.waiting = append(o.waiting, p)
	select {
	case o.wake <- struct{}{}:
	default: // it is awake
	}
}

// The sizes and times of delivery.
const (
	maxBatch     = 64
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
)

// take returns the oldest reports.
func (o *outbox) take() (batch []parcel, dropped int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(len(o.waiting), maxBatch)
	batch = append(batch, o.waiting[:n]...)
	clear(o.waiting[:n])
	o.waiting = o.waiting[n:]
	dropped, o.dropped = o.dropped, 0
	return batch, dropped
}

// run delivers until ctx ends.
func (o *outbox) run(ctx context.Context, next penstock.Handler) {
	for {
		batch, dropped := o.take()
		if dropped > 0 {
			o.log.Warn("reports of polled devices were dropped: the node took none for too long", "dropped", dropped, "buffer", o.limit)
		}
		if len(batch) > 0 {
			if o.deliver(ctx, next, batch) != nil {
				return
			}
			continue
		}
		select {
		case <-o.wake:
		case <-ctx.Done():
			return
		}
	}
}

// deliver submits a batch until each of it is settled, in its order. Its error is
// that of ctx.
func (o *outbox) deliver(ctx context.Context, next penstock.Handler, batch []parcel) error {
	backoff := firstBackoff
	for len(batch) > 0 {
		es := make([]penstock.Envelope, len(batch))
		for i := range batch {
			es[i] = batch[i].envelope
		}
		outcomes, err := next.Submit(ctx, es).Wait(ctx)
		if err != nil {
			return err
		}
		again, pause := o.settle(batch, outcomes)
		if len(again) == 0 {
			return nil
		}
		if err := source.Pause(ctx, max(pause, backoff)); err != nil {
			return err
		}
		batch, backoff = again, min(2*backoff, lastBackoff)
	}
	return nil
}

// settle returns what is to be submitted again, and when.
func (o *outbox) settle(batch []parcel, outcomes []penstock.Outcome) (again []parcel, pause time.Duration) {
	for i, outcome := range outcomes {
		if err := outcome.Err; err != nil {
			if penstock.CodeOf(err).Temporary() || penstock.CodeOf(err) == penstock.Internal {
				again = append(again, batch[i])
				pause = max(pause, penstock.RetryAfterOf(err))
				continue
			}
			batch[i].controller.Count(evidence.Refused) // the pipeline has said why
		}
		for _, v := range outcome.Verdicts {
			if v.Result == penstock.Rejected {
				batch[i].controller.Count(evidence.Refused)
			}
		}
	}
	return again, pause
}
