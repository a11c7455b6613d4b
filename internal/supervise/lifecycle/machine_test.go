package lifecycle_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/notify"
	"github.com/penstock/penstock/internal/supervise/lifecycle"
)

func policy() lifecycle.Policy {
	return lifecycle.Policy{
		Restart: lifecycle.Always, NotifyReady: true, Overlap: true, Settle: time.Second, StartTimeout: 90 * time.Second,
		StopTimeout: 30 * time.Second, StopSignal: syscall.SIGTERM, Delay: 100 * time.Millisecond, MaxDelay: 30 * time.Second,
		Stable: 10 * time.Second, Failures: 5, Within: 5 * time.Minute,
	}
}

// bench holds a machine, the time, and what it asked for, in short words: "launch
// 1", "SIGTERM 1", "kill 1", "done", "failed".
type bench struct {
	t     *testing.T
	m     *lifecycle.Machine
	now   time.Time
	said  string
	alive map[lifecycle.Generation]bool
}

func newBench(t *testing.T, p lifecycle.Policy) *bench {
	return &bench{t: t, m: lifecycle.New(p, func() float64 { return 0.5 }), now: time.Unix(1e9, 0), alive: map[lifecycle.Generation]bool{}}
}

func words(actions []lifecycle.Action) (list []string, said string) {
	for _, a := range actions {
		switch {
		case a.Launch != 0 && a.TakeOver > 0:
			list = append(list, fmt.Sprintf("launch %d to take over", a.Launch))
		case a.Launch != 0:
			list = append(list, fmt.Sprintf("launch %d", a.Launch))
		case a.Signal != 0:
			list = append(list, fmt.Sprintf("%d gets %d", a.Of, a.Signal))
		case a.Kill:
			list = append(list, fmt.Sprintf("kill %d", a.Of))
		case a.Done && a.Err != nil:
			list = append(list, "failed")
			said += a.Err.Error() + "\n"
		case a.Done:
			list = append(list, "done")
		default:
			said += a.Say + "\n"
		}
	}
	return list, said
}

// step takes an event and compares what it asks for.
func (b *bench) step(e lifecycle.Event, want ...string) {
	b.t.Helper()
	got, said := words(b.m.Step(b.now, e))
	b.said = said
	if !slices.Equal(got, want) {
		b.t.Errorf("%+v asks for %q, not for %q\n%s", e, got, want, said)
	}
}

// after lets time go by to the next deadline, which is d away.
func (b *bench) after(d time.Duration, want ...string) {
	b.t.Helper()
	next := b.m.Next()
	if got := next.Sub(b.now); got != d {
		b.t.Fatalf("the next deadline is %s away, not %s", got, d)
	}
	b.now = next
	b.step(lifecycle.Event{}, want...)
}

func (b *bench) state(want lifecycle.State) {
	b.t.Helper()
	if v := b.m.View(); v.State != want {
		b.t.Errorf("it is %s, not %s: %+v", v.State, want, v)
	}
}

func (b *bench) says(part string) {
	b.t.Helper()
	if !strings.Contains(b.said, part) {
		b.t.Errorf("%q is not in %q", part, b.said)
	}
}

func do(k lifecycle.Kind) lifecycle.Event { return lifecycle.Event{Kind: k} }

func says(g lifecycle.Generation, m notify.Message) lifecycle.Event {
	return lifecycle.Event{Kind: lifecycle.Notified, Of: g, Message: m}
}

func ready(g lifecycle.Generation) lifecycle.Event { return says(g, notify.Message{Ready: true}) }

func ended(g lifecycle.Generation) lifecycle.Event {
	return lifecycle.Event{Kind: lifecycle.Ended, Of: g, How: "exit status 1"}
}

func TestStartAndStop(t *testing.T) {
	b := newBench(t, policy())
	b.state(lifecycle.Stopped)
	b.step(do(lifecycle.Start), "launch 1")
	b.step(do(lifecycle.Start))
	b.state(lifecycle.Starting)
	b.step(ready(1))
	b.state(lifecycle.Running)
	b.step(do(lifecycle.Stop), "1 gets 15")
	b.state(lifecycle.Stopping)
	b.after(30*time.Second, "kill 1")
	b.says("did not end within its time")
	b.step(ended(1), "kill 1")
	b.state(lifecycle.Stopped)
	if !b.m.Idle() {
		t.Error("it is not idle")
	}
}

// A crash is mended at once, one that follows after a while, and at last it is
// given up; a person's word begins anew.
func TestBackOffAndGivingUp(t *testing.T) {
	b := newBench(t, policy())
	b.step(do(lifecycle.Start), "launch 1")
	b.step(ended(1), "kill 1", "launch 2")
	for i, wait := range []time.Duration{100, 200, 400, 800} {
		g := lifecycle.Generation(i + 2)
		b.step(ended(g), fmt.Sprintf("kill %d", g))
		b.state(lifecycle.Waiting)
		b.after(wait*time.Millisecond, fmt.Sprintf("launch %d", g+1))
	}
	b.step(ended(6), "kill 6")
	b.says("given up")
	b.state(lifecycle.Failed)
	if v := b.m.View(); v.LastEnd != "exit status 1" || v.Restarts != 5 || !b.m.Idle() {
		t.Errorf("%+v", v)
	}
	b.step(do(lifecycle.Replace), "launch 7")
	b.step(ready(7), "done")
	b.now = b.now.Add(10 * time.Second)
	b.step(ended(7), "kill 7", "launch 8") // it was stable: nothing is held against it
}

func TestARunThatIsStableForgives(t *testing.T) {
	b := newBench(t, policy())
	b.step(do(lifecycle.Start), "launch 1")
	for g := lifecycle.Generation(1); g < 50; g++ {
		b.step(ready(g))
		b.now = b.now.Add(11 * time.Second)
		b.step(ended(g), fmt.Sprintf("kill %d", g), fmt.Sprintf("launch %d", g+1))
	}
}

func TestRulesOfRestarting(t *testing.T) {
	for _, test := range []struct {
		rule  lifecycle.Restart
		clean bool
		want  lifecycle.State
	}{
		{lifecycle.Always, true, lifecycle.Starting}, {lifecycle.OnFailure, true, lifecycle.Finished},
		{lifecycle.OnFailure, false, lifecycle.Starting}, {lifecycle.Never, true, lifecycle.Finished}, {lifecycle.Never, false, lifecycle.Failed},
	} {
		p := policy()
		p.Restart = test.rule
		m := lifecycle.New(p, func() float64 { return 0 })
		now := time.Unix(1e9, 0)
		m.Step(now, do(lifecycle.Start))
		m.Step(now, lifecycle.Event{Kind: lifecycle.Ended, Of: 1, Clean: test.clean})
		if v := m.View(); v.State != test.want {
			t.Errorf("%+v gives %s", test, v.State)
		}
	}
}

// The old process ends only when the new one is ready, and the command is over
// when the old one is gone.
func TestReplacement(t *testing.T) {
	b := newBench(t, policy())
	b.step(do(lifecycle.Start), "launch 1")
	b.step(ready(1))
	b.step(do(lifecycle.Replace), "launch 2 to take over")
	b.state(lifecycle.Replacing)
	b.step(do(lifecycle.Replace), "failed")
	b.says("already")
	b.step(ready(2), "1 gets 15")
	b.step(ended(1), "kill 1", "done")
	b.state(lifecycle.Running)
	if v := b.m.View(); v.Main != 2 || v.Restarts != 0 {
		t.Errorf("%+v", v)
	}
}

// A successor that needs what the old process holds says so; it is given the time
// that the old one takes.
func TestReplacementByTakingOver(t *testing.T) {
	b := newBench(t, policy())
	b.step(do(lifecycle.Start), "launch 1")
	b.step(ready(1))
	b.step(do(lifecycle.Replace), "launch 2 to take over")
	b.step(says(2, notify.Message{TakeOver: true}), "1 gets 15")
	b.now = b.now.Add(20 * time.Second)
	b.step(ended(1), "kill 1")
	b.state(lifecycle.Starting)
	b.step(ready(2), "done")
	b.state(lifecycle.Running)
}

func TestAReplacementThatFailsLeavesTheOld(t *testing.T) {
	b := newBench(t, policy())
	b.step(do(lifecycle.Start), "launch 1")
	b.step(ready(1))
	b.step(do(lifecycle.Replace), "launch 2 to take over")
	b.step(ended(2), "kill 2", "failed")
	b.says("the one before it goes on")
	b.state(lifecycle.Running)
	b.step(do(lifecycle.Replace), "launch 3 to take over")
	b.after(90*time.Second, "3 gets 15")
	b.says("not ready within 1m30s")
	b.step(ended(3), "kill 3", "failed")
	b.state(lifecycle.Running)
	b.step(do(lifecycle.Replace), "launch 4 to take over")
	b.step(lifecycle.Event{Kind: lifecycle.NotStarted, Of: 4, How: "no such file"}, "failed")
	b.says("no such file")
	b.step(do(lifecycle.Replace), "launch 5 to take over")
	b.step(ended(1), "kill 1") // the old one crashes meanwhile: nothing else is started
	b.step(ready(5), "done")
}

func TestWithoutOverlap(t *testing.T) {
	p := policy()
	p.Overlap = false
	b := newBench(t, p)
	b.step(do(lifecycle.Start), "launch 1")
	b.step(ready(1))
	b.step(do(lifecycle.Replace), "1 gets 15")
	b.step(ended(1), "kill 1", "launch 2")
	b.step(ready(2), "done")
	b.step(do(lifecycle.Stop), "2 gets 15")
	b.step(do(lifecycle.Replace))
	b.step(ended(2), "kill 2", "launch 3")
}

func TestWatchdog(t *testing.T) {
	p := policy()
	p.Watchdog = 4 * time.Second
	b := newBench(t, p)
	b.step(do(lifecycle.Start), "launch 1")
	b.step(says(1, notify.Message{Ready: true, Status: "serves"}))
	b.now = b.now.Add(3 * time.Second)
	b.step(says(1, notify.Message{Alive: true}))
	b.after(4*time.Second, "1 gets 6")
	b.says("its watchdog heard nothing for 4s")
	b.after(5*time.Second, "kill 1")
	b.step(ended(1), "kill 1", "launch 2")
	if v := b.m.View(); !strings.Contains(v.LastEnd, "watchdog") {
		t.Errorf("the reason is lost: %+v", v)
	}
	b.step(ready(2))
	b.step(says(2, notify.Message{Watchdog: time.Minute, Status: "slow now"}))
	if next := b.m.Next().Sub(b.now); next != time.Minute || b.m.View().Status != "slow now" {
		t.Errorf("the watchdog bites in %s: %+v", next, b.m.View())
	}
	b.step(says(2, notify.Message{Hung: true}), "2 gets 6")
}

func TestMemoryCeiling(t *testing.T) {
	p := policy()
	p.Memory = 100 << 20
	b := newBench(t, p)
	b.step(do(lifecycle.Start), "launch 1")
	b.step(ready(1))
	b.step(lifecycle.Event{Kind: lifecycle.Measured, Of: 1, Resident: 100 << 20})
	b.step(lifecycle.Event{Kind: lifecycle.Measured, Of: 1, Resident: 101 << 20}, "1 gets 15")
	b.says("it held 101.0 MiB of memory, more than its ceiling of 100.0 MiB")
	b.step(lifecycle.Event{Kind: lifecycle.Measured, Of: 1, Resident: 102 << 20})
	b.after(30*time.Second, "kill 1")
	b.step(ended(1), "kill 1", "launch 2")
}

func TestTimesOfTheStart(t *testing.T) {
	p := policy()
	p.NotifyReady = false
	b := newBench(t, p)
	b.step(do(lifecycle.Start), "launch 1")
	b.after(time.Second)
	b.state(lifecycle.Running)

	b = newBench(t, policy())
	b.step(do(lifecycle.Start), "launch 1")
	b.now = b.now.Add(80 * time.Second)
	b.step(says(1, notify.Message{Extend: time.Minute}))
	b.after(time.Minute, "1 gets 15")
	b.step(ended(1), "kill 1", "launch 2")
}

// What happened long ago counts for nothing, and what a process says before it is
// ready does not feed a watchdog that sleeps.
func TestWhatDoesNotCount(t *testing.T) {
	p := policy()
	p.Stable, p.Within, p.Watchdog = time.Hour, time.Minute, time.Second
	b := newBench(t, p)
	b.step(do(lifecycle.Start), "launch 1")
	b.step(says(1, notify.Message{Alive: true}))
	if next := b.m.Next().Sub(b.now); next != p.StartTimeout {
		t.Errorf("the next deadline is %s away", next)
	}
	for g := lifecycle.Generation(1); g < 20; g++ {
		b.now = b.now.Add(61 * time.Second)
		b.step(ended(g), fmt.Sprintf("kill %d", g), fmt.Sprintf("launch %d", g+1))
	}
}

// A successor that waits for its predecessor is not taken for ready because it has
// run for a while.
func TestWhoSpeaksTheProtocolSaysWhenItIsReady(t *testing.T) {
	p := policy()
	p.NotifyReady = false
	b := newBench(t, p)
	b.step(do(lifecycle.Start), "launch 1")
	b.step(ready(1))
	b.step(do(lifecycle.Replace), "launch 2 to take over")
	b.step(says(2, notify.Message{TakeOver: true}), "1 gets 15")
	b.now = b.now.Add(2 * time.Second)
	b.step(ended(1), "kill 1")
	b.state(lifecycle.Starting)
	b.step(ready(2), "done")
}

func TestAFailureStaysKnown(t *testing.T) {
	p := policy()
	p.Restart = lifecycle.Never
	b := newBench(t, p)
	b.step(do(lifecycle.Start), "launch 1")
	b.step(ended(1), "kill 1")
	b.state(lifecycle.Failed)
	b.step(do(lifecycle.Stop))
	b.state(lifecycle.Failed)
}

func TestAProgramThatStopsByItself(t *testing.T) {
	b := newBench(t, policy())
	b.step(do(lifecycle.Start), "launch 1")
	b.step(ready(1))
	b.step(says(1, notify.Message{Stopping: true}))
	b.after(30*time.Second, "kill 1")
	b.step(ended(1), "kill 1", "launch 2")
}

func TestStopEndsAReplacement(t *testing.T) {
	b := newBench(t, policy())
	b.step(do(lifecycle.Start), "launch 1")
	b.step(ready(1))
	b.step(do(lifecycle.Replace), "launch 2 to take over")
	b.step(do(lifecycle.Stop), "1 gets 15", "2 gets 15", "failed")
	b.step(ended(2), "kill 2")
	b.step(ended(1), "kill 1")
	b.state(lifecycle.Stopped)
}

// Whatever happens: processes are not started beside each other where they must
// not be, a replacement asked for ends once, and when all goes well again the
// instance runs or stands still as it was told.
func TestAnyOrderOfEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policy()
		p.Overlap = rapid.Bool().Draw(t, "overlap")
		p.NotifyReady = rapid.Bool().Draw(t, "notify")
		p.Watchdog = time.Duration(rapid.IntRange(0, 3).Draw(t, "watchdog")) * time.Second
		w := &world{T: t, policy: p, m: lifecycle.New(p, func() float64 { return 0 }), now: time.Unix(1e9, 0), killed: map[lifecycle.Generation]bool{}}
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			w.any()
		}
		w.calm()
	})
}

// world drives a machine as a manager would.
type world struct {
	*rapid.T
	policy  lifecycle.Policy
	m       *lifecycle.Machine
	now     time.Time
	alive   []lifecycle.Generation
	killed  map[lifecycle.Generation]bool
	last    lifecycle.Generation
	waiting bool // a replacement was asked for
	wanted  bool
}

func (w *world) step(e lifecycle.Event) {
	for _, a := range w.m.Step(w.now, e) {
		switch {
		case a.Launch != 0:
			if a.Launch != w.last+1 || !w.policy.Overlap && len(w.alive) > 0 || len(w.alive) > 8 {
				w.Fatalf("launched %d beside %v", a.Launch, w.alive)
			}
			w.last = a.Launch
			w.alive = append(w.alive, a.Launch)
		case a.Kill && slices.Contains(w.alive, a.Of):
			w.killed[a.Of] = true
		case a.Done && penstock.CodeOf(a.Err) != penstock.Conflict:
			if !w.waiting {
				w.Fatalf("a replacement ended twice: %v", a.Err)
			}
			w.waiting = false
		}
	}
}

func (w *world) end(i int) {
	g := w.alive[i]
	w.alive = slices.Delete(w.alive, i, i+1)
	w.step(lifecycle.Event{Kind: lifecycle.Ended, Of: g, Clean: true, How: "ended"})
}

func (w *world) any() {
	switch k := rapid.IntRange(0, 9).Draw(w.T, "event"); {
	case k == 0:
		w.wanted = true
		w.step(do(lifecycle.Start))
	case k == 1:
		w.wanted, w.waiting = true, true
		w.step(do(lifecycle.Replace))
	case k == 2:
		w.wanted = false
		w.step(do(lifecycle.Stop))
	case k <= 4:
		w.now = w.now.Add(time.Duration(rapid.IntRange(0, 100000).Draw(w.T, "ms")) * time.Millisecond)
		w.step(lifecycle.Event{})
	case len(w.alive) == 0:
	default:
		i := rapid.IntRange(0, len(w.alive)-1).Draw(w.T, "which")
		switch {
		case k == 5:
			w.end(i)
		case k == 6:
			w.step(ready(w.alive[i]))
		case k == 7:
			w.step(says(w.alive[i], notify.Message{TakeOver: true}))
		case k == 8:
			w.step(says(w.alive[i], notify.Message{Stopping: true}))
		default:
			w.step(says(w.alive[i], notify.Message{Alive: true}))
		}
	}
}

// calm lets everything go well: who is told to end ends, who starts is ready.
func (w *world) calm() {
	gaveUp := w.m.View().State == lifecycle.Failed
	for range 200 {
		next := w.m.Next()
		if v := w.m.View(); v.State == lifecycle.Running && len(w.alive) == 1 || w.m.Idle() {
			break
		}
		for i := len(w.alive) - 1; i >= 0; i-- {
			if w.alive[i] != w.m.View().Main || w.killed[w.alive[i]] {
				if w.alive[i] == w.last && !w.killed[w.alive[i]] {
					continue // a successor
				}
				w.end(i)
			}
		}
		if n := len(w.alive); n > 0 {
			w.step(ready(w.alive[n-1]))
		}
		if !next.IsZero() && next.After(w.now) {
			w.now = next
		}
		w.step(lifecycle.Event{})
	}
	v := w.m.View()
	gaveUp = gaveUp || v.State == lifecycle.Failed
	if w.wanted && !gaveUp && v.State != lifecycle.Running || !w.wanted && !w.m.Idle() {
		w.Fatalf("wanted %v, and it is %+v with %v", w.wanted, v, w.alive)
	}
	if w.waiting {
		w.Fatalf("a replacement never ends: %+v", v)
	}
}
