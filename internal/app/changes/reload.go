package changes

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/ops"
	"github.com/penstock/penstock/internal/app/settings"
)

// Parts are what a Reloader works with. All must be given.
type Parts struct {
	Start *settings.Config                 // with which the gateway was started
	Load  func() (*settings.Config, error) // its error names file, line and column
	Facts func() Facts                     // but for Start
	// Prepare makes what can fail of a configuration, and changes nothing. Of what it
	// returns one is called.
	Prepare func(next *settings.Config) (commit, discard func(), err error)
	Apply   func(next *settings.Config) error // takes the sinks over; before commit, as it may fail
	Retain  func(ctx context.Context)         // deletes what is past its retention
	Under   func() (over func())              // says that it is under way
	Log     *slog.Logger
}

// Reloader takes over new configurations, one at a time: for a signal and for the API
// in the same way. All of one is taken over, or nothing.
type Reloader struct {
	Parts
	current atomic.Pointer[settings.Config]

	mu     sync.Mutex                  // held while a configuration is taken over
	follow func(next *settings.Config) // nil before the gateway serves
}

var _ ops.Reloader = (*Reloader)(nil)

// NewReloader returns a reloader that refuses until [Reloader.Begin].
func NewReloader(p Parts) *Reloader {
	r := &Reloader{Parts: p}
	r.current.Store(p.Start)
	return r
}

// Config returns the configuration that holds now. What needs a restart may be as it
// was before.
func (r *Reloader) Config() *settings.Config { return r.current.Load() }

// Begin says what follows the configuration last, and cannot fail.
func (r *Reloader) Begin(follow func(next *settings.Config)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.follow = follow
}

// Run takes a new configuration over whenever asked returns without an error.
func (r *Reloader) Run(ctx context.Context, asked func(context.Context) error) error {
	for asked(ctx) == nil {
		info, err := r.Reload(ctx, false)
		if err != nil {
			r.Log.Error("the gateway goes on with the configuration before", "error", err)
			continue
		}
		for _, c := range info.Changes {
			r.Log.Info("the configuration changed", "key", c.Key, "before", c.Before, "after", c.After, "effect", c.Effect)
		}
	}
	return nil // the gateway stops
}

// Reload implements [ops.Reloader].
func (r *Reloader) Reload(ctx context.Context, dry bool) (ops.ReloadInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.follow == nil {
		return ops.ReloadInfo{}, penstock.RetryLater(penstock.Unavailable, time.Second, "the gateway is about to start")
	}
	next, err := r.Load()
	if err != nil {
		return ops.ReloadInfo{}, penstock.Errorf(penstock.Invalid, "the new configuration does not hold, and nothing was changed: %w", err)
	}
	before, facts := r.Config(), r.Facts()
	facts.Start = r.Start
	info := Plan(before, next, facts)
	info.DryRun = dry
	commit, discard, err := r.Prepare(next)
	if err != nil {
		return info, err
	}
	if dry {
		discard()
		return info, nil
	}
	defer r.Under()()
	if err := r.Apply(next); err != nil {
		discard()
		return info, penstock.Errorf(penstock.CodeOf(err), "sinks: %w", err)
	}
	commit()
	r.follow(next)
	r.current.Store(next)
	r.Log.Info("the configuration was read again")
	if keys := waiting(info); len(keys) > 0 {
		r.Log.Warn("changes that take hold at the next start only", "keys", keys)
	}
	if before.Historian.Retention != next.Historian.Retention {
		r.Retain(ctx)
	}
	return info, nil
}

// waiting returns the keys that take hold at the next start only.
func waiting(info ops.ReloadInfo) (keys []string) {
	for _, c := range info.Changes {
		if c.Effect == Restart {
			keys = append(keys, c.Key)
		}
	}
	return keys
}
