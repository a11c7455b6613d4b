package delivery_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/delivery"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/testkit"
)

func TestEveryReportReachesEverySinkOnce(t *testing.T) {
	n, d := newNode(t), sinktest.NewDestination()
	n.open(to("broker", d))
	n.send(20)
	n.committed()
	arrived(t, d, 1, 20)
	if stored := len(n.record.Stored()); stored != 20 {
		t.Errorf("the record has %d samples, not 20", stored)
	}
	testkit.Eventually(t, func() bool {
		n.watcher.mu.Lock()
		defer n.watcher.mu.Unlock()
		return n.watcher.published == 20
	}, "all 20 are shown to those who watch")
}

func TestSinksGoOnAfterARestart(t *testing.T) {
	n, d := newNode(t), sinktest.NewDestination()
	n.open(to("broker", d))
	n.send(10)
	arrived(t, d, 1, 10)
	n.committed()
	n.reopen(to("broker", d))
	n.send(10)
	arrived(t, d, 1, 20)
	n.committed()
	if d.Repeats() > 0 {
		t.Errorf("%d reports came again after a restart in good order", d.Repeats())
	}
}

func TestARecordThatIsDownLosesNothing(t *testing.T) {
	n := newNode(t)
	mend := n.record.Break()
	n.open()
	n.send(3)
	testkit.Eventually(t, func() bool { return n.status("record").State == delivery.Retrying }, "the failure shows")
	mend()
	n.committed()
}

func TestOneSinksTroubleIsItsOwn(t *testing.T) {
	n, good, bad, slow := newNode(t), sinktest.NewDestination(), sinktest.NewDestination(), sinktest.NewDestination()
	mend, release := bad.Break(), slow.Stall()
	n.open(to("good", good), to("bad", bad), to("slow", slow), sink.Spec{
		Name: "panics", Settings: quick(), NewSink: func(sink.Env) (penstock.Sink, error) { panic("planted") },
	})
	n.send(30)
	arrived(t, good, 1, 30)
	n.committed()
	if len(bad.Received())+len(slow.Received()) > 0 {
		t.Error("a sink that is down received something")
	}
	testkit.Eventually(t, func() bool { return n.status("bad").State == delivery.Down }, "the breaker opens")
	if s := n.status("bad"); s.Backlog.Reports != 30 || s.Why == "" || s.Backlog.Bytes == 0 {
		t.Errorf("the sink that is down stands so: %+v", s)
	}
	mend()
	release()
	arrived(t, bad, 1, 30)
	arrived(t, slow, 1, 30)
}

func TestDecisionsMoveTheRecordsPlace(t *testing.T) {
	n := newNode(t)
	n.open()
	r := &penstock.Report{Controller: "pump-1", Identity: penstock.SequenceIdentity(1, 1)}
	refused := intake.Item{Report: r, Reason: penstock.ReasonRange, Trusted: true}
	if _, err := n.intake.Admit([]intake.Judged{{Reports: []intake.Item{refused}}}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return n.status("record").Through == 1 }, "the record is past the refusal")
	n.sent = 1
	n.send(1)
	n.committed()
}

func TestALostCommitIsFoundOut(t *testing.T) {
	for _, arrives := range []bool{true, false} {
		n := newNode(t)
		n.open()
		n.send(5)
		n.committed()
		n.record.CutCommit(arrives)
		n.send(5)
		n.committed()
		if stored := len(n.record.Stored()); stored != 10 {
			t.Errorf("a commit that arrived %t: the record has %d samples, not 10", arrives, stored)
		}
		if named, _ := n.intake.Totals(); !named.Balanced() || named.Stored != 10 {
			t.Errorf("a commit that arrived %t: the books are %+v", arrives, named)
		}
	}
}

func TestARecordThatComesBackWithLessIsFedAgain(t *testing.T) {
	n := newNode(t)
	n.open()
	n.send(5)
	n.committed()
	restore := n.record.Save()
	n.send(5)
	n.committed()
	restore()
	mend := n.record.Break() // a failover breaks connections
	n.send(1)
	testkit.Eventually(t, func() bool { return n.status("record").Failures > 0 }, "the failover is noticed")
	mend()
	n.committed()
	testkit.Eventually(t, func() bool { return len(n.record.Stored()) == 11 }, "the record has all again")
	if s := n.status("record"); s.Books.Refed != 5 || s.Books.Dropped != 0 {
		t.Errorf("the books of the record are %+v, want 5 fed again", s.Books)
	}
	if named, _ := n.intake.Totals(); !named.Balanced() || named.Stored != 11 {
		t.Errorf("the books are %+v", named)
	}
}

func TestATwinTakesAnotherName(t *testing.T) {
	a := newNode(t)
	a.open()
	a.send(5)
	a.committed()
	a.stop()
	b := newNode(t) // a copy of the disk
	b.fs, b.record, b.sent = a.fs.CrashClone(crashless()), a.record, a.sent
	a.open()
	a.send(5)
	a.committed()
	was := a.sent
	b.open()
	b.sendAs("pump-2", 1)
	testkit.Eventually(t, func() bool { _, c := b.intake.Marks("pump-2"); return c.Seq == 1 }, "the twin delivers")
	a.send(1)
	a.committed()
	if stored := len(a.record.Stored()); stored != int(was)+2 {
		t.Errorf("the record has %d samples, not %d", stored, was+2)
	}
}

func TestReloadLeavesWhatStaysAlone(t *testing.T) {
	n, kept, gone, late := newNode(t), sinktest.NewDestination(), sinktest.NewDestination(), sinktest.NewDestination()
	var made atomic.Int32
	counted := sink.Spec{Name: "kept", Settings: quick(), NewSink: func(sink.Env) (penstock.Sink, error) { made.Add(1); return kept.Open(), nil }}
	n.open(counted, to("gone", gone))
	n.send(5)
	arrived(t, kept, 1, 5)
	arrived(t, gone, 1, 5)
	n.apply(counted, to("late", late))
	n.send(5)
	arrived(t, kept, 1, 10)
	arrived(t, late, 6, 10)
	testkit.Eventually(t, func() bool { return len(n.set.Sinks()) == 3 }, "the removed sink is gone")
	if len(gone.Received()) != 5 {
		t.Error("a sink that was taken out received more")
	}
	if n := made.Load(); n != 1 {
		t.Errorf("a sink that stays was made %d times", n)
	}
	changed := counted
	changed.Settings.Tries = 7
	n.apply(changed, to("gone", gone))
	n.send(5)
	arrived(t, kept, 1, 15)
	arrived(t, gone, 1, 15) // it goes on where it was
}

func TestPauseOutlastsARestart(t *testing.T) {
	n, d := newNode(t), sinktest.NewDestination()
	n.open(to("broker", d))
	n.send(5)
	arrived(t, d, 1, 5)
	if err := n.set.Pause("broker"); err != nil {
		t.Fatal(err)
	}
	n.send(5)
	n.committed()
	n.reopen(to("broker", d))
	n.send(5)
	n.committed()
	if s := n.status("broker"); s.State != delivery.Paused || s.Backlog.Reports != 10 || len(d.Received()) != 5 {
		t.Fatalf("paused, %d reports arrived, and it stands so: %+v", len(d.Received()), s)
	}
	testkit.Eventually(t, func() bool { return n.status("broker").Backlog.Age > 0 }, "the backlog has an age")
	if err := n.set.Resume("broker"); err != nil {
		t.Fatal(err)
	}
	arrived(t, d, 1, 15)
	if err := n.set.Pause("nobody"); penstock.CodeOf(err) != penstock.NotFound {
		t.Errorf("a sink that is not there was paused: %v", err)
	}
}

func TestReplayGivesEverythingSinceATimeAgain(t *testing.T) {
	n, d := newNode(t), sinktest.NewDestination()
	n.open(to("broker", d))
	n.send(10)
	arrived(t, d, 1, 10)
	since := time.Now()
	n.send(7)
	arrived(t, d, 1, 17)
	// What is still under way comes once for both.
	testkit.Eventually(t, func() bool { return n.status("broker").Through == 17 }, "the sink has noted what arrived")
	from, err := n.set.Replay("broker", since)
	if err != nil || from != 11 {
		t.Fatalf("replay begins at %d (%v), want 11", from, err)
	}
	testkit.Eventually(t, func() bool { return d.Repeats() == 7 }, "seven reports come again")
	if _, err := n.set.Replay("record", since); penstock.CodeOf(err) != penstock.Invalid {
		t.Errorf("a record was replayed: %v", err)
	}
	n.send(1)
	arrived(t, d, 1, 18)
}
