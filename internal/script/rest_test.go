package script_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/script"
	"github.com/penstock/penstock/internal/testkit"
)

// of returns a report of a controller.
func of(controller string, seq uint64) *penstock.Report {
	r := pump(sample("flow", penstock.FloatValue(1)))
	r.Controller, r.Identity.Seq = controller, seq
	return r
}

// sinking returns an engine with a script that calls itself without an end on reports
// with odd numbers, and the clock by which each look at it takes as long as it says.
func sinking(t *testing.T, otherwise string) (*stage, *slowClock) {
	clock := &slowClock{}
	clock.step.Store(int64(5 * time.Second))
	s := open(t, `export function onReport(report) {
  if (report.seq % 2 === 1) (function f() { return f() + 1 })()
  `+otherwise+`
}`, func(o *script.Options) { o.Config.OnError, o.Now = script.ToQuarantine, clock.now })
	return s, clock
}

type slowClock struct{ at, step atomic.Int64 }

func (c *slowClock) now() time.Time { return time.Unix(1e9, c.at.Add(c.step.Load())) }

// A controller on whose reports the script is stopped again and again rests: it may
// take a hundredth of the time, and a little at once. Nobody else rests.
func TestRest(t *testing.T) {
	s, clock := sinking(t, `report.samples[0].value = 7`)
	ran := 0
	var last script.Outcome
	for last.Fault == nil || last.Fault.Kind != script.Resting {
		if last = s.run(t, of("bad", 1)); last.Fault == nil || ran > 100 {
			t.Fatalf("after %d: %+v", ran, last)
		}
		ran++
	}
	if ran < 3 || !last.Quarantine || last.Took != 0 || last.Fault.File != "clean.js" || last.Fault.Line != 1 {
		t.Errorf("after %d: %+v %v", ran, last, last.Fault)
	}
	if log := s.log.String(); strings.Count(log, "for a while") != 1 || !strings.Contains(log, "controller=bad rest=") {
		t.Errorf("the log does not tell of the rest once:\n%s", log)
	}
	clock.step.Store(1)
	rested := func(what string, r *penstock.Report, want bool) {
		t.Helper()
		out := s.run(t, r)
		if got := out.Fault != nil && out.Fault.Kind == script.Resting; got != want || !want && r.Identity.Seq == 2 && !out.Changed {
			t.Errorf("%s: %+v %v", what, out, out.Fault)
		}
	}
	rested("a report that would do", of("bad", 2), true)
	rested("another controller", of("good", 2), false)
	clock.at.Add(int64(time.Minute))
	rested("after a part of its rest", of("bad", 2), true)
	clock.at.Add(int64(10 * time.Minute))
	rested("after its rest", of("bad", 2), false)
	clock.step.Store(int64(5 * time.Second))
	rested("after its rest", of("bad", 1), false)
	rested("when it was stopped again", of("bad", 1), true)
}

// A report that is stopped now and then costs its controller nothing but itself, and
// what only throws makes nobody rest.
func TestWhoDoesNotRest(t *testing.T) {
	s, _ := sinking(t, `throw new Error("no")`)
	for i := range uint64(120) {
		seq := uint64(2)
		if i%40 == 0 {
			seq = 1
		}
		if out := s.run(t, of("bad", seq)); out.Fault == nil || out.Fault.Kind == script.Resting {
			t.Fatalf("%d: %+v %v", i, out, out.Fault)
		}
	}
}

// A controller's report holds one worker and no other, until that is back.
func TestStuckControllerRests(t *testing.T) {
	s := open(t, searching(longSearch(t, 2*time.Second)), func(o *script.Options) {
		o.Config.Workers, o.Config.Timeout = 4, config.Duration(100*time.Millisecond)
	})
	if f := s.run(t, of("bad", 17)).Fault; f == nil || f.Kind != script.Stuck {
		t.Fatalf("%+v", f)
	}
	for range 10 {
		held := s.engine.Stuck() // it may come back meanwhile
		out := s.run(t, of("bad", 17))
		if f := out.Fault; held > 0 && (f == nil || f.Kind != script.Resting) || s.engine.Stuck() > 1 {
			t.Fatalf("%d are stuck: %+v", s.engine.Stuck(), f)
		}
	}
	testkit.Eventually(t, func() bool { return s.engine.Stuck() == 0 }, "the worker does not come back")
	if f := s.run(t, of("bad", 18)).Fault; f == nil || f.Kind != script.Resting {
		t.Errorf("what it held is not paid back: %+v", f)
	}
}
