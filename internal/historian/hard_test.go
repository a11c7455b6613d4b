package historian_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian"
	"github.com/penstock/penstock/internal/interval"
)

func TestQueriesSeeEachSampleOnceWhileTheHeadMoves(t *testing.T) {
	b := open(t, vfs.NewMem(), historian.Options{HeadBytes: 2000, Now: func() time.Time { return time.Unix(0, start).Add(48 * time.Hour) }})
	b.settle(t, penstock.Delivery{Position: 1, Report: flow(penstock.SequenceIdentity(1, 1), start, 1)})
	id := b.id(t, "pump-17", "flow")
	var settled atomic.Int64
	settled.Store(1)
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				before := settled.Load()
				n := int64(0)
				for s, err := range b.Samples(context.Background(), id, math.MinInt64, math.MaxInt64) {
					if n++; err != nil || s.SourceTime != start+(n-1)*1e9 {
						t.Errorf("sample %d: %+v, %v", n, s, err)
						return
					}
				}
				if n < before {
					t.Errorf("%d samples after %d were settled", n, before)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := 2; i <= 1500; i++ {
		b.settle(t, penstock.Delivery{Position: penstock.Position(i), Report: flow(penstock.SequenceIdentity(1, uint64(i)), start+int64(i-1)*1e9, float64(i))})
		settled.Store(int64(i))
	}
	close(done)
	readers.Wait()
	b.close(t)
}

// TestManyFlushesOfADayBecomeFewChunks backfills a day in reverse, so that the
// chunks of all flushes overlap those before.
func TestManyFlushesOfADayBecomeFewChunks(t *testing.T) {
	b := open(t, vfs.NewMem(), historian.Options{Now: func() time.Time { return time.Unix(0, start).Add(time.Hour) }})
	const flushes, samples = 20, 300
	position := penstock.Position(0)
	for f := range flushes {
		r := &penstock.Report{Controller: "pump-17", Identity: penstock.SequenceIdentity(1, uint64(f+1))}
		for i := range samples {
			r.Samples = append(r.Samples, penstock.Sample{Point: "flow", SourceTime: start + int64(i*flushes+flushes-f)*1e6, Value: penstock.IntValue(int64(i))})
		}
		position++
		b.settle(t, penstock.Delivery{Position: position, Report: r})
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := b.all(t, 0)
	if len(want) != flushes*samples {
		t.Fatalf("%d samples", len(want))
	}
	if err := b.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.chunks(t); n != 2 { // 6,000 samples, 4,096 a chunk
		t.Errorf("%d chunks after compaction", n)
	}
	for range 2 {
		for i, s := range b.all(t, 0) {
			if s != want[i] {
				t.Fatalf("sample %d: %+v, want %+v", i, s, want[i])
			}
		}
		b = b.reopen(t)
	}
	b.close(t)
}

func (b *bench) chunks(t *testing.T) (n int) {
	t.Helper()
	if err := b.store.Scan([]byte{0x10, 't'}, []byte{0x10, 't' + 1}, func(_, _ []byte) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestManyEpochsStaySettled(t *testing.T) {
	b := open(t, vfs.NewMem(), historian.Options{MaxSets: 50})
	const epochs = 1000
	report := func(epoch uint64) *penstock.Report {
		return &penstock.Report{Controller: "pump-17", Identity: penstock.SequenceIdentity(epoch, 5)}
	}
	position := penstock.Position(0)
	settleAll := func(want penstock.Settlement) {
		t.Helper()
		var ds []penstock.Delivery
		for e := range uint64(epochs) {
			position++
			ds = append(ds, penstock.Delivery{Position: position, Report: report(e + 1)})
		}
		for i, s := range b.settle(t, ds...) {
			if s != want {
				t.Fatalf("epoch %d: %v, want %v", i+1, s, want)
			}
		}
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	settleAll(penstock.Stored)
	b.settle(t, penstock.Delivery{Position: position + 1, Report: flow(penstock.SequenceIdentity(epochs+1, 1), start, 1)})
	position++
	if err := b.Flush(t.Context()); err != nil { // the sets before are clean now, and may be forgotten
		t.Fatal(err)
	}
	settleAll(penstock.StoredTwice)
	b = b.reopen(t)
	settleAll(penstock.StoredTwice)
	n := 0
	if err := b.Settled(func(string, uint64, *interval.Set) bool { n++; return true }); err != nil || n != epochs+1 {
		t.Errorf("%d sets: %v", n, err)
	}
	b.close(t)
}

func TestNamesAndTextsAreNotOnDisk(t *testing.T) {
	const canary = "canary2718281828"
	fs := vfs.NewMem()
	b := open(t, fs, historian.Options{})
	r := &penstock.Report{Controller: canary, Identity: penstock.KeyIdentity(canary), Samples: []penstock.Sample{
		{Point: canary, SourceTime: start, Value: penstock.TextValue(canary), Unit: canary},
	}}
	b.settle(t, penstock.Delivery{Position: 1, Report: r})
	bad := *r
	bad.Fingerprint = 1
	if out := b.settle(t, penstock.Delivery{Position: 2, Report: &bad}); out[0] != penstock.Quarantined {
		t.Fatalf("got %v", out)
	}
	for range 2 {
		b.close(t)
		names, err := fs.List("db")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			f, err := fs.Open(fs.PathJoin("db", name))
			if err != nil {
				t.Fatal(err)
			}
			var content bytes.Buffer
			_, err = content.ReadFrom(f)
			if err != nil || strings.Contains(content.String(), canary) {
				t.Errorf("%s: found, or %v", name, err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		b = open(t, fs, b.o)
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.close(t)
}

// deathEnv marks the process in which a store may die: what it parks stays.
const deathEnv = "PENSTOCK_TEST_HISTORIAN_DEATH"

func TestFullDiskTellsNothingHalf(t *testing.T) {
	if os.Getenv(deathEnv) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFullDiskTellsNothingHalf$")
		cmd.Env = append(os.Environ(), deathEnv+"=1")
		if out, err := cmd.CombinedOutput(); err != nil && !bytes.Contains(out, []byte("\nPASS")) && !bytes.HasPrefix(out, []byte("PASS")) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	mem := vfs.NewCrashableMem()
	var full atomic.Bool
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind == errorfs.OpFileWrite && strings.HasSuffix(op.Path, ".log") {
			return syscall.ENOSPC
		}
		return nil
	}))
	b := open(t, fs, historian.Options{})
	b.settle(t, penstock.Delivery{Position: 1, Report: flow(penstock.SequenceIdentity(1, 1), start, 1)})
	full.Store(true)
	waited := make(chan error, 1)
	go func() { waited <- b.Wait(context.Background(), 2) }()
	next := []penstock.Delivery{{Position: 2, Report: flow(penstock.SequenceIdentity(1, 2), start+1, 2)}}
	for range 2 {
		if _, err := b.Settle(t.Context(), next, 2); penstock.CodeOf(err) != penstock.Unavailable {
			t.Errorf("settle on a full disk: %v", err)
		}
		full.Store(false) // room again: still no
	}
	if err := <-waited; penstock.CodeOf(err) != penstock.Unavailable {
		t.Errorf("wait: %v", err)
	}
	if latest, _, err := b.Latest(t.Context(), 0); err != nil || latest.Value.Float() != 1 || b.Through() != 1 {
		t.Errorf("latest %+v, through %d, %v", latest, b.Through(), err)
	}
	if err := b.Historian.Close(); err != nil {
		t.Error(err)
	}
	again := open(t, mem.CrashClone(vfs.CrashCloneCfg{}), historian.Options{})
	if again.Through() != 1 || len(again.all(t, 0)) != 1 {
		t.Errorf("after a restart: through %d", again.Through())
	}
	if out := again.settle(t, next...); out[0] != penstock.Stored {
		t.Errorf("again: %v", out)
	}
	again.close(t)
	fmt.Println("PASS")
}

func TestALargeBurstOfOneControllerIsBounded(t *testing.T) {
	b := open(t, vfs.NewMem(), historian.Options{HeadBytes: 64 << 10})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const reports, each = 60, 1000
	for i := range reports {
		r := &penstock.Report{Controller: "logger", Identity: penstock.SequenceIdentity(1, uint64(i+1))}
		for k := range each {
			at := start + int64(i*each+k)*1e6
			r.Samples = append(r.Samples, penstock.Sample{Point: "p", SourceTime: at, Value: penstock.FloatValue(float64(k) / 7)})
		}
		if _, err := b.Settle(ctx, []penstock.Delivery{{Position: penstock.Position(i + 1), Report: r}}, penstock.Position(i+1)); err != nil {
			t.Fatal(err)
		}
		if n := b.Stats().HeadBytes; n > 4*64<<10 {
			t.Fatalf("the head has %d bytes", n)
		}
	}
	if n := len(b.all(t, 0)); n != reports*each {
		t.Errorf("%d samples", n)
	}
	b.close(t)
}
