package app

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/sinktest"
)

// elsewhere opens a node whose system of record stands elsewhere.
func elsewhere(t *testing.T, store *sinktest.Store) *node {
	t.Helper()
	n, err := openNode(nodeOptions{config: settings.Default(), fs: vfs.NewMem(), dir: "data", log: slog.New(slog.DiscardHandler), now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	n.record = sink.Spec{Name: "elsewhere", NewRecord: func(env sink.Env) (penstock.Record, error) { return store.Open(env.Node), nil }}
	return n
}

func TestAReloadKeepsTheSystemOfRecord(t *testing.T) {
	n := elsewhere(t, sinktest.NewStore())
	defer func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	}()
	c := settings.Default()
	if err := n.reloadSinks(&c); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := n.sinks.Run(ctx); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range n.sinks.Sinks() {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"elsewhere", settings.HistorianName}) {
		t.Errorf("after a reload that does not name it the sinks are %q", names)
	}
}
