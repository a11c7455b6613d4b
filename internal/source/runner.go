package source

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/penstock/penstock"
)

// The bounds of the back-off after a failure. A source that ran for longer than
// the last begins anew with the first.
const (
	firstBackoff = time.Second
	lastBackoff  = time.Minute
)

// Keep keeps one source running until ctx ends: when it fails it is made and
// started again, for ever, later each time. Env is whole, Memory too.
func Keep(ctx context.Context, s Spec, env Env, next penstock.Handler) {
	backoff := firstBackoff
	for {
		begun := env.Now()
		err := once(ctx, s, env, next)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = penstock.Errorf(penstock.Unavailable, "it ended by itself")
		}
		if env.Now().Sub(begun) > lastBackoff {
			backoff = firstBackoff
		}
		pause := backoff/2 + rand.N(backoff/2) // sources that failed together do not come back together
		backoff = min(2*backoff, lastBackoff)
		env.Status.Failing(err.Error())
		env.Log.Warn("a source failed; it is started again", "error", err, "retry_in", pause.Round(time.Millisecond).String())
		if Pause(ctx, pause) != nil {
			return
		}
	}
}

// once makes the source and runs it. A panic is its error: nothing but this
// source stops.
func once(ctx context.Context, s Spec, env Env, next penstock.Handler) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			env.Log.Error("a source panicked", "panic", fault, "stack", string(debug.Stack()))
			*env.Memory = nil // who knows what it remembers
			err = penstock.Errorf(penstock.Internal, "a fault of the gateway: %s", fmt.Sprint(fault))
		}
	}()
	source, err := s.New(env)
	if err != nil {
		return err
	}
	return source.Run(ctx, next)
}

// Pause waits, and returns the error of ctx when that ends before.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// named returns the logger of a source.
func named(log *slog.Logger, name string) *slog.Logger { return log.With("source", name) }
