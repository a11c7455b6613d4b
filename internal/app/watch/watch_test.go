package watch_test

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/watch"
	"github.com/penstock/penstock/internal/flow"
	"github.com/penstock/penstock/internal/health"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/internal/memory"
	"github.com/penstock/penstock/internal/metrics"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestAStallLeavesItsStacksAndShowsEverywhere(t *testing.T) {
	dir := t.TempDir()
	ring, err := keyring.Open(vfs.NewMem(), "keys", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	log, _, err := spool.Open(spool.Options{FS: vfs.NewMem(), Dir: "spool", Keyring: ring, SegmentBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c := logging.Default()
	c.Format = logging.Off
	logs, err := logging.Open(c, logging.Options{Program: "penstock"})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	book := flow.New(flow.Options{Limit: func(flow.Part) time.Duration { return 50 * time.Millisecond }})
	set, h := metrics.New(), health.New(health.Options{})
	w := watch.New(watch.Parts{
		Flow: book, Spool: log, Intake: nil, Through: func() penstock.Position { return 0 }, Health: h, Metrics: set, Memory: memory.New(memory.Options{}),
		Logs: logs, Dir: dir, Now: time.Now, Version: "1",
	})
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { w.Run(ctx) })
	testkit.Eventually(t, h.Ready, "ready")
	stage, slot := book.Stage("validate/../x", flow.Acknowledgement, "watch.(*Watcher)"), book.Slot()
	for range 3 {
		slot.Enter(stage, time.Now())
		testkit.Eventually(t, func() bool { return !w.Healthy() }, "the stall is found")
		if s := w.Stalls(); len(s) == 1 && !strings.HasPrefix(s[0].Stacks, filepath.Join(dir, "stalls")) {
			t.Errorf("stacks in %s", s[0].Stacks)
		}
		slot.Leave()
		testkit.Eventually(t, w.Healthy, "it moves again")
	}
	stop()
	work.Wait()
	files, err := os.ReadDir(filepath.Join(dir, "stalls"))
	if err != nil || len(files) != 3 {
		t.Errorf("%d files of stacks, %v", len(files), err)
	}
	if !strings.Contains(string(logs.Recent()), "a stage stands still") {
		t.Error("the log does not say it")
	}
}
