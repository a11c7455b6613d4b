package delivery_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/delivery"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/testkit"
)

func TestNewReportsGoBeforeABacklog(t *testing.T) {
	n, d := newNode(t), sinktest.NewDestination()
	n.options.LiveAfter = 300 * time.Millisecond
	mend, mendRecord := d.Break(), n.record.Break()
	spec := to("broker", d)
	spec.Settings.Batch = 8
	n.open(spec)
	n.send(50)
	testkit.Eventually(t, func() bool {
		return n.status("broker").Backlog.Age > 400*time.Millisecond && n.status("record").Backlog.Age > 400*time.Millisecond
	}, "the backlog is late")
	if err := n.set.Pause("broker"); err != nil {
		t.Fatal(err)
	}
	mend()
	n.send(5)
	if err := n.set.Resume("broker"); err != nil {
		t.Fatal(err)
	}
	arrived(t, d, 1, 55)
	n.send(1)
	arrived(t, d, 1, 56)
	for _, r := range d.Received() {
		if historical := r.Samples[0].Flags&penstock.Historical != 0; historical != (r.Identity.Seq <= 55) && r.Identity.Seq <= 50 {
			t.Errorf("report %d is marked historical: %t", r.Identity.Seq, historical)
		}
	}
	mendRecord()
	n.committed()
	n.send(3)
	n.committed()
	if named, _ := n.intake.Totals(); !named.Balanced() || named.Stored != 59 {
		t.Errorf("the books are %+v", named)
	}
}

func TestTheWatermarkStaysContiguousWhileABacklogFollows(t *testing.T) {
	n := newNode(t)
	n.options.LiveAfter = 200 * time.Millisecond
	mend := n.record.Break()
	n.open()
	n.send(40)
	testkit.Eventually(t, func() bool { return n.status("record").Backlog.Age > 300*time.Millisecond }, "the backlog is late")
	if err := n.set.Pause("record"); err != nil {
		t.Fatal(err)
	}
	mend()
	if err := n.set.Resume("record"); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		n.send(1)
		_, committed := n.intake.Marks("pump-1")
		have := map[int64]bool{}
		for _, s := range n.record.Stored() {
			have[s.SourceTime] = true
		}
		for seq := int64(1); seq <= int64(committed.Seq); seq++ {
			if !have[seq] {
				t.Fatalf("the watermark is at %d, and the record does not have %d", committed.Seq, seq)
			}
		}
	}
	n.committed()
}

func TestAnOrderedSinkGetsEverythingInOrder(t *testing.T) {
	n, d := newNode(t), sinktest.NewDestination()
	n.options.LiveAfter = 100 * time.Millisecond
	spec := to("broker", d)
	spec.Settings.Order = sink.InOrder
	mend := d.Break()
	n.open(spec)
	n.send(30)
	testkit.Eventually(t, func() bool { return n.status("broker").Backlog.Age > 200*time.Millisecond }, "the backlog is late")
	mend()
	n.send(10)
	arrived(t, d, 1, 40)
	for i, r := range d.Received() {
		if r.Identity.Seq != uint64(i+1) || r.Samples[0].Flags != 0 {
			t.Fatalf("report %d came as number %d with flags %d", r.Identity.Seq, i+1, r.Samples[0].Flags)
		}
	}
}

func TestAPoisonReportHoldsUpNothing(t *testing.T) {
	n, d := newNode(t), sinktest.NewDestination()
	d.Refuse(func(r *penstock.Report) error {
		if r.Identity.Seq == 3 {
			return penstock.Errorf(penstock.Invalid, "the destination cannot stand it")
		}
		return nil
	})
	n.open(to("broker", d))
	n.send(10)
	testkit.Eventually(t, func() bool { return len(d.Received()) == 9 }, "the others arrive")
	testkit.Eventually(t, func() bool { return n.status("broker").Books.Quarantined == 1 }, "the poison report is in quarantine")
	held, err := n.set.Quarantined(t.Context(), "broker", 0, 10)
	if err != nil || len(held) != 1 || held[0].Report.Identity.Seq != 3 || held[0].Tries != 3 || held[0].By != "broker" ||
		!strings.Contains(held[0].Reason, "cannot stand it") || held[0].First >= held[0].Last {
		t.Fatalf("in quarantine is %+v (%v)", held, err)
	}
	n.reopen(to("broker", d))
	n.send(1)
	testkit.Eventually(t, func() bool { return len(d.Received()) == 10 }, "delivery goes on after a restart")
	number := held[0].Number
	if _, err := n.set.Decide(t.Context(), "broker", number, penstock.Retry); penstock.CodeOf(err) != penstock.Invalid {
		t.Errorf("a retry in vain said %v", err)
	}
	d.Refuse(nil)
	if done, err := n.set.Decide(t.Context(), "broker", number, penstock.Retry); !done || err != nil {
		t.Errorf("a retry said %t, %v", done, err)
	}
	arrived(t, d, 1, 11)
	if _, err := n.set.Decide(t.Context(), "broker", number, penstock.Discard); penstock.CodeOf(err) != penstock.NotFound {
		t.Errorf("what had left the quarantine was discarded: %v", err)
	}
	if s := n.status("broker"); s.Books.Quarantined != 0 || s.Books.Delivered != 11 {
		t.Errorf("the books are %+v", s.Books)
	}
}

// choosySink refuses a whole load for one report in it, and does not say which; or it
// panics.
type choosySink struct {
	penstock.Sink
	panics bool
}

func (c *choosySink) Write(ctx context.Context, rs []*penstock.Report) error {
	for _, r := range rs {
		switch {
		case r.Identity.Seq == 17 && c.panics:
			panic("planted")
		case r.Identity.Seq == 17:
			return penstock.Errorf(penstock.Invalid, "one of them is no good")
		}
	}
	return c.Sink.Write(ctx, rs)
}

// choosyRecord fails on what a controller sends, unless it is told to hold it.
type choosyRecord struct{ *sinktest.Record }

func (c *choosyRecord) Settle(ctx context.Context, b penstock.Batch) (penstock.Receipt, error) {
	for _, d := range b.Deliveries {
		if d.Report != nil && d.Report.Controller == "poison" && d.Hold == "" {
			return penstock.Receipt{}, penstock.Errorf(penstock.Invalid, "one of them is no good")
		}
	}
	return c.Record.Settle(ctx, b)
}

func TestAReportThatNobodyNamesIsFound(t *testing.T) {
	for _, panics := range []bool{false, true} {
		n, d := newNode(t), sinktest.NewDestination()
		n.open(sink.Spec{Name: "broker", Settings: quick(), NewSink: func(sink.Env) (penstock.Sink, error) {
			return &choosySink{d.Open(), panics}, nil
		}})
		if err := n.set.Pause("broker"); err != nil {
			t.Fatal(err)
		}
		n.send(40)
		if err := n.set.Resume("broker"); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, func() bool { return n.status("broker").Books.Quarantined == 1 && len(d.Received()) == 39 }, "the report is found")
		held, err := n.set.Quarantined(t.Context(), "broker", 0, 10)
		if err != nil || held[0].Report.Identity.Seq != 17 {
			t.Errorf("in quarantine is %+v (%v)", held, err)
		}
	}
}

func TestARecordThatCannotStandAReportIsToldToHoldIt(t *testing.T) {
	n, other := newNode(t), sinktest.NewStore()
	n.open(sink.Spec{Name: "copy", Settings: quick(), NewRecord: func(env sink.Env) (penstock.Record, error) {
		return &choosyRecord{other.Open(env.Node)}, nil
	}})
	n.sendAs("poison", 1)
	n.send(20)
	n.committed()
	testkit.Eventually(t, func() bool {
		held, err := n.set.Quarantined(t.Context(), "copy", 0, 10)
		return err == nil && len(held) == 1 && held[0].Report.Controller == "poison"
	}, "the record holds the report")
	held, err := n.set.Quarantined(t.Context(), "copy", 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if done, err := n.set.Decide(t.Context(), "copy", held[0].Number, penstock.Retry); done || err != nil {
		t.Fatalf("the decision: %t, %v", done, err)
	}
	testkit.Eventually(t, func() bool { return len(other.Stored()) == 21 && len(n.record.Stored()) == 21 }, "the decision reaches the record that it is for")
	if named, _ := n.intake.Totals(); named.Stored != 21 || named.Quarantined != 0 || !named.Balanced() {
		t.Errorf("a decision about another sink's quarantine changed the books: %+v", named)
	}
}

func TestAQuotaDropsTheOldestOfASinkAndSaysSo(t *testing.T) {
	n, d := newNode(t), sinktest.NewDestination()
	release := d.Stall()
	defer release()
	n.open(to("slow", d))
	n.send(1)
	testkit.Eventually(t, func() bool { return n.status("record").Through >= 1 && d.Stalled() == 1 }, "the record has it, and the sink writes it")
	for n.log.State().Segments < 3 {
		n.send(20)
	}
	n.committed()
	oldest, _ := n.log.Oldest()
	free, err := n.set.Press(oldest)
	if err != nil || !free {
		t.Fatalf("pressed: %t, %v", free, err)
	}
	s := n.status("slow")
	if s.Alarm == "" || s.Books.Dropped == 0 || s.Books.Dropped >= uint64(oldest) {
		t.Errorf("the sink stands so: %+v", s)
	}
	release()
	testkit.Eventually(t, func() bool { return n.status("slow").Backlog.Reports == 0 }, "the sink catches up")
	s = n.status("slow")
	if got := uint64(len(d.Received())); got+s.Books.Dropped != n.sent || s.Alarm != "" {
		t.Errorf("%d reports arrived and %d were dropped, of %d; the alarm is %q", got, s.Books.Dropped, n.sent, s.Alarm)
	}
}

func TestASinkThatRefusesKeepsTheSpool(t *testing.T) {
	n, d := newNode(t), sinktest.NewDestination()
	d.Break()
	spec := to("careful", d)
	spec.Settings.WhenFull = sink.Refuse
	n.open(spec)
	n.send(5)
	n.committed()
	free, err := n.set.Press(3)
	if free || err != nil || n.status("careful").Books.Dropped > 0 {
		t.Errorf("pressed: %t, %v, %+v", free, err, n.status("careful").Books)
	}
	if floor, err := n.set.Floor(); floor != 0 || err != nil {
		t.Errorf("the spool may go up to %d (%v) though a sink has nothing", floor, err)
	}
}

func TestWhatIsRefusedForNowIsNotForgotten(t *testing.T) {
	n, d := newNode(t), sinktest.NewDestination()
	refuse := func(r *penstock.Report) error {
		if r.Identity.Seq == 3 {
			return penstock.Errorf(penstock.Unavailable, "not now")
		}
		return nil
	}
	d.Refuse(refuse)
	n.open(to("broker", d))
	if err := n.set.Pause("broker"); err != nil { // so that all come in one write
		t.Fatal(err)
	}
	n.send(10)
	n.committed()
	if err := n.set.Resume("broker"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return len(d.Received()) == 9 }, "the others arrive")
	testkit.Eventually(t, func() bool { return n.status("broker").Through == 2 }, "the place waits for it")
	if floor, err := n.set.Floor(); err != nil || floor != 2 {
		t.Errorf("the spool may go up to %d (%v) though report 3 is not delivered", floor, err)
	}
	n.reopen(to("broker", d))
	testkit.Eventually(t, func() bool { return n.status("broker").State != delivery.Starting }, "the sink is at work")
	if s := n.status("broker"); s.Through != 2 || s.Books.Quarantined != 0 {
		t.Errorf("after a restart the sink stands so: %+v", s)
	}
	d.Refuse(nil)
	arrived(t, d, 1, 10)
}

func TestAReplayOutlastsARestart(t *testing.T) {
	n, d := newNode(t), sinktest.NewDestination()
	n.open(to("broker", d))
	since := time.Now()
	n.send(10)
	arrived(t, d, 1, 10)
	if err := n.set.Pause("broker"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.set.Replay("broker", since); err != nil {
		t.Fatal(err)
	}
	n.reopen(to("broker", d))
	if err := n.set.Resume("broker"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return d.Repeats() == 10 }, "all come again")
}
