package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/notify"
	"github.com/penstock/penstock/internal/supervise/capture"
	"github.com/penstock/penstock/internal/supervise/lifecycle"
	"github.com/penstock/penstock/internal/supervise/process"
	"github.com/penstock/penstock/internal/supervise/socket"
)

// Options are what a [Manager] needs.
type Options struct {
	Config  Config
	Shim    []string // arguments, with the name in front, by which this program calls [process.Become] with those behind them
	Environ []string // of the programs
	Stdout  io.Writer
	Sender  *notify.Sender // of this process to its own manager; nil for none
	Now     func() time.Time
	Chance  func() float64 // from 0 to 1
}

// Manager runs programs. There is one in a process; see [process.Keeper].
type Manager struct {
	config    Config
	shim      []string
	environ   []string
	sender    *notify.Sender
	now       func() time.Time
	keeper    *process.Keeper
	lines     *capture.Log
	to        capture.Destination
	log       *slog.Logger
	runtime   string
	lock      *os.File
	sockets   map[string][]*socket.Socket // by program
	instances []*instance
	began     time.Time

	changes chan struct{} // an instance changed

	mu      sync.Mutex // guards stop
	stopAll context.CancelFunc
}

// New takes the runtime directory and the sockets. An error names what is taken,
// and leaves nothing behind.
func New(ctx context.Context, o Options) (_ *Manager, err error) {
	m := &Manager{
		config: o.Config, shim: o.Shim, environ: o.Environ, sender: o.Sender, now: o.Now, began: o.Now(),
		lines: capture.New(o.Config.Log.Level, o.Now), sockets: map[string][]*socket.Socket{},
		changes: make(chan struct{}, 1),
	}
	m.log = slog.New(m.lines.Handler(managerName))
	defer func() {
		if err != nil {
			m.release()
		}
	}()
	if m.runtime, m.lock, err = takeRuntime(o.Config.Runtime); err != nil {
		return nil, err
	}
	if m.keeper, err = process.NewKeeper(); err != nil {
		return nil, err
	}
	if m.to, err = o.Config.Log.destination(&o); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(o.Config.Programs)) {
		if err := m.add(ctx, name, o.Config.Programs[name], o.Chance); err != nil {
			return nil, penstock.Errorf(penstock.CodeOf(err), "programs.%s: %w", name, err)
		}
	}
	return m, nil
}

// add binds the sockets of a program and makes its instances.
func (m *Manager) add(ctx context.Context, name string, p Program, chance func() float64) error {
	if _, err := p.path(); err != nil {
		return err
	}
	for _, text := range p.Listen {
		spec, err := socket.Parse(text)
		if err != nil {
			return err
		}
		s, err := spec.Bind(ctx)
		if err != nil {
			return err
		}
		m.sockets[name] = append(m.sockets[name], s)
	}
	policy, err := p.policy()
	if err != nil {
		return err
	}
	for number := range p.instances() {
		i := &instance{
			manager: m, name: name, number: number + 1, program: p, sockets: m.sockets[name],
			machine: lifecycle.New(policy, chance), events: make(chan lifecycle.Event), done: make(chan struct{}), processes: map[lifecycle.Generation]*child{},
		}
		i.log = m.log.With("program", i.String())
		m.instances = append(m.instances, i)
	}
	return nil
}

// takeRuntime makes the runtime directory, for its owner alone, and takes it.
func takeRuntime(path string) (string, *os.File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(filepath.Join(path, "notify"), 0o700); err != nil {
		return "", nil, penstock.Errorf(penstock.Invalid, "runtime: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", nil, penstock.Errorf(penstock.Invalid, "runtime: %w", err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return "", nil, penstock.Errorf(penstock.Forbidden, "runtime: %s belongs to another user or can be written by one: name another directory", path)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", nil, penstock.Errorf(penstock.Invalid, "runtime: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return "", nil, penstock.Errorf(penstock.Conflict, "another manager has the runtime directory %s: name another one with --runtime", path)
	}
	return path, lock, nil
}

func (m *Manager) file(name ...string) string {
	return filepath.Join(append([]string{m.runtime}, name...)...)
}

// ControlSocket is the path of the control socket in a runtime directory.
func ControlSocket(runtime string) string { return filepath.Join(runtime, "control") }

// Runtime returns the directory that the manager has taken.
func (m *Manager) Runtime() string { return m.runtime }

// release gives back what New took.
func (m *Manager) release() {
	for _, list := range m.sockets {
		for _, s := range list {
			s.Close()
		}
	}
	if m.lock != nil {
		m.lock.Close()
	}
}

// measureEvery is how often memory is held against the ceilings.
const measureEvery = time.Second

// Run runs the programs until ctx ends, all were told to stop, or none is left to
// run, and returns when all processes have ended. The error names programs that
// were given up.
func (m *Manager) Run(ctx context.Context) error {
	keeping, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	running, stopAll := context.WithCancel(ctx)
	m.mu.Lock()
	m.stopAll = stopAll
	m.mu.Unlock()
	var keeper, writer, instances, helpers sync.WaitGroup
	keeper.Go(func() { m.keeper.Run(keeping) })
	var logged error
	writing, stopWriting := context.WithCancel(keeping)
	writer.Go(func() { logged = m.lines.Run(writing, m.to) })
	for _, i := range m.instances {
		instances.Go(func() { i.run(running) })
	}
	helpers.Go(func() { m.measure(running) })
	helpers.Go(func() { m.watch(running, stopAll) })
	m.log.Info("the manager runs", "programs", strings.Join(m.names(), ","), "runtime", m.runtime)
	instances.Wait()
	stopAll()
	helpers.Wait()
	err := m.keeper.Kill(keeping, "") // what took its mark out of its environment
	if err == nil {
		for _, i := range m.instances {
			i.work.Wait()
		}
	}
	m.log.Info("the manager has ended")
	stopWriting()
	writer.Wait()
	stopKeeping()
	keeper.Wait()
	m.release()
	return errors.Join(err, logged, m.givenUp())
}

// measure holds memory against the ceilings.
func (m *Manager) measure(ctx context.Context) {
	if !slices.ContainsFunc(m.instances, func(i *instance) bool { return i.program.Memory > 0 }) {
		return
	}
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		usage := m.keeper.Usage()
		for _, i := range m.instances {
			if i.program.Memory == 0 {
				continue
			}
			for g, c := range i.all() {
				i.send(lifecycle.Event{Kind: lifecycle.Measured, Of: g, Resident: usage[c.mark].Resident})
			}
		}
	}
}

func (i *instance) all() map[lifecycle.Generation]*child {
	i.mu.Lock()
	defer i.mu.Unlock()
	return maps.Clone(i.processes)
}

// changed says that an instance has changed.
func (m *Manager) changed() {
	select {
	case m.changes <- struct{}{}:
	default:
	}
}

// watch tells this process's own manager when all is ready, and ends all when
// nothing is left that runs or could be asked to.
func (m *Manager) watch(ctx context.Context, stopAll context.CancelFunc) {
	told := false
	for {
		select {
		case <-m.changes:
		case <-ctx.Done():
			m.tell(m.sender.Stopping("stops its programs"))
			return
		}
		ready, over := true, true
		for _, i := range m.instances {
			v, idle := i.state()
			ready = ready && (v.State == lifecycle.Running || v.State == lifecycle.Finished)
			over = over && idle && v.State != lifecycle.Stopped
		}
		if ready && !told {
			told = true
			m.tell(m.sender.Ready("runs " + strings.Join(m.names(), ", ")))
		}
		if over {
			stopAll()
		}
	}
}

func (m *Manager) tell(err error) {
	if err != nil {
		m.log.Warn("this process's own manager could not be told", "error", err)
	}
}

func (i *instance) state() (v lifecycle.View, idle bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.view, i.idle
}

func (m *Manager) names() []string { return slices.Sorted(maps.Keys(m.config.Programs)) }

// givenUp returns an error that names the instances that were given up.
func (m *Manager) givenUp() error {
	var failed []string
	for _, i := range m.instances {
		if v, _ := i.state(); v.State == lifecycle.Failed {
			failed = append(failed, fmt.Sprintf("%s (%s)", i, v.LastEnd))
		}
	}
	if failed == nil {
		return nil
	}
	return penstock.Errorf(penstock.Internal, "given up: %s", strings.Join(failed, ", "))
}
