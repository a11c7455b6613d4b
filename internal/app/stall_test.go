package app

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/app/watch"
	"github.com/penstock/penstock/internal/flow"
	"github.com/penstock/penstock/internal/flow/stall"
	"github.com/penstock/penstock/internal/heap"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/internal/testkit"
)

// watched is a node with a detector of little patience, and a sender.
type watched struct {
	*node
	detector *stall.Detector
	stop     func()
	token    string
	seq      uint64
}

const shortLimit = 250 * time.Millisecond

func watchNode(t *testing.T, fs vfs.FS) *watched {
	t.Helper()
	config := settings.Default()
	config.Spool.Segment, config.Spool.Quota = 64<<10, 64<<20
	n, err := openNode(nodeOptions{
		config: config, fs: fs, dir: "data", log: slog.New(slog.DiscardHandler), now: time.Now,
		limit: func(flow.Part) time.Duration { return shortLimit },
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{node: n, detector: watch.NewDetector(n.flow, n.health, stall.Options{Every: 50 * time.Millisecond, Log: n.log})}
	if w.token, err = n.fleet.EnsureAdmin(nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { w.detector.Run(ctx) })
	work.Go(func() {
		if err := n.sinks.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	g := &gateway{node: n}
	work.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			g.watch()
			<-tick.C
		}
	})
	w.stop = func() { cancel(); work.Wait() }
	return w
}

// send sends a report and tells whether it was acknowledged in time.
func (w *watched) send(t *testing.T, patience time.Duration) bool {
	t.Helper()
	w.seq++
	r := &penstock.Report{
		Controller: "pump-17", Identity: penstock.SequenceIdentity(1, w.seq),
		Samples: []penstock.Sample{{Point: "flow", SourceTime: time.Now().UnixNano(), Value: penstock.FloatValue(float64(w.seq))}},
	}
	body, err := reportjson.AppendReport(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan bool, 1)
	// A call that stands still is left behind, as a connection would be.
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		outcomes, err := w.pipeline.Submit(ctx, []penstock.Envelope{{
			Source: "https", ContentType: pipeline.JSONType, Credential: penstock.Credential{Token: w.token}, Body: body, ReceivedTime: time.Now().UnixNano(),
		}}).Wait(ctx)
		answered <- err == nil && outcomes[0].Err == nil && outcomes[0].Verdicts[0].Result == penstock.Accepted
	}()
	select {
	case ok := <-answered:
		return ok
	case <-time.After(patience):
		return false
	}
}

// TestNothingStandsStill sends reports and fails with the name of the stage and the
// goroutine when one stands still: bugs planted in each stage show that it would.
func TestNothingStandsStill(t *testing.T) {
	w := watchNode(t, vfs.NewMem())
	for range 3 {
		w.send(t, shortLimit)
	}
	end := time.Now().Add(4 * shortLimit)
	for time.Now().Before(end) {
		if stalls := w.detector.Stalls(); len(stalls) > 0 {
			if w.detector.Healthy() || w.health.Snapshot().Status == "" {
				t.Error("it is said to be healthy")
			}
			t.Fatalf("stands still: %s in %s, healthy %v", stalls[0].Stage, stalls[0].Goroutine, w.detector.Healthy())
		}
		<-time.After(20 * time.Millisecond)
	}
	w.stop()
	if err := w.close(); err != nil {
		t.Error(err)
	}
}

// TestNothingIsSlow names the slowest stage when one takes longer than it should.
func TestNothingIsSlow(t *testing.T) {
	w := watchNode(t, vfs.NewMem())
	for range 20 {
		if !w.send(t, 5*time.Second) {
			t.Error("no acknowledgement")
		}
	}
	testkit.Eventually(t, func() bool { return w.historian.Through() >= w.spool.Durable() }, "delivery")
	v := w.flow.View()
	for _, s := range v.Stages {
		if v.Slowest[s.Part] == s.Name && s.Mean > 15*time.Millisecond && s.Name != "record settle" || s.Mean > 60*time.Millisecond {
			t.Errorf("slowest: %s, %v", s.Name, s.Mean)
		}
	}
	w.stop()
	if err := w.close(); err != nil {
		t.Error(err)
	}
}

// TestNothingLeaks names what keeps more and more memory at the same load.
func TestNothingLeaks(t *testing.T) {
	w := watchNode(t, vfs.NewMem())
	send := func(n int) {
		for range n {
			if !w.send(t, 5*time.Second) {
				t.Fatal("no acknowledgement")
			}
		}
		testkit.Eventually(t, func() bool { return w.historian.Through() >= w.spool.Durable() }, "delivery")
	}
	send(100)
	before := heap.Take("", time.Now())
	send(400)
	grown := heap.Diff(before, heap.Take("", time.Now()))
	const most = 12 << 20 // of the spool and the store, which are in memory here
	if len(grown) > 0 && grown[0].Grown > most {
		var names []string
		for _, f := range grown[0].Stack[:min(3, len(grown[0].Stack))] {
			names = append(names, f[strings.LastIndex(f, "/")+1:])
		}
		t.Errorf("%d bytes more: %s", grown[0].Grown, strings.Join(names, " < "))
	}
	w.stop()
	if err := w.close(); err != nil {
		t.Error(err)
	}
}

// faultyFS is a disk whose syncs can fail or stand still.
type faultyFS struct {
	vfs.FS
	mu    sync.Mutex
	fault error
	held  chan struct{} // syncs wait until it is closed
}

func (f *faultyFS) set(fault error, held chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.held = fault, held
}

func (f *faultyFS) sync(do func() error) error {
	f.mu.Lock()
	fault, held := f.fault, f.held
	f.mu.Unlock()
	if held != nil {
		<-held
	}
	if fault != nil {
		return fault
	}
	return do()
}

func (f *faultyFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.wrap(name)(f.FS.Create(name, c))
}

func (f *faultyFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.wrap(name)(f.FS.OpenReadWrite(name, c, o...))
}

// wrap returns what makes the syncs of a file of the spool fail: a disk that fails
// the embedded store ends that, which is another story.
func (f *faultyFS) wrap(name string) func(vfs.File, error) (vfs.File, error) {
	return func(file vfs.File, err error) (vfs.File, error) {
		if err != nil || !strings.Contains(name, "spool") {
			return file, err
		}
		return &faultyFile{File: file, fs: f}, nil
	}
}

type faultyFile struct {
	vfs.File
	fs *faultyFS
}

func (f *faultyFile) Sync() error     { return f.fs.sync(f.File.Sync) }
func (f *faultyFile) SyncData() error { return f.fs.sync(f.File.SyncData) }

// Serving means that an acknowledgement is possible: under each fault readiness
// goes, and while it is there a report is acknowledged.
func TestReadyMeansAnAcknowledgementIsPossible(t *testing.T) {
	disk := &faultyFS{FS: vfs.NewMem()}
	w := watchNode(t, disk)
	holds := func(when string) {
		t.Helper()
		testkit.Eventually(t, w.health.Ready, "ready "+when)
		if !w.send(t, 10*time.Second) {
			t.Errorf("%s it is ready, and a report was not acknowledged", when)
		}
	}
	fails := func(when, component, why string) {
		t.Helper()
		testkit.Eventually(t, func() bool { w.send(t, 50*time.Millisecond); return !w.health.Ready() }, "not ready "+when)
		for _, c := range w.health.Snapshot().Components {
			if c.Name == component && !strings.Contains(c.Why, why) {
				t.Errorf("%s: %+v", when, c)
			}
		}
	}
	holds("at first")
	disk.set(errors.New("input/output error"), nil)
	fails("while syncs fail", "spool", "input/output error")
	disk.set(nil, nil)
	holds("when syncs work again")
	held := make(chan struct{})
	disk.set(nil, held)
	fails("while a sync stands still", "acknowledgement", `the stage "spool sync" stands still`)
	if w.detector.Healthy() {
		t.Error("the watchdog would be fed")
	}
	close(held)
	disk.set(nil, nil)
	holds("when the sync went on")
	if !w.detector.Healthy() {
		t.Error("the watchdog would not be fed")
	}
	w.stop()
	if err := w.close(); err != nil {
		t.Error(err)
	}
}
