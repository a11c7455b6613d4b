package supervise

import (
	"context"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/supervise/capture"
	"github.com/penstock/penstock/internal/supervise/lifecycle"
)

// Status is how a manager and its programs stand.
type Status struct {
	PID      int             `json:"pid"`
	Since    time.Time       `json:"since"`
	Orphans  int             `json:"orphans_reaped"` // that programs left behind
	LogLost  int             `json:"log_lost"`       // lines that the log's destination is missing
	LogError string          `json:"log_error,omitempty"`
	Programs []ProgramStatus `json:"programs"`
}

// ProgramStatus is how a program stands.
type ProgramStatus struct {
	Name      string           `json:"name"`
	Sockets   []SocketStatus   `json:"sockets,omitempty"`
	Instances []InstanceStatus `json:"instances"`
}

// SocketStatus is a socket that a program inherits.
type SocketStatus struct {
	Name    string `json:"name,omitempty"`
	Network string `json:"network"`
	Address string `json:"address"`
}

// InstanceStatus is how one instance of a program stands.
type InstanceStatus struct {
	Number     int             `json:"number"`
	State      lifecycle.State `json:"state"`
	Since      time.Time       `json:"since,omitzero"`
	PID        int             `json:"pid,omitempty"`
	Generation uint64          `json:"generation,omitempty"`
	Restarts   int             `json:"restarts"` // after ends that nobody asked for
	Processes  int             `json:"processes"`
	Resident   int64           `json:"resident_bytes"`
	Status     string          `json:"status,omitempty"`
	LastEnd    string          `json:"last_end,omitempty"`
	NextStart  time.Time       `json:"next_start,omitzero"`
}

// Status returns how everything stands.
func (m *Manager) Status() Status {
	s := Status{PID: os.Getpid(), Since: m.began.UTC(), Orphans: m.keeper.Orphans()}
	lost, trouble := m.lines.Trouble()
	s.LogLost = lost
	if trouble != nil {
		s.LogError = trouble.Error()
	}
	usage := m.keeper.Usage()
	for _, name := range m.names() {
		p := ProgramStatus{Name: name}
		for _, i := range m.of(name, 0) {
			if p.Sockets == nil {
				for _, socket := range i.definition().sockets {
					p.Sockets = append(p.Sockets, SocketStatus{socket.Name, socket.Network, socket.Bound})
				}
			}
			v, _ := i.state()
			one := InstanceStatus{
				Number: i.number, State: v.State, Since: v.Since.UTC(), Generation: uint64(v.Main), Restarts: v.Restarts,
				Status: v.Status, LastEnd: v.LastEnd, NextStart: v.NextStart.UTC(),
			}
			if v.Since.IsZero() {
				one.Since = time.Time{}
			}
			for g, c := range i.all() {
				if g == v.Main {
					one.PID = c.pid
				}
				one.Processes += usage[c.mark].Processes
				one.Resident += usage[c.mark].Resident
			}
			p.Instances = append(p.Instances, one)
		}
		s.Programs = append(s.Programs, p)
	}
	return s
}

// of returns the instances of a program, or of all when the name is empty; number
// 0 is all of them. They are in the order of their names.
func (m *Manager) of(name string, number int) []*instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.instances), func(i *instance) bool {
		return name != "" && name != i.name || number != 0 && number != i.number
	})
}

func (m *Manager) named(name string, number int) ([]*instance, error) {
	found := m.of(name, number)
	if len(found) == 0 {
		return nil, penstock.Errorf(penstock.NotFound, "there is no %s/%d: the programs are %v", name, number, m.names())
	}
	return found, nil
}

// Restart replaces instances one after the other, each when the one before it
// serves, and tells of each. With an empty name it replaces those of all
// programs, with number 0 all of a program. It ends at the first that fails: that
// one and the rest go on as they were.
func (m *Manager) Restart(ctx context.Context, name string, number int, tell func(instance string, took time.Duration)) error {
	list, err := m.named(name, number)
	if err != nil {
		return err
	}
	for _, i := range list {
		began := m.o.Now()
		if err := i.replace(ctx, nil); err != nil {
			return err
		}
		tell(i.String(), m.o.Now().Sub(began))
	}
	return nil
}

// Stop stops a program and returns at once. With an empty name it stops all of
// them, and the manager ends.
func (m *Manager) Stop(name string) error {
	if name == "" {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.running != nil {
			m.running.stop()
		}
		return nil
	}
	list, err := m.named(name, 0)
	if err != nil {
		return err
	}
	for _, i := range list {
		i.send(lifecycle.Event{Kind: lifecycle.Stop})
	}
	return nil
}

// Forward sends a signal to the main process of every instance.
func (m *Manager) Forward(s syscall.Signal) {
	for _, i := range m.of("", 0) {
		v, _ := i.state()
		if c := i.child(v.Main); c != nil {
			m.tell(m.keeper.Signal(c.pid, s))
		}
	}
}

// Kill ends all processes at once.
func (m *Manager) Kill(ctx context.Context) error { return m.keeper.Kill(ctx, "") }

// Logs shows the last n lines of a program, or of everything when the name is
// empty, and when follow is true those that come until ctx ends.
func (m *Manager) Logs(ctx context.Context, name string, n int, follow bool, show func(*capture.Line) error) error {
	if name != "" && name != managerName {
		if _, err := m.named(name, 0); err != nil {
			return err
		}
	}
	return m.lines.Show(ctx, n, follow, func(l *capture.Line) bool { return name == "" || l.Program == name }, show)
}
