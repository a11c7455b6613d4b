package intake_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/testkit/crashfs"
)

// faulty starts a node on a file system that fails on demand.
func faulty(t *testing.T) (*node, *crashfs.FS) {
	disk := crashfs.New()
	n := &node{t: t, fs: disk, segment: 16 << 20, record: &record{
		settled: map[string]map[uint64]*interval.Set{}, counters: map[string][3]uint64{},
	}}
	n.open()
	t.Cleanup(n.close)
	return n, disk
}

// settle admits the item until it is answered with a verdict.
func (n *node) settle(item intake.Item) penstock.Verdict {
	n.t.Helper()
	for {
		outcome := n.wait(n.intake.Admit([]intake.Judged{{Reports: []intake.Item{item}}}))[0]
		if outcome.Err == nil {
			return outcome.Verdicts[0]
		}
		if !penstock.CodeOf(outcome.Err).Temporary() {
			n.t.Fatal(outcome.Err)
		}
		n.healthy()
	}
}

// healthy waits until the log takes entries again.
func (n *node) healthy() {
	n.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for n.log.State().Health != spool.Healthy {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		_, _ = n.log.Wait(ctx, n.log.Durable()) // only the pause counts
		cancel()
		if time.Now().After(deadline) {
			n.t.Fatal("the log does not become healthy again")
		}
	}
}

func TestAFailedCommitTakesItsIdentitiesBack(t *testing.T) {
	n, disk := faulty(t)
	n.settle(sequence(1, 1))
	disk.Inject(crashfs.Fault{Kind: crashfs.Sync, Path: ".seg"})
	outcome := n.wait(n.intake.Admit([]intake.Judged{{Reports: []intake.Item{sequence(2, 2)}}}))[0]
	if code := penstock.CodeOf(outcome.Err); !code.Temporary() {
		t.Fatalf("the sender was told %v", outcome.Err)
	}
	if v := n.settle(sequence(2, 2)); v.Result != penstock.Accepted {
		t.Fatalf("the resend of what was not made durable: %+v", v)
	}
	n.restart()
	if v := n.settle(sequence(2, 2)); v.Result != penstock.Duplicate {
		t.Fatalf("after a restart: %+v", v)
	}
	if books := n.books("pump-1"); books.Accepted != 2 {
		t.Fatalf("books %+v", books)
	}
}

// TestADuplicateWaitsForItsOriginal sends a report that is too large to share a
// write with what comes behind it, and repeats it while it is under way. Its
// sync fails: nobody may be told that it is there.
func TestADuplicateWaitsForItsOriginal(t *testing.T) {
	n, disk := faulty(t)
	large := func() []intake.Item {
		var items []intake.Item
		for seq := uint64(1); seq <= 60; seq++ {
			item := sequence(seq, 1)
			item.Report.Samples[0].Value = penstock.TextValue(strings.Repeat("x", penstock.MaxText))
			items = append(items, item)
		}
		return items
	}
	disk.Inject(crashfs.Fault{Kind: crashfs.Sync, Path: ".seg"})
	original := n.intake.Admit([]intake.Judged{{Reports: large()}})
	repeated := n.intake.Admit([]intake.Judged{{Reports: large()[:1]}})
	if outcome := n.wait(original)[0]; outcome.Err == nil {
		t.Fatal("a failed sync was acknowledged")
	}
	if outcome := n.wait(repeated)[0]; outcome.Err == nil {
		t.Fatalf("a report that is not durable was called %v", outcome.Verdicts[0].Result)
	}
}

func TestTheWatermarkHasNoGap(t *testing.T) {
	n := start(t)
	n.admit(sequence(1, 1), sequence(3, 3))
	n.deliver()
	if v := n.admit(sequence(4, 4)); v[0].Committed.Seq != 1 || v[0].Accepted.Seq != 1 {
		t.Fatalf("seq 2 is missing, and the marks are %+v and %+v", v[0].Accepted, v[0].Committed)
	}
}

func TestAFullDiskRefusesAndRecovers(t *testing.T) {
	n, disk := faulty(t)
	n.settle(sequence(1, 1))
	disk.SetCapacity(1) // nothing more
	var refused error
	for seq := uint64(2); refused == nil && seq < 2000; seq++ {
		item := sequence(seq, float64(seq))
		item.Report.Samples[0].Value = penstock.TextValue(strings.Repeat("x", penstock.MaxText))
		refused = n.wait(n.intake.Admit([]intake.Judged{{Reports: []intake.Item{item}}}))[0].Err
	}
	if code := penstock.CodeOf(refused); !code.Temporary() || penstock.RetryAfterOf(refused) == 0 {
		t.Fatalf("a full disk was answered with %v", refused)
	}
	disk.SetCapacity(0)
	if v := n.settle(sequence(5000, 1)); v.Result != penstock.Accepted {
		t.Fatalf("with room again: %+v", v)
	}
	n.restart()
	n.books("pump-1")
}

// openLog opens the log of a node on its file system.
func (n *node) openLog() *spool.Spool {
	n.t.Helper()
	keys, err := keyring.Open(n.fs, "keys", rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	log, _, err := spool.Open(spool.Options{
		FS: n.fs, Dir: "spool", Keyring: keys, SegmentBytes: n.segment, Past: n.record.through, Retry: time.Millisecond,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return log
}
