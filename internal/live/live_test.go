package live_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var all = live.Filter{Scope: penstock.Scope{"*"}}

func newFeed(reports, samples int) *live.Feed {
	return live.New(live.Options{Reports: reports, Samples: samples, Now: func() time.Time { return time.Unix(7, 0) }})
}

func report(controller string, points ...string) *penstock.Report {
	r := &penstock.Report{Controller: controller}
	for _, p := range points {
		r.Samples = append(r.Samples, penstock.Sample{Point: p})
	}
	return r
}

func TestEventsComeInOrderWithGrowingIDs(t *testing.T) {
	f := newFeed(10, 100)
	sub := f.Subscribe(all)
	defer sub.Close()
	f.Publish([]*penstock.Report{report("a", "x"), report("b", "x")})
	f.Publish([]*penstock.Report{report("c", "x")})
	events, missed, err := sub.Next(t.Context())
	if err != nil || missed != 0 || len(events) != 3 {
		t.Fatalf("got %d events, %d missed, %v", len(events), missed, err)
	}
	for i, e := range events {
		if e.ID.Seq != uint64(i+1) || e.Report.Controller != string(rune('a'+i)) {
			t.Errorf("event %d is %v of %s", i, e.ID, e.Report.Controller)
		}
	}
}

func TestFilterHidesWhatTheScopeDoesNotCover(t *testing.T) {
	r := report("pump-17", "flow", "in/pressure")
	for _, c := range []struct {
		f    live.Filter
		want bool
	}{
		{live.Filter{}, false},
		{all, true},
		{live.Filter{Scope: penstock.Scope{"pump-*"}}, true},
		{live.Filter{Scope: penstock.Scope{"tank-*"}}, false},
		{live.Filter{Scope: penstock.Scope{"*"}, Controller: "pump-18"}, false},
		{live.Filter{Scope: penstock.Scope{"*"}, Controller: "*-17", Point: "in/*"}, true},
		{live.Filter{Scope: penstock.Scope{"*"}, Point: "level"}, false},
	} {
		if got := c.f.Matches(r); got != c.want {
			t.Errorf("%+v matches: %v", c.f, got)
		}
	}
}

func TestASlowReaderIsToldHowManyItMissed(t *testing.T) {
	f := newFeed(4, 100)
	sub := f.Subscribe(all)
	defer sub.Close()
	for i := range 10 {
		f.Publish([]*penstock.Report{report(fmt.Sprint(i), "x")})
	}
	events, missed, err := sub.Next(t.Context())
	if err != nil || missed != 6 || len(events) != 4 || events[0].Report.Controller != "6" {
		t.Fatalf("got %d events, %d missed, %v", len(events), missed, err)
	}
}

func TestResume(t *testing.T) {
	f := newFeed(4, 100)
	for i := range 6 {
		f.Publish([]*penstock.Report{report(fmt.Sprint(i+1), "x")})
	}
	run := f.Subscribe(all)
	f.Publish([]*penstock.Report{report("7", "x")})
	events, _, _ := run.Next(t.Context())
	id := events[0].ID
	for _, c := range []struct {
		name   string
		after  live.ID
		first  string
		missed int
	}{
		{"within what is kept", live.ID{Run: id.Run, Seq: 5}, "6", 0},
		{"before what is kept", live.ID{Run: id.Run, Seq: 1}, "4", 2},
		{"another run", live.ID{Run: id.Run + 1, Seq: 6}, "4", live.MissedUnknown},
	} {
		sub := f.SubscribeAfter(all, c.after)
		events, missed, err := sub.Next(t.Context())
		if err != nil || missed != c.missed || events[0].Report.Controller != c.first {
			t.Errorf("%s: %d missed, first %v, %v", c.name, missed, events, err)
		}
		sub.Close()
	}
	ahead := f.SubscribeAfter(all, live.ID{Run: id.Run, Seq: 99})
	f.Publish([]*penstock.Report{report("8", "x")})
	if events, missed, err := ahead.Next(t.Context()); err != nil || missed != 0 || events[0].Report.Controller != "8" {
		t.Errorf("an id of the future: %v %d %v", events, missed, err)
	}
}

func TestNextWaitsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(4, 100)
		sub := f.Subscribe(live.Filter{Scope: penstock.Scope{"b"}})
		got := make(chan string, 1)
		go func() {
			events, _, err := sub.Next(context.Background())
			if err != nil {
				got <- err.Error()
				return
			}
			got <- events[0].Report.Controller
		}()
		synctest.Wait()
		f.Publish([]*penstock.Report{report("a", "x")})
		synctest.Wait()
		select {
		case c := <-got:
			t.Fatalf("woken by a report that the filter hides: %s", c)
		default:
		}
		f.Publish([]*penstock.Report{report("b", "x")})
		if c := <-got; c != "b" {
			t.Fatal(c)
		}
		go func() {
			_, _, err := sub.Next(context.Background())
			got <- penstock.CodeOf(err).String()
		}()
		synctest.Wait()
		sub.Close()
		sub.Close()
		if c := <-got; c != "closed" {
			t.Fatal(c)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, _, err := f.Subscribe(all).Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	})
}

// Whatever is published in whatever portions, a reader sees every report once
// or is told that it missed it.
func TestNothingIsMissedInSilence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFeed(rapid.IntRange(1, 20).Draw(t, "reports"), rapid.IntRange(1, 40).Draw(t, "samples"))
		sub := f.Subscribe(all)
		defer sub.Close()
		published, seen := 0, 0
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			var rs []*penstock.Report
			for range rapid.IntRange(1, 30).Draw(t, "n") {
				points := make([]string, rapid.IntRange(1, 5).Draw(t, "points"))
				rs = append(rs, report("a", points...))
			}
			f.Publish(rs)
			published += len(rs)
			if rapid.Bool().Draw(t, "read") {
				events, missed, err := sub.Next(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				seen += len(events) + missed
				if n := len(events); n > 0 && int(events[n-1].ID.Seq) != seen {
					t.Fatalf("saw %d of %d, the last is %d", seen, published, events[n-1].ID.Seq)
				}
			}
		}
		if seen > published {
			t.Fatalf("saw %d of %d", seen, published)
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add("abc-12")
	f.Add("-")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := live.ParseID(s)
		if err != nil {
			return
		}
		again, err := live.ParseID(id.String())
		if err != nil || again != id {
			t.Fatalf("%q: %v, %v, %v", s, id, again, err)
		}
	})
}

func BenchmarkPublish(b *testing.B) {
	f := newFeed(0, 0)
	rs := make([]*penstock.Report, 100)
	for i := range rs {
		rs[i] = report("a", "x")
	}
	for b.Loop() {
		f.Publish(rs)
	}
}

// A gateway that is short of memory ends streams and lets go of what they could ask
// for; afterwards they begin again.
func TestPauseAndEmpty(t *testing.T) {
	f := live.New(live.Options{Now: time.Now})
	sub, late := f.Subscribe(live.Filter{Scope: penstock.Scope{"*"}}), f.Subscribe(live.Filter{Scope: penstock.Scope{"*"}})
	ended := make(chan error, 1)
	go func() { _, _, err := sub.Next(t.Context()); ended <- err }()
	f.Pause(true)
	if err := <-ended; penstock.CodeOf(err) != penstock.Closed {
		t.Errorf("a stream that waits: %v", err)
	}
	f.Publish([]*penstock.Report{{Controller: "a"}})
	f.Empty()
	f.Pause(false)
	if events, missed, err := late.Next(t.Context()); len(events) != 0 || missed != 1 || err != nil {
		t.Errorf("%d events, %d missed, %v", len(events), missed, err)
	}
	f.Publish([]*penstock.Report{{Controller: "b", Samples: make([]penstock.Sample, 1)}})
	if events, missed, err := late.Next(t.Context()); len(events) != 1 || missed != 0 || err != nil || events[0].Report.Controller != "b" {
		t.Errorf("%d events, %d missed, %v", len(events), missed, err)
	}
}
