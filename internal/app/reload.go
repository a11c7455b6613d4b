package app

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/ops"
	"github.com/penstock/penstock/internal/app/changes"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/source"
)

// reloader takes over new configurations, one at a time: for a signal and for the API
// in the same way.
type reloader struct {
	g       *gateway
	current atomic.Pointer[settings.Config]

	mu      sync.Mutex  // held while a configuration is taken over
	sources *source.Set // nil before the gateway serves
}

var _ ops.Reloader = (*reloader)(nil)

func newReloader(g *gateway) *reloader {
	r := &reloader{g: g}
	r.current.Store(&g.Config)
	return r
}

// config returns the configuration that holds now. What needs a restart may be as it
// was before.
func (r *reloader) config() *settings.Config { return r.current.Load() }

// start says which sources follow the configuration.
func (r *reloader) start(sources *source.Set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sources = sources
}

// run takes a new configuration over whenever a signal asks for it.
func (r *reloader) run(ctx context.Context) error {
	for {
		if err := r.g.Asked(ctx); err != nil {
			return nil // the gateway stops
		}
		info, err := r.Reload(ctx, false)
		if err != nil {
			r.g.Log.Error("the gateway goes on with the configuration before", "error", err)
			continue
		}
		for _, c := range info.Changes {
			r.g.Log.Info("the configuration changed", "key", c.Key, "before", c.Before, "after", c.After, "effect", c.Effect)
		}
	}
}

// Reload implements [ops.Reloader].
func (r *reloader) Reload(ctx context.Context, dry bool) (ops.ReloadInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sources == nil {
		return ops.ReloadInfo{}, penstock.RetryLater(penstock.Unavailable, reloadRetry, "the gateway is about to start")
	}
	next, err := r.g.Load()
	if err != nil {
		return ops.ReloadInfo{}, penstock.Errorf(penstock.Invalid, "the new configuration does not hold, and nothing was changed: %w", err)
	}
	before := r.config()
	info := changes.Plan(before, next, changes.Facts{Start: &r.g.Config, Record: r.g.record.Name, SpoolUsed: r.g.spool.State().Used, Now: r.g.Now()})
	info.DryRun = dry
	commit, discard, err := r.prepare(next)
	if err != nil {
		return info, err
	}
	if dry {
		discard()
		return info, nil
	}
	r.g.herald.reloading()
	defer r.g.herald.ready()
	if err := r.g.reloadSinks(next); err != nil {
		discard()
		return info, penstock.Errorf(penstock.CodeOf(err), "sinks: %w", err)
	}
	commit()
	r.current.Store(next)
	r.g.Log.Info("the configuration was read again")
	if keys := waiting(info); len(keys) > 0 {
		r.g.Log.Warn("changes that take hold at the next start only", "keys", keys)
	}
	if before.Historian.Retention != next.Historian.Retention {
		r.g.complain("old samples could not be deleted", r.g.retain(ctx))
	}
	return info, nil
}

// prepare makes what can fail of a configuration, and returns what takes it over and
// what gives it up.
func (r *reloader) prepare(next *settings.Config) (commit, discard func(), err error) {
	g := r.g
	mappings, err := g.mappings.prepare(next.Mappings)
	if err != nil {
		return nil, nil, err
	}
	if err := g.spool.CheckQuota(int64(next.Spool.Quota)); err != nil {
		return nil, nil, penstock.Errorf(penstock.CodeOf(err), "spool.quota: %w", err)
	}
	script, discard, err := g.scripts.prepare(scriptOf(next.Middleware))
	if err != nil {
		return nil, nil, penstock.Errorf(penstock.Invalid, "the new script does not load: %w", err)
	}
	commit = func() {
		g.Logs.Reload(next.Log)
		mappings()
		script()
		g.complain("the new quota could not be taken over", g.spool.SetQuota(int64(next.Spool.Quota)))
		g.keeper.Keep(keepOf(g.record.Name, next))
		g.knowLines(next.Sources)
		specs := next.SourceSpecs()
		g.bound.keep(specs)
		r.sources.Apply(specs)
	}
	return commit, discard, nil
}

// waiting returns the keys that take hold at the next start only.
func waiting(info ops.ReloadInfo) (keys []string) {
	for _, c := range info.Changes {
		if c.Effect == changes.Restart {
			keys = append(keys, c.Key)
		}
	}
	return keys
}
