package sinktest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
)

// SinkBench is a destination of its own, empty, for one test of an adapter, and what
// the test does to it. A fault that the destination cannot have is nil.
type SinkBench struct {
	// Open returns a sink that writes to the destination. The test closes it.
	Open func(t testing.TB) penstock.Sink
	// Received returns the reports that arrived: controller, identity and samples as
	// far as the destination shows them, those that came again once more unless Once.
	Received func(t testing.TB) []*penstock.Report
	// Once says that the destination itself knows a report that comes again.
	Once bool

	// Break makes the destination unreachable until mend is called.
	Break func(t testing.TB) (mend func())
	// LoseConfirmation has the next write arrive, and its confirmation get lost.
	LoseConfirmation func(t testing.TB)
	// Refuse has the destination refuse, for good, what the controller "refused" sends:
	// too large, unroutable, not allowed.
	Refuse func(t testing.TB)
	// Nack has the destination refuse what the controller "nacked" sends for now, until
	// mend is called.
	Nack func(t testing.TB) (mend func())
	// Stall has the destination not answer until release is called.
	Stall func(t testing.TB) (release func())
}

// RunSink holds an adapter against what [penstock.Sink] promises. Each case gets a
// bench of its own.
func RunSink(t *testing.T, bench func(t testing.TB) SinkBench) {
	cases := []struct {
		name  string
		run   func(*sinkTest)
		needs func(*SinkBench) bool
	}{
		{"writes every report", (*sinkTest).everything, nil},
		{"writes again what comes again", (*sinkTest).again, nil},
		{"takes batches in any order", (*sinkTest).anyOrder, nil},
		{"writes nothing of nothing", (*sinkTest).nothing, nil},
		{"does not keep what it was given", (*sinkTest).keepsNothing, nil},
		{"fails for now while the destination is down, and goes on", (*sinkTest).down, func(b *SinkBench) bool { return b.Break != nil }},
		{"names the reports that are refused for good", (*sinkTest).refused, func(b *SinkBench) bool { return b.Refuse != nil }},
		{"names the reports that are refused for now", (*sinkTest).nacked, func(b *SinkBench) bool { return b.Nack != nil }},
		{"tells refused for good from refused for now", (*sinkTest).mixed, func(b *SinkBench) bool { return b.Refuse != nil && b.Nack != nil }},
		{"does not take a lost confirmation for one", (*sinkTest).lostConfirmation, func(b *SinkBench) bool { return b.LoseConfirmation != nil }},
		{"ends when it is cancelled", (*sinkTest).cancelled, nil},
		{"does not wait for ever", (*sinkTest).slow, func(b *SinkBench) bool { return b.Stall != nil }},
		{"closes twice", (*sinkTest).closeTwice, nil},
	}
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.name, ",", ""), func(t *testing.T) {
			b := bench(t)
			if c.needs != nil && !c.needs(&b) {
				t.Log("the destination cannot be in this case")
				return
			}
			c.run(&sinkTest{T: t, SinkBench: b})
		})
	}
}

// sinkTest is one case under way.
type sinkTest struct {
	*testing.T
	SinkBench
}

func (t *sinkTest) open() penstock.Sink {
	t.Helper()
	s := t.Open(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func (t *sinkTest) write(s penstock.Sink, rs ...*penstock.Report) {
	t.Helper()
	if err := s.Write(t.Context(), rs); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// arrived checks that the reports arrived, and nothing else; each once where the
// destination sees to that or nothing came twice.
func (t *sinkTest) arrived(once bool, want ...*penstock.Report) {
	t.Helper()
	counts := map[string]int{}
	for _, r := range t.Received(t) {
		counts[identityOf(r)]++
	}
	for _, r := range want {
		n := counts[identityOf(r)]
		if n == 0 || n > 1 && (once || t.Once) {
			t.Errorf("%s %s arrived %d times", r.Controller, r.Identity, n)
		}
		delete(counts, identityOf(r))
	}
	for id, n := range counts {
		t.Errorf("%q arrived %d times and should not have", id, n)
	}
}

func (t *sinkTest) everything() {
	s := t.open()
	keyed := &penstock.Report{Controller: "meter", Identity: penstock.KeyIdentity("a key"), Samples: report("meter", 1).Samples}
	natural := &penstock.Report{Controller: "sensor", Samples: report("sensor", 1).Samples}
	rs := append(reports("pump-1", 1, 50), keyed, natural)
	t.write(s, rs[:20]...)
	t.write(s, rs[20:]...)
	t.arrived(true, rs...)
}

func (t *sinkTest) again() {
	s := t.open()
	rs := reports("pump-1", 1, 10)
	t.write(s, rs...)
	t.write(s, rs[3:]...)
	t.write(s, rs[9], rs[9])
	t.arrived(false, rs...)
}

func (t *sinkTest) anyOrder() {
	s := t.open()
	rs := reports("pump-1", 1, 30)
	t.write(s, rs[20:]...)
	t.write(s, rs[:10]...)
	t.write(s, rs[10:20]...)
	t.arrived(true, rs...)
}

func (t *sinkTest) nothing() {
	s := t.open()
	t.write(s)
	t.arrived(true)
}

func (t *sinkTest) keepsNothing() {
	s := t.open()
	rs := reports("pump-1", 1, 3)
	t.write(s, rs...)
	for _, r := range rs {
		r.Controller, r.Identity = "changed", penstock.KeyIdentity("changed")
		clear(r.Samples)
	}
	clear(rs)
	t.write(s, report("pump-1", 4))
	t.arrived(true, reports("pump-1", 1, 4)...)
}

// fails writes, and returns the error, whose code must be temporary where it is one
// for all.
func (t *sinkTest) fails(s penstock.Sink, rs ...*penstock.Report) *penstock.WriteError {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := s.Write(ctx, rs)
	if err == nil {
		t.Fatal("the write was called good")
	}
	var each *penstock.WriteError
	if !errors.As(err, &each) && !penstock.CodeOf(err).Temporary() && ctx.Err() == nil {
		t.Errorf("the destination's trouble has code %s, which is not temporary: %v", penstock.CodeOf(err), err)
	}
	return each
}

// untilWritten writes until it goes well: as the runner does, only what failed.
func (t *sinkTest) untilWritten(s penstock.Sink, rs ...*penstock.Report) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := s.Write(t.Context(), rs)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not come back: %v", err)
		}
		var each *penstock.WriteError
		if errors.As(err, &each) {
			var left []*penstock.Report
			for i, r := range rs {
				if each.Failed[i] != nil {
					left = append(left, r)
				}
			}
			rs = left
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

func (t *sinkTest) down() {
	s := t.open()
	t.write(s, reports("pump-1", 1, 3)...)
	mend := t.Break(t)
	for range 2 {
		if each := t.fails(s, reports("pump-1", 4, 6)...); each != nil {
			for i, err := range each.Failed {
				if !penstock.CodeOf(err).Temporary() {
					t.Errorf("report %d fails with code %s while the destination is down: %v", i, penstock.CodeOf(err), err)
				}
			}
		}
	}
	mend()
	t.untilWritten(s, reports("pump-1", 4, 6)...)
	t.arrived(false, reports("pump-1", 1, 6)...)
}

// named checks that exactly the reports of the controllers failed.
func (t *sinkTest) named(each *penstock.WriteError, rs []*penstock.Report, temporary map[string]bool) {
	t.Helper()
	if each == nil {
		t.Fatal("the error does not name the reports that failed: it is no WriteError")
	}
	for i, r := range rs {
		err := each.Failed[i]
		wanted, refused := temporary[r.Controller]
		if refused != (err != nil) || err != nil && penstock.CodeOf(err).Temporary() != wanted {
			t.Errorf("%s %s: %v (code %s)", r.Controller, r.Identity, err, penstock.CodeOf(err))
		}
	}
	for i := range each.Failed {
		if i < 0 || i >= len(rs) {
			t.Errorf("report %d of %d is said to have failed", i, len(rs))
		}
	}
}

func (t *sinkTest) refused() {
	s := t.open()
	t.Refuse(t)
	rs := []*penstock.Report{report("pump-1", 1), report("refused", 1), report("pump-1", 2), report("refused", 2), report("pump-1", 3)}
	for range 2 {
		t.named(t.fails(s, rs...), rs, map[string]bool{"refused": false})
	}
	alone := rs[1:2]
	t.named(t.fails(s, alone...), alone, map[string]bool{"refused": false})
	t.write(s, report("pump-1", 4))
	t.arrived(false, reports("pump-1", 1, 4)...)
}

func (t *sinkTest) nacked() {
	s := t.open()
	mend := t.Nack(t)
	rs := []*penstock.Report{report("nacked", 1), report("pump-1", 1), report("nacked", 2)}
	t.named(t.fails(s, rs...), rs, map[string]bool{"nacked": true})
	mend()
	t.untilWritten(s, rs[0], rs[2])
	t.arrived(false, rs...)
}

func (t *sinkTest) mixed() {
	s := t.open()
	mend := t.Nack(t)
	t.Refuse(t)
	rs := []*penstock.Report{report("nacked", 1), report("refused", 1), report("pump-1", 1)}
	t.named(t.fails(s, rs...), rs, map[string]bool{"nacked": true, "refused": false})
	mend()
	t.untilWritten(s, rs[0])
	t.arrived(false, rs[0], rs[2])
}

func (t *sinkTest) lostConfirmation() {
	s := t.open()
	t.write(s, report("pump-1", 1))
	t.LoseConfirmation(t)
	t.fails(s, reports("pump-1", 2, 4)...)
	t.untilWritten(s, reports("pump-1", 2, 4)...)
	t.arrived(false, reports("pump-1", 1, 4)...)
}

func (t *sinkTest) cancelled() {
	s := t.open()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Write(ctx, reports("pump-1", 1, 3)); err == nil {
		t.Fatal("a write whose context had ended was called good")
	}
	var all []*penstock.Report
	for i := range uint64(6) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1<<i)*100*time.Microsecond)
		rs := reports("pump-1", 10*i+1, 10*i+10)
		err := s.Write(ctx, rs)
		cancel()
		if err != nil {
			t.untilWritten(s, rs...)
		}
		all = append(all, rs...)
	}
	t.arrived(false, all...)
}

// mostStall is how long a write may take that nobody answers.
const mostStall = 5 * time.Second

func (t *sinkTest) slow() {
	s := t.open()
	release := t.Stall(t)
	defer time.AfterFunc(mostStall, release).Stop() // a sink that does wait fails, and hangs no test
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if err := s.Write(ctx, reports("pump-1", 1, 3)); err == nil {
		t.Fatal("a write that nobody answered was called good")
	}
	if took := time.Since(begun); took >= mostStall {
		t.Errorf("a write whose context ended after 100ms took %s", took)
	}
	release()
	t.untilWritten(s, reports("pump-1", 1, 3)...)
	t.arrived(false, reports("pump-1", 1, 3)...)
}

func (t *sinkTest) closeTwice() {
	s := t.Open(t)
	t.write(s, report("pump-1", 1))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	if err := s.Write(t.Context(), slices.Clone(reports("pump-1", 2, 2))); err == nil {
		t.Fatal("a closed sink wrote")
	}
}
