package app

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"runtime/debug"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/copies"
	"github.com/penstock/penstock/internal/app/watch"
	"github.com/penstock/penstock/internal/backup"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/localsocket"
	"github.com/penstock/penstock/internal/memory"
)

// guard returns what keeps the gateway below its limit of memory.
func (n *node) guard(c memory.Config) *memory.Guard {
	limit := uint64(c.Limit)
	if limit == 0 {
		limit = memory.Allowed("/")
	}
	return memory.New(memory.Options{Limit: limit, Log: component(n.log, "memory"), Changed: func(l memory.Level) {
		n.feed.Pause(l >= memory.NoWatchers)
		if l >= memory.NoCaches {
			n.feed.Empty()
			debug.FreeOSMemory()
		}
	}})
}

// newWatcher returns what watches the gateway.
func (g *gateway) newWatcher() *watch.Watcher {
	return watch.New(watch.Parts{
		Flow: g.flow, Spool: g.spool, Intake: g.intake, Through: g.historian.Through, Health: g.health, Metrics: g.metrics, Memory: g.memory,
		Logs: g.Logs, Dir: g.dir.Path(), Now: g.Now, Version: g.Version, Config: g.Printed,
	})
}

// answerLocally answers on the admin socket. A gateway without it works as well.
func (g *gateway) answerLocally(ctx context.Context) error {
	copies, err := g.copies(g.dir.Path())
	if err != nil {
		return err
	}
	s := localsocket.New(localsocket.Options{
		Dir: g.dir.File("run"), Version: g.Version, Log: component(g.Log, "admin"), Now: g.Now, Bundle: g.watcher.Bundle,
		Backup: func(ctx context.Context, w io.Writer, order []byte) error {
			var o backup.Order
			if err := json.Unmarshal(order, &o); err != nil {
				return penstock.Errorf(penstock.Invalid, "this is no order of a backup: %w", err)
			}
			return copies.Send(ctx, w, o)
		},
	})
	if err := s.Run(ctx); err != nil {
		g.Log.Warn("there is no admin socket: penstock heap and support-bundle do not reach this gateway", "error", err)
	}
	return nil
}

// copies returns what makes backups.
func (g *gateway) copies(dir string) (*copies.Maker, error) {
	return copies.New(copies.Parts{
		FS: vfs.Default, Dir: dir, Keys: g.keysDir, Keyring: g.ring, Spool: g.spool, Store: g.store, Historian: g.historian,
		Flush:   func() error { return errors.Join(g.fleet.Flush(), g.scripts.Flush()) },
		Version: g.Version, Record: func() string { return g.record.Name }, Log: component(g.Log, "backup"), Now: g.Now,
		Config: func() (string, []string) { return g.ConfigFile, config.Files(&g.Config) },
	})
}
