package lifecycle

import (
	"log/slog"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/notify"
)

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// notified takes what a process says of itself.
func (m *Machine) notified(now time.Time, r *run, e Event) {
	msg := e.Message
	if msg.Status != "" {
		r.status = msg.Status
	}
	if msg.Watchdog > 0 {
		r.watchdog = msg.Watchdog
	}
	if msg.Extend > 0 && !r.deadline.IsZero() && (r.ending || !r.ready) {
		r.deadline = later(r.deadline, now.Add(msg.Extend))
	}
	if msg.TakeOver || msg.Extend > 0 {
		r.settled = time.Time{} // it knows the protocol, and will say when it is ready
	}
	if !r.ending {
		m.obey(now, r, msg)
	}
}

// obey does what a message of a process asks for.
func (m *Machine) obey(now time.Time, r *run, msg notify.Message) {
	if msg.TakeOver && r.role == successor {
		m.say(slog.LevelInfo, "generation %d waits for the one before it, which is told to end", r.generation)
		m.promote(now, r)
	}
	switch {
	case msg.Ready:
		m.isReady(now, r)
	case msg.Stopping:
		r.fed, r.settled = time.Time{}, time.Time{}
		r.deadline = now.Add(m.policy.StopTimeout)
	case msg.Hung:
		m.abort(now, r, "it called its watchdog itself")
	case r.ready && (msg.Alive || msg.Watchdog > 0):
		m.feed(now, r)
	}
}

func (m *Machine) feed(now time.Time, r *run) {
	if r.watchdog > 0 {
		r.fed = now.Add(r.watchdog)
	}
}

// isReady notes that a process serves. It is said again after each reload.
func (m *Machine) isReady(now time.Time, r *run) {
	m.feed(now, r)
	if r.ready {
		return
	}
	r.ready, r.settled, r.deadline = true, time.Time{}, time.Time{}
	m.say(slog.LevelInfo, "generation %d is ready after %s", r.generation, now.Sub(r.started).Round(time.Millisecond))
	if r.role == successor {
		m.promote(now, r)
	}
	m.since = now
}

// promote puts a successor in the place of main, which is told to end.
func (m *Machine) promote(now time.Time, r *run) {
	if old := m.of(main); old != nil {
		m.leave(now, old)
		r.deadline = later(r.deadline, now.Add(m.policy.StopTimeout+m.policy.StartTimeout))
		if r.ready {
			r.deadline = time.Time{}
		}
	}
	r.role = main
}

// measured holds a tree against its ceiling.
func (m *Machine) measured(now time.Time, r *run, resident int64) {
	if limit := m.policy.Memory; limit > 0 && resident > limit && !r.ending {
		why := "it held " + mebibytes(resident) + " of memory, more than its ceiling of " + mebibytes(limit)
		m.say(slog.LevelError, "generation %d: %s; it is told to end", r.generation, why)
		m.terminate(now, r, why)
	}
}

// abort ends a process that hangs, in a way that lets it write down where.
func (m *Machine) abort(now time.Time, r *run, why string) {
	m.say(slog.LevelError, "generation %d: %s; it is aborted", r.generation, why)
	r.ending, r.why, r.fed, r.settled = true, why, time.Time{}, time.Time{}
	r.deadline = now.Add(abortGrace)
	m.do(Action{Signal: syscall.SIGABRT, Of: r.generation})
}

// overdue does what the time asks for.
func (m *Machine) overdue(now time.Time) {
	due := func(at time.Time) bool { return !at.IsZero() && !now.Before(at) }
	for _, r := range m.runs {
		if due(r.settled) && !r.ending {
			m.isReady(now, r)
		}
		if due(r.fed) {
			m.abort(now, r, "its watchdog heard nothing for "+r.watchdog.String())
		}
		if !due(r.deadline) {
			continue
		}
		r.deadline = time.Time{}
		switch {
		case r.ending || r.ready: // a ready one with a deadline said that it stops
			m.say(slog.LevelError, "generation %d did not end within its time; it is killed", r.generation)
			r.ending = true
			m.do(Action{Kill: true, Of: r.generation})
		default:
			why := "it was not ready within " + m.policy.StartTimeout.String()
			m.say(slog.LevelError, "generation %d: %s; it is told to end", r.generation, why)
			m.terminate(now, r, why)
		}
	}
	if due(m.launchAt) {
		m.launch(now, main)
	}
}

// Next returns when Step wants a Tick, zero for never.
func (m *Machine) Next() time.Time {
	var next time.Time
	for _, at := range append(m.deadlines(), m.launchAt) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

func (m *Machine) deadlines() []time.Time {
	var all []time.Time
	for _, r := range m.runs {
		all = append(all, r.settled, r.fed, r.deadline)
	}
	return all
}
