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
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/notify"
	"github.com/penstock/penstock/internal/supervise/capture"
	"github.com/penstock/penstock/internal/supervise/lifecycle"
	"github.com/penstock/penstock/internal/supervise/process"
	"github.com/penstock/penstock/internal/supervise/socket"
)

// Options are what a [Manager] needs.
type Options struct {
	Config  Config
	Read    Reader   // the configuration once more, for [Manager.Reload]; nil when there is no file
	Shim    []string // arguments, with the name in front, by which this program calls [process.Become] with those behind them
	Environ []string // of the programs
	Stdout  io.Writer
	Sender  *notify.Sender // of this process to its own manager; nil for none
	Now     func() time.Time
	Chance  func() float64 // from 0 to 1
}

// Reader reads the configuration, and tells where each key stands.
type Reader func() (Config, *config.Loaded, error)

// Manager runs programs. There is one in a process; see [process.Keeper].
type Manager struct {
	o       Options // of the start
	keeper  *process.Keeper
	lines   *capture.Log
	to      capture.Destination
	log     *slog.Logger
	runtime string
	lock    *os.File
	began   time.Time
	work    sync.WaitGroup // hears and waits for the processes

	changes chan struct{} // an instance changed

	reloading sync.Mutex                // held by whoever changes what is run, and guards sockets
	sockets   map[string]*socket.Socket // by place, see plan

	mu        sync.Mutex // guards what is below
	instances []*instance
	running   *crew // nil before Run
	changing  bool  // a reload is under way
}

// New takes the runtime directory and the sockets. An error names what is taken,
// and leaves nothing behind.
func New(ctx context.Context, o Options) (_ *Manager, err error) {
	m := &Manager{
		o: o, began: o.Now(), lines: capture.New(o.Config.Log.Level, o.Now), changes: make(chan struct{}, 1),
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
	p, err := newPlan(ctx, &o.Config, nil, nil)
	if err != nil {
		return nil, err
	}
	m.sockets = p.sockets
	for _, name := range slices.Sorted(maps.Keys(p.programs)) {
		d := p.programs[name]
		for number := range d.program.instances() {
			m.instances = append(m.instances, m.newInstance(name, number+1, d))
		}
	}
	return m, nil
}

func (m *Manager) newInstance(name string, number int, d *definition) *instance {
	i := &instance{
		manager: m, name: name, number: number, how: d, machine: lifecycle.New(d.policy, m.o.Chance),
		events: make(chan lifecycle.Event), done: make(chan struct{}), processes: map[lifecycle.Generation]*child{},
	}
	i.log = m.log.With("program", i.String())
	return i
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
	m.reloading.Lock()
	defer m.reloading.Unlock()
	for _, s := range m.sockets {
		s.Close()
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
	var keeper, writer, helpers sync.WaitGroup
	keeper.Go(func() { m.keeper.Run(keeping) })
	var logged error
	writing, stopWriting := context.WithCancel(keeping)
	writer.Go(func() { logged = m.lines.Run(writing, m.to) })
	everybody := m.man(running, stopAll)
	helpers.Go(func() { m.measure(running) })
	helpers.Go(func() { m.watch(running, stopAll) })
	m.log.Info("the manager runs", "programs", strings.Join(m.names(), ","), "runtime", m.runtime)
	everybody.work.Wait()
	stopAll()
	helpers.Wait()
	err := m.keeper.Kill(keeping, "") // what took its mark out of its environment
	if err == nil {
		m.work.Wait()
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
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		limited := slices.DeleteFunc(m.of("", 0), func(i *instance) bool { return i.definition().program.Memory == 0 })
		if len(limited) == 0 {
			continue
		}
		usage := m.keeper.Usage()
		for _, i := range limited {
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
			m.tell(m.o.Sender.Stopping("stops its programs"))
			return
		}
		m.mu.Lock()
		ready, over := true, !m.changing
		m.mu.Unlock()
		for _, i := range m.of("", 0) {
			v, idle := i.state()
			ready = ready && (v.State == lifecycle.Running || v.State == lifecycle.Finished)
			over = over && idle && v.State != lifecycle.Stopped
		}
		if ready && !told {
			told = true
			m.tell(m.o.Sender.Ready("runs " + strings.Join(m.names(), ", ")))
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

// names returns the programs that are run.
func (m *Manager) names() []string {
	var names []string
	for _, i := range m.of("", 0) {
		names = append(names, i.name)
	}
	return slices.Compact(names)
}

// givenUp returns an error that names the instances that were given up.
func (m *Manager) givenUp() error {
	var failed []string
	for _, i := range m.of("", 0) {
		if v, _ := i.state(); v.State == lifecycle.Failed {
			failed = append(failed, fmt.Sprintf("%s (%s)", i, v.LastEnd))
		}
	}
	if failed == nil {
		return nil
	}
	return penstock.Errorf(penstock.Internal, "given up: %s", strings.Join(failed, ", "))
}
