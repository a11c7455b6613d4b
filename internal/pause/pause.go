// Package pause waits, unless it is told to stop.
package pause

import (
	"context"
	"time"
)

// For returns nil when d has passed, and before that the cause for which ctx ended.
// A ctx that has ended is no time to wait, however short.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
