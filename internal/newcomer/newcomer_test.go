package newcomer_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/newcomer"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// record answers what it is told to, after as long as it is told to.
type record struct {
	mu    sync.Mutex
	takes time.Duration
	err   error
	asked []string
}

func (r *record) set(takes time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.takes, r.err = takes, err
}

func (r *record) times(controller string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range r.asked {
		if name == controller {
			n++
		}
	}
	return n
}

func (r *record) Known(ctx context.Context, controller string) ([]penstock.Known, error) {
	r.mu.Lock()
	takes, err := r.takes, r.err
	r.asked = append(r.asked, controller)
	r.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil || controller == "never" {
		return nil, err
	}
	return []penstock.Known{{Controller: controller, Epoch: 7, Settled: []penstock.SeqRange{{First: 1, Last: 40}}}}, nil
}

// node knows what it was taught and what it admitted.
type node struct {
	mu       sync.Mutex
	knows    map[string][]uint64
	admitted []penstock.Report
	again    penstock.Verdict // of what comes from now on
}

func (n *node) Knows(controller string, epoch uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.knows[controller], func(e uint64) bool { return epoch == 0 || e == epoch })
}

func (n *node) Learn(known []penstock.Known) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, k := range known {
		n.knows[k.Controller] = append(n.knows[k.Controller], k.Epoch)
	}
}

type settled []penstock.Outcome

func (s settled) Wait(context.Context) ([]penstock.Outcome, error) { return s, nil }

// Admit overwrites what it is given afterwards, as the pipeline does.
func (n *node) Admit(js []intake.Judged) penstock.Ticket {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := make(settled, len(js))
	for i := range js {
		for k := range js[i].Reports {
			r := *js[i].Reports[k].Report
			r.Samples = slices.Clone(r.Samples)
			n.admitted = append(n.admitted, r)
			n.knows[r.Controller] = append(n.knows[r.Controller], r.Identity.Epoch)
			v := n.again
			v.Controller, v.Identity, v.Result = r.Controller, r.Identity, max(v.Result, penstock.Accepted)
			s[i].Verdicts = append(s[i].Verdicts, v)
		}
	}
	return s
}

func (n *node) reports() []penstock.Report {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.admitted)
}

// bench runs a test with a desk that is at work, in a bubble.
func bench(t *testing.T, do func(t *testing.T, d *newcomer.Desk, r *record, n *node)) {
	synctest.Test(t, func(t *testing.T) {
		r, n := &record{}, &node{knows: map[string][]uint64{"old": {1}}}
		d := newcomer.New(newcomer.Options{Intake: n, Known: r.Known, Now: time.Now})
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() { d.Run(ctx) })
		defer work.Wait()
		defer cancel()
		do(t, d, r, n)
	})
}

var errDown = penstock.Errorf(penstock.Unavailable, "down")

func isLater(err error) bool {
	return penstock.CodeOf(err) == penstock.Unavailable && penstock.RetryAfterOf(err) > 0
}

// TestMeet never waits: a stranger comes later until the record has answered, and the
// others go on, whether it answers or not.
func TestMeet(t *testing.T) {
	bench(t, func(t *testing.T, d *newcomer.Desk, r *record, n *node) {
		r.set(100*time.Millisecond, nil)
		for _, stranger := range []string{"new", "never"} {
			if err := d.Meet(stranger, 7); !isLater(err) {
				t.Fatalf("%s is told its marks before the record was asked: %v", stranger, err)
			}
		}
		if err := d.Meet("old", 1); err != nil {
			t.Errorf("who is known is not let on: %v", err)
		}
		if err := d.Meet("old", 0); !isLater(err) {
			t.Errorf("who asks for its last epoch is told what may be old: %v", err)
		}
		time.Sleep(time.Second)
		for _, name := range []string{"new", "never", "old"} {
			for range 2 {
				if err := d.Meet(name, 0); err != nil {
					t.Errorf("%s is not let on when the record has answered: %v", name, err)
				}
			}
			if asked := r.times(name); asked != 1 {
				t.Errorf("the record was asked %d times about %s", asked, name)
			}
		}
		if !n.Knows("new", 7) {
			t.Error("what the record said was not learnt")
		}
		r.set(0, errDown)
		time.Sleep(time.Minute)
		for range 20 { // for many seconds: in the pauses between the questions too
			_, _ = d.Meet("other", 7), d.Meet("old", 1)
			time.Sleep(time.Second / 3)
			if err := d.Meet("other", 7); !isLater(err) {
				t.Fatalf("a stranger is let on while the record is down: %v", err)
			}
			if err := d.Meet("old", 0); err != nil {
				t.Fatalf("who is known is held up while the record is down: %v", err)
			}
		}
		r.set(0, nil)
		_ = d.Meet("other", 7)
		time.Sleep(2 * time.Second)
		_ = d.Meet("other", 7)
		time.Sleep(time.Second)
		if err := d.Meet("other", 7); err != nil {
			t.Errorf("a stranger is not let on when the record is back: %v", err)
		}
	})
}

// TestAwait waits for the record, for a bounded time, and not at all for those that
// are known while it is down.
func TestAwait(t *testing.T) {
	bench(t, func(t *testing.T, d *newcomer.Desk, r *record, _ *node) {
		took := func(controller string, want time.Duration, refused bool) {
			t.Helper()
			began := time.Now()
			if err := d.Await(t.Context(), controller, 7); isLater(err) != refused || err != nil && !refused {
				t.Errorf("%s: %v", controller, err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("%s waited %v, want %v", controller, took, want)
			}
		}
		r.set(time.Second/2, nil)
		took("new", time.Second/2, false)
		took("new", 0, false)
		took("old", time.Second/2, false)
		r.set(time.Hour, nil)
		time.Sleep(time.Minute)
		took("other", 2*time.Second, true)
		took("other", 0, true) // the record has just failed
		took("old", 0, false)
		time.Sleep(time.Minute)
		took("old", 0, false)
	})
}

func reportOf(controller string, seq uint64) *penstock.Report {
	return &penstock.Report{
		Controller: controller, Identity: penstock.SequenceIdentity(7, seq), Samples: []penstock.Sample{{Point: "p", SourceTime: int64(seq)}},
	}
}

func judged(rs ...*penstock.Report) intake.Judged {
	var j intake.Judged
	for _, r := range rs {
		j.Reports = append(j.Reports, intake.Item{Report: r})
	}
	return j
}

// TestReportsOfStrangersWait has them admitted when the record has answered, or
// refused for now, and those of others at once.
func TestReportsOfStrangersWait(t *testing.T) {
	bench(t, func(t *testing.T, d *newcomer.Desk, r *record, n *node) {
		r.set(time.Second, nil)
		js := []intake.Judged{judged(reportOf("new", 41)), judged(reportOf("never", 1), reportOf("new", 42))}
		ticket := d.Admit(js)
		js[0].Reports[0].Report.Samples[0].Point = "spoilt"
		*js[1].Reports[0].Report = penstock.Report{}
		js[0] = intake.Judged{}
		keyed := reportOf("third", 1)
		keyed.Identity = penstock.KeyIdentity("k")
		for _, other := range []*penstock.Report{keyed, reportOf("old", 1)} {
			n.Learn([]penstock.Known{{Controller: "old", Epoch: 7}})
			if out, err := d.Admit([]intake.Judged{judged(other)}).Wait(t.Context()); err != nil || len(out[0].Verdicts) != 1 {
				t.Fatalf("%v %v", out, err)
			}
		}
		if got := n.reports(); len(got) != 2 {
			t.Fatalf("before the record answered %d reports were admitted, want those of the others", len(got))
		}
		out, err := ticket.Wait(t.Context())
		if err != nil || len(out) != 2 || len(out[0].Verdicts) != 1 || len(out[1].Verdicts) != 2 {
			t.Fatalf("%v %v", out, err)
		}
		if got := n.reports()[2:]; len(got) != 3 || got[0].Samples[0].Point != "p" || got[1].Controller != "never" || got[2].Identity.Seq != 42 {
			t.Errorf("admitted is %+v", got)
		}
		if r.times("new") != 1 || r.times("third") != 0 || r.times("old") != 0 {
			t.Errorf("the record was asked about %v", r.asked)
		}
	})
}

// TestAHole has a controller that is known send again what is not committed: the record
// is asked, and not too often.
func TestAHole(t *testing.T) {
	bench(t, func(t *testing.T, d *newcomer.Desk, r *record, n *node) {
		n.Learn([]penstock.Known{{Controller: "old", Epoch: 7}})
		send := func() {
			t.Helper()
			for range 10 {
				if _, err := d.Admit([]intake.Judged{judged(reportOf("old", 41))}).Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
		}
		send()
		if r.times("old") != 0 {
			t.Error("the record is asked about what is new")
		}
		n.again = penstock.Verdict{Result: penstock.Duplicate, Committed: penstock.Mark{Epoch: 7, Seq: 41}}
		send()
		if r.times("old") != 0 {
			t.Error("the record is asked about what is committed")
		}
		n.again.Committed.Seq = 40
		send()
		if asked := r.times("old"); asked != 1 {
			t.Errorf("the record was asked %d times about a hole, want once", asked)
		}
	})
}

// TestReportsWhileTheRecordIsDown refuses those of strangers for now, and no others.
func TestReportsWhileTheRecordIsDown(t *testing.T) {
	bench(t, func(t *testing.T, d *newcomer.Desk, r *record, n *node) {
		for _, takes := range []time.Duration{0, time.Hour} {
			r.set(takes, errDown)
			began := time.Now()
			out, err := d.Admit([]intake.Judged{judged(reportOf("other", 1)), judged(reportOf("old", 2)), {Err: errDown}}).Wait(t.Context())
			if err != nil || !isLater(out[0].Err) || len(out[1].Verdicts) != 1 {
				t.Fatalf("%v %v", out, err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("a report waited %v", took)
			}
			time.Sleep(time.Minute)
		}
		if got := n.reports(); len(got) != 2 || got[0].Controller != "old" {
			t.Errorf("admitted is %+v", got)
		}
	})
}

// TestTheNodeStops tells who waits to come again.
func TestTheNodeStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, n := &record{takes: time.Hour}, &node{knows: map[string][]uint64{}}
		d := newcomer.New(newcomer.Options{Intake: n, Known: r.Known, Now: time.Now})
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() { d.Run(ctx) })
		var tickets []penstock.Ticket
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			tickets = append(tickets, d.Admit([]intake.Judged{judged(reportOf(name, 1))}))
		}
		time.Sleep(time.Second)
		cancel()
		work.Wait()
		for _, ticket := range append(tickets, d.Admit([]intake.Judged{judged(reportOf("f", 1))})) {
			if out, err := ticket.Wait(t.Context()); err != nil || !isLater(out[0].Err) {
				t.Errorf("%v %v", out, err)
			}
		}
	})
}

// TestMany has more strangers come at once than may wait.
func TestMany(t *testing.T) {
	bench(t, func(t *testing.T, d *newcomer.Desk, r *record, n *node) {
		r.set(time.Millisecond, nil)
		var tickets []penstock.Ticket
		for i := range 1500 {
			tickets = append(tickets, d.Admit([]intake.Judged{judged(reportOf("c"+string(rune('a'+i%26))+string(rune('a'+i/26)), 1))}))
		}
		admitted, refused := 0, 0
		for _, ticket := range tickets {
			out, err := ticket.Wait(t.Context())
			switch {
			case err == nil && len(out[0].Verdicts) == 1:
				admitted++
			case err == nil && isLater(out[0].Err):
				refused++
			default:
				t.Fatal(out, err)
			}
		}
		if admitted < 1024 || admitted+refused != 1500 || refused == 0 {
			t.Errorf("%d were admitted, %d refused for now", admitted, refused)
		}
	})
}
