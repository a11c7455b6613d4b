package delivery_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/delivery"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/store"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// watcher is the feed and the health of a test.
type watcher struct {
	mu        sync.Mutex
	published int
	failing   string
}

func (w *watcher) Publish(rs []*penstock.Report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.published += len(rs)
}

func (w *watcher) OK() { w.set("") }

func (w *watcher) Failing(why string) { w.set(why) }

func (w *watcher) set(why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failing = why
}

// node is a spool, an intake and sinks on a disk in memory, which outlives them.
type node struct {
	t       testing.TB
	fs      *vfs.MemFS
	options delivery.Options
	watcher *watcher
	record  *sinktest.Store
	segment int64
	quota   int64

	log    *spool.Spool
	store  *store.Store
	intake *intake.Intake
	set    *delivery.Set
	stop   func()
	sent   uint64
}

// newNode returns a node that has not been opened, whose system of record stands
// elsewhere and is called "record".
func newNode(t testing.TB) *node {
	return &node{t: t, fs: vfs.NewCrashableMem(), watcher: &watcher{}, record: sinktest.NewStore(), segment: 64 << 10}
}

// quick are settings that make tests short.
func quick() sink.Settings { return sink.Settings{Linger: config.Duration(time.Millisecond)} }

func (n *node) main() sink.Spec {
	return sink.Spec{Name: "record", Settings: quick(), NewRecord: func(env sink.Env) (penstock.Record, error) { return n.record.Open(env.Node), nil }}
}

// to returns a plain sink that writes to a destination.
func to(name string, d *sinktest.Destination) sink.Spec {
	return sink.Spec{Name: name, Settings: quick(), NewSink: func(sink.Env) (penstock.Sink, error) { return d.Open(), nil }}
}

// open opens the node on its disk and runs the sinks, beside the system of record.
func (n *node) open(specs ...sink.Spec) {
	n.t.Helper()
	keys, err := keyring.Open(n.fs, "keys", rand.Reader)
	n.must(err)
	n.store, err = store.Open(store.Options{FS: n.fs, Dir: "store", Keyring: keys})
	n.must(err)
	n.log, _, err = spool.Open(spool.Options{FS: n.fs, Dir: "spool", Keyring: keys, SegmentBytes: n.segment, QuotaBytes: n.quota})
	n.must(err)
	self, err := sink.OpenSelf(n.store.Table("node"), "test", n.log.Durable()+1, rand.Reader)
	n.must(err)
	n.intake, err = intake.Open(intake.Options{Log: n.log, Now: time.Now, Replayed: func(*penstock.Report) {}})
	n.must(err)
	o := n.options
	o.Env = sink.Env{Log: slog.New(slog.DiscardHandler), Now: time.Now, Rand: rand.Reader}
	o.Self, o.Log, o.Store, o.Intake, o.Feed, o.Main = self, n.log, n.store, n.intake, n.watcher, "record"
	o.Health = func(string) (delivery.Health, func()) { return n.watcher, func() {} }
	n.set = delivery.NewSet(o)
	n.apply(specs...)
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := n.set.Run(ctx); err != nil {
			n.t.Error(err)
		}
	})
	n.stop = sync.OnceFunc(func() {
		stop()
		work.Wait()
		n.must(n.log.Close())
		n.must(n.store.Close())
	})
	n.t.Cleanup(n.stop)
}

func (n *node) apply(specs ...sink.Spec) {
	n.t.Helper()
	n.must(n.set.Apply(append([]sink.Spec{n.main()}, specs...)))
}

// reopen ends the process and begins the next one.
func (n *node) reopen(specs ...sink.Spec) {
	n.t.Helper()
	n.stop()
	n.open(specs...)
}

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// send sends so many reports of pump-1, each with the next number.
func (n *node) send(count int) {
	n.t.Helper()
	for range count {
		n.sent++
		n.sendAs("pump-1", n.sent)
	}
}

func (n *node) sendAs(controller string, seq uint64) {
	n.t.Helper()
	r := &penstock.Report{
		Controller: controller, Identity: penstock.SequenceIdentity(1, seq), Fingerprint: penstock.Fingerprint(seq),
		Samples: []penstock.Sample{{Point: "flow", SourceTime: int64(seq), Value: penstock.TextValue(fmt.Sprint(seq))}},
	}
	outcomes, err := n.intake.Admit([]intake.Judged{{Reports: []intake.Item{{Report: r}}}}).Wait(n.t.Context())
	if err == nil {
		err = outcomes[0].Err
	}
	n.must(err)
}

// committed waits until the watermark of pump-1 is at the last report.
func (n *node) committed() {
	n.t.Helper()
	testkit.Eventually(n.t, func() bool {
		_, committed := n.intake.Marks("pump-1")
		return committed.Seq == n.sent
	}, "the watermark reaches the last report")
}

// arrived waits until a destination has the reports first to last of pump-1, each once.
func arrived(t *testing.T, d *sinktest.Destination, first, last uint64) {
	t.Helper()
	count := func() map[uint64]int {
		counts := map[uint64]int{}
		for _, r := range d.Received() {
			if r.Controller == "pump-1" {
				counts[r.Identity.Seq]++
			}
		}
		return counts
	}
	testkit.Eventually(t, func() bool { return len(count()) >= int(last-first+1) }, "all reports arrive")
	for seq, times := range count() {
		if seq < first || seq > last || times != 1 {
			t.Errorf("report %d arrived %d times; wanted are %d to %d", seq, times, first, last)
		}
	}
}

// status returns how a sink stands.
func (n *node) status(name string) delivery.Status {
	for _, s := range n.set.Sinks() {
		if s.Name == name {
			return s
		}
	}
	n.t.Fatalf("there is no sink %s", name)
	return delivery.Status{}
}

// crashless copies a disk as it is.
func crashless() vfs.CrashCloneCfg {
	return vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: mathrand.New(mathrand.NewPCG(1, 1))}
}
