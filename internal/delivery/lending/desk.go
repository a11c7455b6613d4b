// Package lending lends the system of record to others than its lane: for what nodes
// that share it ask it beside the delivery.
package lending

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
)

// Desk has the record that is open now. It is safe for concurrent use. The codes of
// its errors are, beside those of the record, [penstock.Unsupported] when it cannot be
// asked such a thing, and [penstock.Unavailable] while none is open.
type Desk struct {
	log *slog.Logger

	mu     sync.Mutex // guards what follows
	record penstock.Record
}

// New returns a desk without a record.
func New(log *slog.Logger) *Desk { return &Desk{log: log} }

// Lend says which record may be asked from now on; nil for none.
func (d *Desk) Lend(r penstock.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.record = r
}

// Known is [sink.Knower]'s.
func (d *Desk) Known(ctx context.Context, controller string) (known []penstock.Known, err error) {
	err = ask(d, func(r sink.Knower) (err error) {
		known, err = r.Known(ctx, controller)
		return err
	})
	return known, err
}

// Lease is [sink.Leaser]'s.
func (d *Desk) Lease(ctx context.Context, name string, ttl time.Duration) (held bool, err error) {
	err = ask(d, func(r sink.Leaser) (err error) {
		held, err = r.Lease(ctx, name, ttl)
		return err
	})
	return held, err
}

// Release is [sink.Leaser]'s.
func (d *Desk) Release(ctx context.Context, name string) error {
	return ask(d, func(r sink.Leaser) error { return r.Release(ctx, name) })
}

// ask asks the record what not every record can be asked. A panic of it is its error.
func ask[R any](d *Desk, do func(R) error) (err error) {
	d.mu.Lock()
	record := d.record
	d.mu.Unlock()
	if record == nil {
		return penstock.Errorf(penstock.Unavailable, "the record is not open yet")
	}
	able, ok := record.(R)
	if !ok {
		return penstock.Errorf(penstock.Unsupported, "the record is not one that nodes share")
	}
	defer func() {
		if fault := recover(); fault != nil {
			d.log.Error("a sink panicked", "panic", fault, "stack", string(debug.Stack()))
			err = penstock.Errorf(penstock.Internal, "a fault of the gateway: %s", fmt.Sprint(fault))
		}
	}()
	return do(able)
}
