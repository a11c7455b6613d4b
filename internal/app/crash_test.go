package app

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/historian"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/crashfs"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// reportKey names a report of the crash test. Its value follows from it, so that
// a mutation shows.
type reportKey struct {
	controller string
	seq        uint64
}

func (k reportKey) value() float64 {
	return float64(k.seq)*1000 + float64(k.controller[len(k.controller)-1])
}

func (k reportKey) item() intake.Item {
	unit := "m"
	if k.odd() {
		unit = "s"
	}
	return intake.Item{Report: &penstock.Report{
		Controller: k.controller, Identity: penstock.SequenceIdentity(1, k.seq), Source: "test",
		Fingerprint: penstock.Fingerprint(k.seq),
		Samples: []penstock.Sample{
			{Point: "level", SourceTime: int64(k.seq), Value: penstock.FloatValue(k.value()), Unit: unit},
			{Point: "note", SourceTime: int64(k.seq), Value: penstock.TextValue(fmt.Sprint(k))},
		},
	}}
}

// refusable tells whether the test has this report refused for its content.
func (k reportKey) refusable() bool { return k.seq%7 == 3 }

// odd tells whether the record cannot store this report: another one gave its point
// another unit.
func (k reportKey) odd() bool { return k.seq%11 == 5 && !k.refusable() }

// heard is what a sender was told of a report.
type heard struct {
	key     reportKey
	verdict penstock.Verdict
}

// work is the life of a node on a disk: senders, delivery, flushes, snapshots
// and restarts, drawn by a seed.
type work struct {
	t    *testing.T
	disk *crashfs.FS
	rng  *rand.Rand
	next map[string]uint64 // by controller
}

// got is what a plain sink's destination, which stands elsewhere, has received.
type got struct{ key reportKey }

// noting is a sink whose destination notes what came between the disk's operations.
type noting struct {
	penstock.Sink
	note func(any)
}

func (s noting) Write(ctx context.Context, rs []*penstock.Report) error {
	if err := s.Sink.Write(ctx, rs); err != nil {
		return err
	}
	for _, r := range rs {
		s.note(got{reportKey{r.Controller, r.Identity.Seq}})
	}
	return nil
}

// copyName is the name of the plain sink beside the record.
const copyName = "copy"

func openOn(t *testing.T, disk *crashfs.FS, note func(any)) *node {
	t.Helper()
	c := settings.Default()
	c.Spool.Segment, c.Spool.Quota = 64<<10, 64<<20
	n, err := openNode(nodeOptions{config: c, fs: disk, dir: "data", log: slog.New(slog.DiscardHandler), now: time.Now})
	if err != nil {
		t.Fatalf("the node does not start: %v", err)
	}
	n.addCopy(t, &c, note)
	return n
}

// addCopy adds a plain sink beside the record.
func (n *node) addCopy(t *testing.T, c *settings.Config, note func(any)) {
	t.Helper()
	beside := sink.Spec{
		Name: copyName, Settings: sink.Settings{Linger: config.Duration(time.Millisecond)},
		NewSink: func(sink.Env) (penstock.Sink, error) { return noting{sinktest.NewDestination().Open(), note}, nil },
	}
	if err := n.sinks.Apply(append(n.sinkSpecs(c), beside)); err != nil {
		t.Fatal(err)
	}
}

// run lives lives one after another on the disk, each ended in good order.
func (w *work) run(lives, steps int) {
	for range lives {
		n := openOn(w.t, w.disk, w.disk.Mark)
		ctx, stop := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() {
			if err := n.sinks.Run(ctx); err != nil {
				w.t.Error(err)
			}
		})
		for range steps {
			w.step(n)
		}
		stop()
		running.Wait()
		if err := n.close(); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *work) step(n *node) {
	switch w.rng.IntN(12) {
	case 0:
		if err := n.checkpoint(time.Now()); err != nil {
			w.t.Fatal(err)
		}
	case 1:
		if err := n.historian.Flush(context.Background()); err != nil {
			w.t.Fatal(err)
		}
	case 2:
		w.decide(n)
	default:
		w.send(n)
	}
}

// decide decides about a report in quarantine, as a person would: a retry finds that
// its unit is still wrong.
func (w *work) decide(n *node) {
	if err := n.historian.Wait(context.Background(), n.spool.Durable()); err != nil {
		w.t.Fatal(err)
	}
	held, err := n.historian.Quarantined(context.Background(), 0, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, q := range held {
		d := penstock.Decision{Verb: penstock.Verb(1 + w.rng.IntN(2)), Controller: q.Report.Controller, Number: q.Number}
		if err := n.intake.Decide(context.Background(), "", d); err != nil {
			w.t.Fatal(err)
		}
	}
}

// send sends a few reports of one controller at once: new ones, one again, and
// one that is refused. What was heard is noted between the disk's operations.
func (w *work) send(n *node) {
	controller := fmt.Sprintf("pump-%d", w.rng.IntN(4))
	var keys []reportKey
	for range 1 + w.rng.IntN(4) {
		w.next[controller]++
		keys = append(keys, reportKey{controller, w.next[controller]})
	}
	keys = append(keys, reportKey{controller, 1 + w.rng.Uint64N(w.next[controller])})
	for i, v := range admitAll(w.t, n, keys) {
		w.disk.Mark(heard{keys[i], v})
	}
}

// admitAll admits the reports in one envelope and returns the verdicts.
func admitAll(t *testing.T, n *node, keys []reportKey) []penstock.Verdict {
	t.Helper()
	items := make([]intake.Item, len(keys))
	for i, k := range keys {
		items[i] = k.item()
		if k.refusable() {
			items[i].Reason, items[i].Trusted = penstock.ReasonRange, true
		}
	}
	outcomes, err := n.intake.Admit([]intake.Judged{{Reports: items}}).Wait(context.Background())
	if err == nil {
		err = outcomes[0].Err
	}
	if err != nil {
		t.Fatal(err)
	}
	return outcomes[0].Verdicts
}

// TestCrashOfTheWholeNode crashes a node, its spool and its store with it, at
// moments and in ways drawn by a seed. After each, what was acknowledged is
// there once and unchanged, what was refused is not, the watermark was true, and
// the books balance; and so again after everything was sent once more.
func TestCrashOfTheWholeNode(t *testing.T) {
	seeds := uint64(6)
	if os.Getenv("PENSTOCK_TORTURE") != "" {
		seeds = 500
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1))
			disk := crashfs.New()
			w := &work{t: t, disk: disk, rng: rng, next: map[string]uint64{}}
			w.run(3, 25)
			const moments = 12
			chosen := map[int]bool{}
			for range moments {
				chosen[rng.IntN(disk.Ops())] = true
			}
			disk.Sweep(0, func(p *crashfs.Point) bool {
				if chosen[p.Op] {
					// Pebble counts on the entries of a directory to reach the disk in
					// their order, as they do on a journaling file system; the spool,
					// which does not, is crashed without order in its own tests.
					choice := crashfs.Choice{Keep: crashfs.Keep(rng.IntN(3)), Tear: []int{1, 512, 4096}[rng.IntN(3)]}
					checkCrash(t, p, choice)
				}
				return !t.Failed()
			})
		})
	}
}

func checkCrash(t *testing.T, p *crashfs.Point, choice crashfs.Choice) {
	t.Helper()
	where := func() string { return fmt.Sprintf("crash after operation %d (%s), %+v", p.Op, p.Last, choice) }
	marks := slices.Clone(p.Marks)
	t.Log(where())
	var mu sync.Mutex
	var after []any // what was received after the crash
	n := openOn(t, p.Crash(choice), func(received any) {
		mu.Lock()
		defer mu.Unlock()
		after = append(after, received)
	})
	defer func() {
		if err := n.close(); err != nil {
			t.Errorf("%s: %v", where(), err)
		}
	}()
	settled := map[string]interval.Set{}
	err := n.historian.Settled(func(controller string, _ uint64, set *interval.Set) bool {
		settled[controller] = set.Clone()
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]uint64{}
	for _, mark := range marks {
		h, ok := mark.(heard)
		if !ok {
			continue
		}
		last[h.key.controller] = max(last[h.key.controller], h.key.seq)
		set := settled[h.key.controller]
		for seq := uint64(1); seq <= h.verdict.Committed.Seq; seq++ {
			if k := (reportKey{h.key.controller, seq}); !k.refusable() && !set.Contains(seq) {
				t.Fatalf("%s: %v was told to be committed and is not in the record", where(), k)
			}
		}
	}
	deliver(t, n)
	checkStored(t, n, marks, where)
	mu.Lock()
	checkCopied(t, append(marks, after...), where)
	mu.Unlock()
	for controller, seq := range last {
		var all []reportKey
		for s := uint64(1); s <= seq; s++ {
			all = append(all, reportKey{controller, s})
		}
		for i, v := range admitAll(t, n, all) {
			marks = append(marks, heard{all[i], v})
		}
	}
	deliver(t, n)
	checkStored(t, n, marks, where)
}

// deliver runs the node's delivery until the record has everything.
func deliver(t *testing.T, n *node) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	var running sync.WaitGroup
	running.Go(func() {
		if err := n.sinks.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := n.historian.Wait(ctx, n.spool.Durable()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool {
		for _, s := range n.sinks.Sinks() {
			if s.Through < n.spool.Durable() {
				return false
			}
		}
		return true
	}, "every sink has everything")
	stop()
	running.Wait()
}

// checkStored reads the record back and holds it against what the senders heard.
func checkStored(t *testing.T, n *node, marks []any, where func() string) {
	t.Helper()
	stored := map[reportKey]int{}
	for _, s := range n.historian.Series(historian.Selector{Point: "level", Scope: penstock.Scope{"*"}}) {
		for sample, err := range n.historian.Samples(context.Background(), s.ID, 0, 1<<62) {
			k := reportKey{s.Controller, uint64(sample.SourceTime)}
			stored[k]++
			if err != nil || sample.Value != penstock.FloatValue(k.value()) || stored[k] > 1 {
				t.Fatalf("%s: %v is stored %d times, as %v (%v)", where(), k, stored[k], sample.Value, err)
			}
			if k.refusable() || k.odd() {
				t.Fatalf("%s: %v was refused, and is stored", where(), k)
			}
		}
	}
	for _, mark := range marks {
		h, ok := mark.(heard)
		if !ok {
			continue
		}
		if h.verdict.Result != penstock.Rejected && !h.key.odd() && stored[h.key] != 1 {
			t.Fatalf("%s: %v was called %v, and is not stored", where(), h.key, h.verdict.Result)
		}
	}
	counted := map[string]uint64{}
	for k := range stored {
		counted[k.controller]++
	}
	held, err := n.historian.Quarantined(context.Background(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	quarantined := map[string]uint64{}
	for _, q := range held {
		quarantined[q.Report.Controller]++
	}
	for _, a := range n.intake.Books() {
		if a.Books.Quarantined != quarantined[a.Controller] {
			t.Fatalf("%s: %d reports of %q are in quarantine, and the books are %+v", where(), quarantined[a.Controller], a.Controller, a.Books)
		}
		if !a.Books.Balanced() || a.Books.Waiting != 0 || a.Books.Stored != counted[a.Controller] {
			t.Fatalf("%s: %d reports of %q are stored, and the books are %+v", where(), counted[a.Controller], a.Controller, a.Books)
		}
	}
}

// checkCopied holds what the destination of the plain sink received, before the crash
// and after, against what the senders heard: it knows a report that comes again by its
// identity.
func checkCopied(t *testing.T, marks []any, where func() string) {
	t.Helper()
	copied := map[reportKey]bool{}
	for _, mark := range marks {
		if g, ok := mark.(got); ok {
			copied[g.key] = true
			if g.key.refusable() {
				t.Fatalf("%s: %v was refused, and was copied", where(), g.key)
			}
		}
	}
	for _, mark := range marks {
		if h, ok := mark.(heard); ok && h.verdict.Result == penstock.Accepted && !copied[h.key] {
			t.Fatalf("%s: %v was accepted, and is not at the sink beside the record", where(), h.key)
		}
	}
}
