package lifecycle

import (
	"fmt"
	"time"
)

// View is how an instance stands, for people.
type View struct {
	State     State
	Wanted    bool       // a process of it shall run
	Since     time.Time  // of the state of the main process
	Main      Generation // 0 for none
	Restarts  int        // after ends that nobody asked for
	LastEnd   string     // the latest of those; empty for none
	Status    string     // what the main process says of itself
	NextStart time.Time  // zero unless Waiting
}

// View returns how the instance stands.
func (m *Machine) View() View {
	v := View{State: m.state(), Wanted: m.wanted, Since: m.since, Restarts: m.restarts, LastEnd: m.how, NextStart: m.launchAt}
	if r := m.of(main); r != nil {
		v.Main, v.Status = r.generation, r.status
	}
	return v
}

func (m *Machine) state() State {
	r := m.of(main)
	switch {
	case len(m.runs) > 1 && m.wanted:
		return Replacing
	case r != nil && r.ending, r == nil && len(m.runs) > 0:
		return Stopping
	case r != nil && r.ready:
		return Running
	case r != nil:
		return Starting
	case !m.launchAt.IsZero():
		return Waiting
	}
	return m.end
}

// Idle tells whether nothing runs and nothing will, unless it is asked to.
func (m *Machine) Idle() bool { return len(m.runs) == 0 && m.launchAt.IsZero() }

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
