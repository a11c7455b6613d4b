package lifecycle

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/penstock/penstock"
)

// State is how an instance stands.
type State string

// The states.
const (
	Starting  State = "starting"  // its process is not ready yet
	Running   State = "running"   // its process is ready
	Replacing State = "replacing" // one process takes the place of another
	Stopping  State = "stopping"  // it was told to end
	Stopped   State = "stopped"   // it ended as it was told to, or was never started
	Waiting   State = "waiting"   // it failed, and is started again in a while
	Failed    State = "failed"    // it failed too often, and was given up
	Finished  State = "finished"  // it ended, and its rule is to let it be
)

// Machine decides for one instance. It is not safe for concurrent use.
type Machine struct {
	policy Policy
	chance func() float64

	runs     []*run // the oldest first
	last     Generation
	wanted   bool
	end      State       // while nothing runs and nothing will: Stopped, Failed or Finished
	since    time.Time   // of the latest change of main
	failures []time.Time // in a row
	launchAt time.Time   // of the next start; zero for none
	rolling  bool        // a replacement was asked for and is not over

	restarts int
	how      string // the latest end that nobody asked for
	actions  []Action
}

// role is the place of a process in its instance.
type role uint8

const (
	main      role = iota // the one that serves, or shall
	successor             // starts, to become main
	leaving               // was told to end
)

// run is one process.
type run struct {
	generation Generation
	role       role
	ready      bool
	started    time.Time
	settled    time.Time // when it counts as ready although it said nothing; zero for never
	deadline   time.Time // of the start or of the end; zero for none
	fed        time.Time // when its watchdog bites; zero for never
	watchdog   time.Duration
	ending     bool   // it was sent a signal to end
	why        string // it was made to end, unasked; empty for none
	status     string
}

// New returns the machine of an instance that does not run. chance returns
// numbers from 0 to 1.
func New(p Policy, chance func() float64) *Machine {
	return &Machine{policy: p, chance: chance, end: Stopped}
}

// Govern treats the instance by another policy from now on. What runs keeps the
// times that it was given.
func (m *Machine) Govern(p Policy) { m.policy = p }

// Step takes an event and returns what is to be done, in order.
func (m *Machine) Step(now time.Time, e Event) []Action {
	m.actions = nil
	r := m.find(e.Of)
	switch {
	case e.Kind == Start:
		m.start(now)
	case e.Kind == Replace:
		m.replace(now)
	case e.Kind == Stop:
		m.stop(now)
	case r == nil: // a tick, or news of a process that is gone
	case e.Kind == NotStarted:
		m.ended(now, r, "could not be started: "+e.How, false)
	case e.Kind == Ended:
		m.do(Action{Kill: true, Of: r.generation}) // what it left behind
		m.ended(now, r, e.How, e.Clean)
	case e.Kind == Notified:
		m.notified(now, r, e)
	case e.Kind == Measured:
		m.measured(now, r, e.Resident)
	}
	m.overdue(now)
	m.settle()
	return m.actions
}

func (m *Machine) find(g Generation) *run {
	for _, r := range m.runs {
		if r.generation == g {
			return r
		}
	}
	return nil
}

func (m *Machine) of(wanted role) *run {
	for _, r := range m.runs {
		if r.role == wanted {
			return r
		}
	}
	return nil
}

func (m *Machine) do(a Action) { m.actions = append(m.actions, a) }

func (m *Machine) say(level slog.Level, format string, args ...any) {
	m.do(Action{Say: fmt.Sprintf(format, args...), Level: level})
}

func (m *Machine) start(now time.Time) {
	m.wanted = true
	if m.of(main) == nil && m.launchAt.IsZero() {
		m.begin(now)
	}
}

// begin launches a main process, or leaves that to the end of the one before it
// where two may not be.
func (m *Machine) begin(now time.Time) {
	if m.policy.Overlap || len(m.runs) == 0 {
		m.launch(now, main)
	}
}

// launch starts a process. Those that still leave are its predecessors.
func (m *Machine) launch(now time.Time, as role) {
	m.last++
	p := &m.policy
	r := &run{generation: m.last, role: as, started: now, deadline: now.Add(p.StartTimeout), watchdog: p.Watchdog}
	if !p.NotifyReady {
		r.settled = now.Add(p.Settle)
	}
	a := Action{Launch: r.generation}
	if len(m.runs) > 0 {
		a.TakeOver = p.StopTimeout + p.StartTimeout
	}
	m.launchAt = time.Time{}
	m.runs = append(m.runs, r)
	if as == main {
		m.since = now
	}
	m.do(a)
}

func (m *Machine) replace(now time.Time) {
	if m.rolling {
		m.do(Action{Done: true, Err: penstock.Errorf(penstock.Conflict, "it is being replaced already")})
		return
	}
	m.rolling, m.wanted, m.failures = true, true, nil
	old := m.of(main)
	switch {
	case old == nil:
		m.begin(now)
	case m.policy.Overlap:
		m.launch(now, successor)
	default:
		m.leave(now, old)
	}
}

func (m *Machine) stop(now time.Time) {
	m.wanted = false
	if m.Idle() {
		return // it stays known that it failed
	}
	m.end, m.launchAt = Stopped, time.Time{}
	for _, r := range m.runs {
		m.leave(now, r)
	}
	m.finish(penstock.Errorf(penstock.Closed, "it was told to stop"))
}

// leave asks a process to end, because another takes its place or none shall run.
func (m *Machine) leave(now time.Time, r *run) {
	r.role = leaving
	m.terminate(now, r, "")
}

// terminate asks a process to end. why is empty when that is as it should be.
func (m *Machine) terminate(now time.Time, r *run, why string) {
	if r.ending {
		return
	}
	r.ending, r.why, r.fed, r.settled = true, why, time.Time{}, time.Time{}
	r.deadline = now.Add(m.policy.StopTimeout)
	m.do(Action{Signal: m.policy.StopSignal, Of: r.generation})
}

// finish ends the replacement that was asked for, if one was.
func (m *Machine) finish(err error) {
	if m.rolling {
		m.rolling = false
		m.do(Action{Done: true, Err: err})
	}
}

// settle ends a replacement that has come through.
func (m *Machine) settle() {
	if r := m.of(main); r != nil && r.ready && !r.ending && len(m.runs) == 1 {
		m.finish(nil)
	}
}

// ended takes a process out.
func (m *Machine) ended(now time.Time, r *run, how string, clean bool) {
	m.runs = slices.DeleteFunc(m.runs, func(o *run) bool { return o == r })
	if r.why != "" {
		how = r.why + "; its end: " + how
	}
	switch r.role {
	case leaving:
		m.say(slog.LevelInfo, "generation %d has ended as it was told to: %s", r.generation, how)
		if heir := m.of(main); heir != nil && !heir.ready && !heir.ending {
			heir.deadline = later(heir.deadline, now.Add(m.policy.StartTimeout)) // the way is free only now
		} else if heir == nil && m.wanted && m.launchAt.IsZero() && len(m.runs) == 0 {
			m.launch(now, main)
		}
	case successor:
		m.say(slog.LevelError, "generation %d ended before it was ready: %s; the one before it goes on", r.generation, how)
		m.finish(penstock.Errorf(penstock.Internal, "the new process ended before it was ready: %s; the one before it goes on", how))
	case main:
		m.lost(now, r, how, clean)
	}
}

// lost decides what becomes of an instance whose main process ended.
func (m *Machine) lost(now time.Time, r *run, how string, clean bool) {
	m.how, m.since = how, now
	if heir := m.of(successor); heir != nil {
		m.say(slog.LevelError, "generation %d ended: %s; generation %d, which starts, takes its place", r.generation, how, heir.generation)
		heir.role = main
		return
	}
	p := &m.policy
	if clean && p.Restart != Always {
		m.finish(nil) // it did what there was to do
	}
	m.finish(penstock.Errorf(penstock.Internal, "the new process ended: %s", how))
	switch {
	case !m.wanted:
		return
	case clean && p.Restart != Always, p.Restart == Never:
		m.wanted, m.end = false, Finished
		level := slog.LevelInfo
		if !clean {
			m.end, level = Failed, slog.LevelError
		}
		m.say(level, "generation %d ended: %s; its rule is %s, so it is not started again", r.generation, how, p.Restart)
		return
	}
	if r.ready && now.Sub(r.started) >= p.Stable {
		m.failures = nil
	}
	m.failures = slices.DeleteFunc(m.failures, func(at time.Time) bool { return now.Sub(at) > p.Within })
	m.failures = append(m.failures, now)
	if len(m.failures) > p.Failures {
		m.wanted, m.end = false, Failed
		m.say(slog.LevelError, "generation %d ended: %s; that was %d ends within %s, so it is given up: mend it, then restart it",
			r.generation, how, len(m.failures), p.Within)
		return
	}
	wait := p.delay(len(m.failures), m.chance())
	m.restarts++
	m.say(slog.LevelError, "generation %d ended: %s; it is started again in %s", r.generation, how, wait.Round(time.Millisecond))
	m.launchAt = now.Add(wait)
}
