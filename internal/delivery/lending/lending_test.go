package lending_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/delivery/lending"
)

// plain is a record that nobody shares.
type plain struct{ penstock.Record }

// shared is one that several nodes use.
type shared struct {
	plain
	err error
}

func (s shared) Known(context.Context, string) ([]penstock.Known, error) {
	return []penstock.Known{{Epoch: 3}}, s.err
}

func (s shared) Lease(context.Context, string, time.Duration) (bool, error) {
	if s.err != nil {
		panic(s.err)
	}
	return true, nil
}

func (s shared) Release(context.Context, string) error { return s.err }

func TestTheRecordIsLent(t *testing.T) {
	d := lending.New(slog.New(slog.DiscardHandler))
	ctx := t.Context()
	refused := func(want penstock.Code) {
		t.Helper()
		_, known := d.Known(ctx, "pump")
		_, lease := d.Lease(ctx, "l", time.Second)
		for _, err := range []error{known, lease, d.Release(ctx, "l")} {
			if err == nil || penstock.CodeOf(err) != want {
				t.Errorf("%v, want %v", err, want)
			}
		}
	}
	refused(penstock.Unavailable)
	d.Lend(plain{})
	refused(penstock.Unsupported)
	d.Lend(shared{})
	known, err := d.Known(ctx, "pump")
	held, lease := d.Lease(ctx, "l", time.Second)
	if err = errors.Join(err, lease, d.Release(ctx, "l")); err != nil || len(known) != 1 || !held {
		t.Errorf("%v %v %v", known, held, err)
	}
	d.Lend(shared{err: errors.New("broken")}) // one of its methods panics
	refused(penstock.Internal)
	d.Lend(nil)
	refused(penstock.Unavailable)
}
