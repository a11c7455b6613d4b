package delivery

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
)

// lend says which record others may ask; nil for none.
func (l *lane) lend(r penstock.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shared = r
}

// Known asks the system of record what it holds of a controller, through whichever
// node it came. Codes: [penstock.Unsupported] when it cannot be asked that, and
// [penstock.Unavailable] while it is not open.
func (s *Set) Known(ctx context.Context, controller string) (known []penstock.Known, err error) {
	err = askRecord(s, func(r sink.Knower) (err error) {
		known, err = r.Known(ctx, controller)
		return err
	})
	return known, err
}

// Lease takes a lease in the system of record: see [sink.Leaser]. The codes are those
// of [Set.Known].
func (s *Set) Lease(ctx context.Context, name string, ttl time.Duration) (held bool, err error) {
	err = askRecord(s, func(r sink.Leaser) (err error) {
		held, err = r.Lease(ctx, name, ttl)
		return err
	})
	return held, err
}

// Release gives a lease in the system of record up: see [sink.Leaser].
func (s *Set) Release(ctx context.Context, name string) error {
	return askRecord(s, func(r sink.Leaser) error { return r.Release(ctx, name) })
}

// askRecord asks the system of record something that not every record can be asked. A
// panic of it is its error.
func askRecord[R any](s *Set, ask func(R) error) (err error) {
	l, err := s.lane(s.Main)
	if err != nil {
		return err
	}
	l.mu.Lock()
	record := l.shared
	l.mu.Unlock()
	if record == nil {
		return penstock.Errorf(penstock.Unavailable, "the record %s is not open yet", s.Main)
	}
	can, ok := record.(R)
	if !ok {
		return penstock.Errorf(penstock.Unsupported, "the record %s is not one that nodes share", s.Main)
	}
	defer func() {
		if fault := recover(); fault != nil {
			l.logger.Error("a sink panicked", "panic", fault, "stack", string(debug.Stack()))
			err = penstock.Errorf(penstock.Internal, "a fault of the gateway: %s", fmt.Sprint(fault))
		}
	}()
	return ask(can)
}
