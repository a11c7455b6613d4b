package sink_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/ledger"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// record is a system of record in memory that fails when it is told to.
type record struct {
	mu      sync.Mutex
	through penstock.Position
	stored  map[penstock.Identity]int
	fail    int // so many calls of Settle
	calls   int
}

func (r *record) Resume(context.Context) ([]penstock.Settled, error) {
	if through := r.Through(); through > 0 {
		return []penstock.Settled{{First: 1, Last: through}}, nil
	}
	return nil, nil
}

func (*record) Forget(context.Context, penstock.Position) error { return nil }

func (r *record) Settle(_ context.Context, b penstock.Batch) (penstock.Receipt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if r.fail > 0 {
		r.fail--
		return penstock.Receipt{}, penstock.Errorf(penstock.Unavailable, "the record is down")
	}
	what := make([]penstock.Settlement, len(b.Deliveries))
	for i, d := range b.Deliveries {
		what[i] = penstock.Stored
		r.stored[d.Report.Identity]++
	}
	r.through = b.Last
	return penstock.Receipt{Settlements: what}, nil
}

func (r *record) Through() penstock.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.through
}

func (*record) Close() error                                             { return nil }
func (*record) Settled(func(string, uint64, *interval.Set) bool) error   { return nil }
func (*record) Counters(func(controller string, o ledger.Outcomes) bool) {}

func (r *record) count(id penstock.Identity) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stored[id]
}

// watcher is the feed and the health of a test.
type watcher struct {
	mu        sync.Mutex
	published int
	failures  int
}

func (w *watcher) Publish(rs []*penstock.Report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.published += len(rs)
}

func (w *watcher) OK() {}

func (w *watcher) Failing(string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures++
}

type bench struct {
	record  *record
	watcher *watcher
	intake  *intake.Intake
}

// run starts a runner on a fresh log; it ends with the test.
func run(t *testing.T, rec *record) bench {
	fs := vfs.NewMem()
	keys, err := keyring.Open(fs, "keys", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	log, _, err := spool.Open(spool.Options{FS: fs, Dir: "spool", Keyring: keys, SegmentBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	n, err := intake.Open(intake.Options{Log: log, Record: rec, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	b := bench{record: rec, watcher: &watcher{}, intake: n}
	runner := sink.NewRunner(sink.Options{
		Log: log, Intake: n, Record: rec, Feed: b.watcher, Health: b.watcher, Logger: slog.New(slog.DiscardHandler),
		Linger: time.Millisecond, Batch: 2,
	})
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := runner.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		work.Wait()
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b bench) send(t *testing.T, first, last uint64) {
	t.Helper()
	for seq := first; seq <= last; seq++ {
		r := &penstock.Report{Controller: "pump-1", Identity: penstock.SequenceIdentity(1, seq), Samples: []penstock.Sample{{Point: "flow", Value: penstock.FloatValue(1)}}}
		if _, err := b.intake.Admit([]intake.Judged{{Reports: []intake.Item{{Report: r}}}}).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryReportReachesTheRecordOnce(t *testing.T) {
	b := run(t, &record{stored: map[penstock.Identity]int{}})
	b.send(t, 1, 20)
	testkit.Eventually(t, func() bool {
		_, committed := b.intake.Marks("pump-1")
		return committed.Seq == 20
	}, "the watermark reaches 20")
	for seq := uint64(1); seq <= 20; seq++ {
		if n := b.record.count(penstock.SequenceIdentity(1, seq)); n != 1 {
			t.Errorf("seq %d came %d times", seq, n)
		}
	}
	testkit.Eventually(t, func() bool {
		b.watcher.mu.Lock()
		defer b.watcher.mu.Unlock()
		return b.watcher.published == 20
	}, "all 20 are shown to those who watch")
}

func TestARecordThatIsDownLosesNothing(t *testing.T) {
	b := run(t, &record{stored: map[penstock.Identity]int{}, fail: 2})
	b.send(t, 1, 3)
	testkit.Eventually(t, func() bool { return b.record.count(penstock.SequenceIdentity(1, 3)) == 1 }, "the record comes back")
	b.watcher.mu.Lock()
	defer b.watcher.mu.Unlock()
	if b.watcher.failures != 2 {
		t.Errorf("health was told of %d failures, not of 2", b.watcher.failures)
	}
}

func TestDecisionsMoveTheRecordsPlace(t *testing.T) {
	b := run(t, &record{stored: map[penstock.Identity]int{}})
	r := &penstock.Report{Controller: "pump-1", Identity: penstock.SequenceIdentity(1, 1)}
	refused := intake.Item{Report: r, Reason: penstock.ReasonRange, Trusted: true}
	if _, err := b.intake.Admit([]intake.Judged{{Reports: []intake.Item{refused}}}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return b.record.Through() == 1 }, "the record is past the refusal")
	b.send(t, 2, 2)
	testkit.Eventually(t, func() bool { return b.record.count(penstock.SequenceIdentity(1, 2)) == 1 }, "the report behind it arrives")
}
