package app

import (
	"context"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/changes"
	"github.com/penstock/penstock/internal/app/scripts"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/source"
)

func (g *gateway) newReloader() *changes.Reloader {
	return changes.NewReloader(changes.Parts{
		Start: &g.Config, Load: g.Load, Prepare: g.prepareReload, Apply: g.reloadSinks,
		Facts: func() changes.Facts {
			return changes.Facts{Record: g.record.Name, SpoolUsed: g.spool.State().Used, Now: g.Now()}
		},
		Retain: func(ctx context.Context) { g.complain("old samples could not be deleted", g.retain(ctx)) },
		Under:  func() func() { g.herald.Reloading(); return g.herald.Ready }, Log: g.Log,
	})
}

// prepareReload makes what can fail of a configuration, and returns what takes it over
// and what gives it up.
func (g *gateway) prepareReload(next *settings.Config) (commit, discard func(), err error) {
	mappings, err := g.mappings.Prepare(next.Mappings)
	if err != nil {
		return nil, nil, err
	}
	if err := g.spool.CheckQuota(int64(next.Spool.Quota)); err != nil {
		return nil, nil, penstock.Errorf(penstock.CodeOf(err), "spool.quota: %w", err)
	}
	script, discard, err := g.scripts.Prepare(scripts.Of(next.Middleware))
	if err != nil {
		return nil, nil, penstock.Errorf(penstock.Invalid, "the new script does not load: %w", err)
	}
	return func() {
		g.Logs.Reload(next.Log)
		mappings()
		script()
		g.complain("the new quota could not be taken over", g.spool.SetQuota(int64(next.Spool.Quota)))
		g.keeper.Keep(keepOf(g.record.Name, next))
	}, discard, nil
}

// follow has the sources follow a configuration.
func (g *gateway) follow(next *settings.Config, sources *source.Set) {
	g.knowLines(next.Sources)
	specs := next.SourceSpecs()
	g.bound.Keep(specs)
	sources.Apply(specs)
}
