package app

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/testkit"
)

// TestAStoppedSinkDoesNotFillTheSpool sends far more than the spool may hold, beside a
// sink that does not answer: everything is accepted, and what the sink will never get
// is counted.
func TestAStoppedSinkDoesNotFillTheSpool(t *testing.T) {
	c := settings.Default()
	c.Spool.Segment, c.Spool.Quota = 64<<10, 512<<10
	n, err := openNode(nodeOptions{config: c, fs: vfs.NewMem(), dir: "data", log: slog.New(slog.DiscardHandler), now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	stopped := sinktest.NewDestination()
	release := stopped.Stall()
	beside := sink.Spec{Name: "stopped", NewSink: func(sink.Env) (penstock.Sink, error) { return stopped.Open(), nil }}
	if err := n.sinks.Apply(append(n.sinkSpecs(&c), beside)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := n.sinks.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	const reports = 6000
	for seq := uint64(1); seq <= reports; seq++ {
		items := []intake.Item{reportKey{"pump-1", seq}.item()}
		testkit.Eventually(t, func() bool {
			outcomes, err := n.intake.Admit([]intake.Judged{{Reports: items}}).Wait(t.Context())
			if err == nil {
				err = outcomes[0].Err
			}
			if err == nil {
				return true
			}
			if penstock.CodeOf(err) != penstock.Full {
				t.Fatal(err)
			}
			if err := n.press(); err != nil { // as the watch does, a moment later
				t.Fatal(err)
			}
			return false
		}, "the spool has room again")
	}
	if err := n.historian.Wait(ctx, n.spool.Durable()); err != nil {
		t.Fatal(err)
	}
	release()
	var status = func() (dropped uint64, waiting uint64, alarm string) {
		for _, s := range n.sinks.Sinks() {
			if s.Name == "stopped" {
				return s.Books.Dropped, s.Backlog.Reports, s.Alarm
			}
		}
		return 0, 0, ""
	}
	testkit.Eventually(t, func() bool { _, waiting, _ := status(); return waiting == 0 }, "the sink catches up")
	dropped, _, _ := status()
	if got := uint64(len(stopped.Received())); dropped == 0 || got+dropped != reports {
		t.Errorf("%d reports arrived and %d were dropped, of %d", got, dropped, reports)
	}
	if named, _ := n.intake.Totals(); named.Accepted != reports || !named.Balanced() {
		t.Errorf("the books are %+v", named)
	}
	stop()
	running.Wait()
	if err := n.close(); err != nil {
		t.Error(err)
	}
}
