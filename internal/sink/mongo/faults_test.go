package mongo_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/sink/mongo"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/mongotest"
)

// feeder delivers the log of a node as a runner does: from where the record stands,
// and after every error from where it stands then.
type feeder struct {
	record *mongo.Record
	log    []*penstock.Report // position 1 is the first
	before func(batch int)    // called before each batch
	failed func()             // called after each that failed
}

// run delivers everything and returns how often it failed.
func (f *feeder) run(ctx context.Context) (failures int, err error) {
	const size = 24
	for batch := 0; ; {
		settled, err := f.record.Resume(ctx)
		var done interval.Set
		for _, run := range settled {
			done.Add(uint64(run.First), uint64(run.Last))
		}
		next := int(done.Through(1)) + 1
		for err == nil {
			if next > len(f.log) {
				return failures, nil
			}
			last := min(next+size-1, len(f.log))
			f.before(batch)
			batch++
			_, err = f.record.Settle(ctx, batchOf(penstock.Position(next), f.log[next-1:last]...))
			next = last + 1
		}
		if ctx.Err() != nil {
			return failures, err
		}
		if !penstock.CodeOf(err).Temporary() {
			return failures, fmt.Errorf("code %s: %w", penstock.CodeOf(err), err)
		}
		failures++
		f.failed()
	}
}

// workload is what a few controllers sent, and through which of two nodes: some of
// it through both, and some of it twice through one.
type workload struct {
	logs    [2][]*penstock.Report
	all     []*penstock.Report
	samples int
}

func newWorkload(reports int) *workload {
	w := &workload{}
	rng := rand.New(rand.NewPCG(7, 7))
	for i := range reports {
		controller, seq := i%7, uint64(i/7+1)
		at := noon + int64(seq)*1e9
		r := &penstock.Report{
			Controller: fmt.Sprint("pump-", controller), Fingerprint: penstock.Fingerprint(i + 1), Source: "test", ReceivedTime: at, AcceptedTime: at,
			Samples: []penstock.Sample{
				{Point: "flow", SourceTime: at, Value: penstock.FloatValue(float64(i)), Unit: "m3/h"},
				{Point: "count", SourceTime: at, Value: penstock.UintValue(uint64(i))},
			},
		}
		switch controller {
		case 0: // natural
			r.Samples = r.Samples[:1] // so that one delivery of it is the first
		case 1:
			r.Identity = penstock.KeyIdentity(fmt.Sprint("key ", seq))
		default:
			r.Identity = penstock.SequenceIdentity(1, seq)
		}
		w.samples += len(r.Samples)
		w.all = append(w.all, r)
		first := rng.IntN(2)
		w.logs[first] = append(w.logs[first], r)
		switch rng.IntN(3) {
		case 0:
			w.logs[1-first] = append(w.logs[1-first], r)
		case 1:
			w.logs[first] = append(w.logs[first], r)
		}
	}
	return w
}

// check sees that every report is stored once, and that exactly one delivery of
// each was called stored.
func (w *workload) check(t *testing.T, b *bench, records [2]*mongo.Record) {
	t.Helper()
	type key struct {
		controller, point string
		at                int64
	}
	times := map[key]int{}
	stored := b.stored(t)
	for _, s := range stored {
		times[key{s.Controller, s.Point, s.SourceTime}]++
	}
	if len(stored) != w.samples {
		t.Errorf("%d samples are stored, want %d", len(stored), w.samples)
	}
	settled := map[string]map[uint64]*interval.Set{}
	for _, r := range w.all {
		for _, s := range r.Samples {
			if n := times[key{r.Controller, s.Point, s.SourceTime}]; n != 1 {
				t.Errorf("%s %s: point %s is stored %d times", r.Controller, r.Identity, s.Point, n)
			}
		}
		if r.Identity.Form == penstock.Sequence && !w.knows(t, records[0], settled, r) {
			t.Errorf("%s %s is not settled", r.Controller, r.Identity)
		}
	}
	called := 0
	for i, r := range records {
		var runs []penstock.Settled
		var err error
		if !testkit.Within(func() bool { runs, err = r.Resume(t.Context()); return err == nil }) || len(runs) != 1 || int(runs[0].Last) != len(w.logs[i]) {
			t.Fatalf("node %d is settled through %v (%v), want 1 to %d", i, runs, err, len(w.logs[i]))
		}
		called += len(w.logs[i]) - len(runs[0].Other)
	}
	if called != len(w.all) {
		t.Errorf("%d deliveries were called stored, want %d: one for each report", called, len(w.all))
	}
}

// knows tells whether the record knows the report's number to be settled.
func (w *workload) knows(t *testing.T, record *mongo.Record, cache map[string]map[uint64]*interval.Set, r *penstock.Report) bool {
	t.Helper()
	if cache[r.Controller] == nil {
		cache[r.Controller] = map[uint64]*interval.Set{}
		known, err := record.Known(t.Context(), r.Controller)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range known {
			set := &interval.Set{}
			for _, s := range k.Settled {
				set.Add(s.First, s.Last)
			}
			cache[r.Controller][k.Epoch] = set
		}
	}
	set := cache[r.Controller][r.Identity.Epoch]
	return set != nil && set.Contains(r.Identity.Seq)
}

// rig is where a fault takes hold.
type rig struct {
	mu       sync.Mutex
	before   func(node, batch int)
	failed   func()
	failures int
	least    int // batches that must have failed, for the test to mean something
}

// TestFaults delivers through two nodes at once, with one fault after the other,
// and checks by identity.
func TestFaults(t *testing.T) {
	for name, fault := range map[string]func(t *testing.T, b *bench, rig *rig){
		"none":                                  func(*testing.T, *bench, *rig) {},
		"the server is killed":                  killed,
		"the connection breaks at every write":  cutEverywhere,
		"the connection breaks at the commit":   cutCommits,
		"a failover to an older copy":           failover,
		"the server is killed inside a command": killedInside,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			w := newWorkload(280)
			records := [2]*mongo.Record{b.resumed(t, node("a")), b.resumed(t, node("b"))}
			rig := &rig{before: func(int, int) {}, failed: func() {}}
			fault(t, b, rig)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			var running sync.WaitGroup
			for i, r := range records {
				running.Go(func() {
					f := &feeder{record: r, log: w.logs[i], before: func(n int) { rig.before(i, n) }, failed: rig.failed}
					failures, err := f.run(ctx)
					if err != nil {
						t.Errorf("node %d: %v", i, err)
					}
					rig.mu.Lock()
					defer rig.mu.Unlock()
					rig.failures += failures
				})
			}
			running.Wait()
			b.proxy.Each(nil)
			if rig.failures < rig.least {
				t.Errorf("%d batches failed, and the fault should have made at least %d fail", rig.failures, rig.least)
			}
			w.check(t, b, records)
		})
	}
}

// killed kills the server between two batches of a node, whatever the other one does.
// Not every kill fails a batch: the driver may send a write again unseen.
func killed(t *testing.T, b *bench, rig *rig) {
	restart := restarting(t, b)
	rig.before = func(node, batch int) {
		if node == 0 && batch%4 == 2 {
			restart()
		}
	}
}

// killedInside kills it while it has a command.
func killedInside(t *testing.T, b *bench, rig *rig) {
	rig.least = 2
	restart := restarting(t, b)
	var mu sync.Mutex
	writes := 0
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	b.proxy.Each(func(c mongotest.Command) mongotest.Cut {
		mu.Lock()
		defer mu.Unlock()
		if c.Name != "insert" && c.Name != "update" {
			return mongotest.None
		}
		if writes++; writes%17 == 5 {
			running.Go(restart) // the command is on its way meanwhile
		}
		return mongotest.None
	})
}

// restarting returns what kills the server and starts it again.
func restarting(t *testing.T, b *bench) func() {
	var mu sync.Mutex
	return func() {
		mu.Lock()
		defer mu.Unlock()
		if err := b.Down(); err != nil {
			t.Error(err)
		}
		if err := b.Up(); err != nil {
			t.Error(err)
		}
	}
}

func cutEverywhere(_ *testing.T, b *bench, rig *rig) {
	rig.least = 8
	var mu sync.Mutex
	writes := 0
	b.proxy.Each(func(c mongotest.Command) mongotest.Cut {
		mu.Lock()
		defer mu.Unlock()
		if c.Name != "insert" && c.Name != "update" {
			return mongotest.None
		}
		writes++
		return map[int]mongotest.Cut{3: mongotest.Before, 7: mongotest.After}[writes%11]
	})
}

func cutCommits(_ *testing.T, b *bench, rig *rig) {
	rig.least = 4
	var mu sync.Mutex
	commits := 0
	b.proxy.Each(func(c mongotest.Command) mongotest.Cut {
		mu.Lock()
		defer mu.Unlock()
		if c != commit {
			return mongotest.None
		}
		commits++
		return map[int]mongotest.Cut{1: mongotest.Before, 3: mongotest.After}[commits%5]
	})
}

// failover takes the database back while both nodes write: their next commits fail.
func failover(t *testing.T, b *bench, rig *rig) {
	rig.least = 1
	var mu sync.Mutex
	var restore func()
	restored := make(chan struct{})
	rig.before = func(node, batch int) {
		if node != 0 {
			if batch >= 3 { // it still has something to commit afterwards, and so finds out
				<-restored
			}
			return
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case batch == 2:
			b.proxy.Still(func() { restore = mongotest.Save(t, b.db) })
		case batch == 6 && restore != nil:
			b.proxy.Still(restore)
			restore = nil
			close(restored)
		}
	}
}
