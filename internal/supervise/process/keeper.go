package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock"
)

// Spec is what is to be started.
type Spec struct {
	Path    string   // of the program's file
	Args    []string // with the name in front
	Environ []string // NAME=value
	Dir     string   // empty for that of this process
	Files   []int    // descriptors from 0 on
	Mark    string   // which no other tree has; it goes into the environment as [MarkName]
}

// Exit is how a process ended.
type Exit struct {
	Code   int            // of exit; -1 when a signal ended it
	Signal syscall.Signal // that ended it; 0 for none
	Core   bool           // it left a core
}

// String says it in words.
func (e Exit) String() string {
	switch {
	case e.Signal != 0 && e.Core:
		return fmt.Sprintf("killed by %s, with a core", unix.SignalName(e.Signal))
	case e.Signal != 0:
		return "killed by " + unix.SignalName(e.Signal)
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// Keeper owns the processes that it started. Its methods are safe for concurrent
// use.
type Keeper struct {
	starts chan start
	done   chan struct{} // closed when Run has ended

	mu      sync.Mutex // guards what is below, and orders starts against reaping
	started map[int]child
	orphans int
}

type child struct {
	mark  string
	ended func(Exit)
}

type start struct {
	spec   Spec
	ended  func(Exit)
	result chan started
}

type started struct {
	pid int
	err error
}

// NewKeeper makes this process the one that orphans of its descendants come to.
func NewKeeper() (*Keeper, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, penstock.Errorf(penstock.Unsupported, "become the reaper of orphans: %w", err)
	}
	return &Keeper{starts: make(chan start), done: make(chan struct{}), started: map[int]child{}}, nil
}

// deathSignal is what the kernel sends a process when this one dies.
const deathSignal = unix.SIGTERM

// reapEvery is how often the keeper looks for ended processes although no signal
// came: signals of one kind melt into one.
const reapEvery = 5 * time.Second

// Run starts and reaps until ctx ends. What runs then goes on; see [Keeper.Kill].
func (k *Keeper) Run(ctx context.Context) {
	// A child is sent a signal when the thread that started it ends: this one stays.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(k.done)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	defer signal.Stop(ended)
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	for {
		k.reap()
		select {
		case s := <-k.starts:
			pid, err := k.fork(s.spec, s.ended)
			s.result <- started{pid, err}
		case <-ended:
		case <-tick.C:
		case <-ctx.Done():
			k.reap()
			return
		}
	}
}

// Start starts a process in a session of its own. ended is called once, by the
// goroutine of Run, and must not block. The kernel sends the process SIGTERM
// should this one die.
func (k *Keeper) Start(ctx context.Context, spec Spec, ended func(Exit)) (pid int, err error) {
	s := start{spec, ended, make(chan started, 1)}
	select {
	case k.starts <- s:
		r := <-s.result
		return r.pid, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-k.done:
		return 0, penstock.Errorf(penstock.Closed, "processes are not started any more")
	}
}

func (k *Keeper) fork(spec Spec, ended func(Exit)) (int, error) {
	files := make([]uintptr, len(spec.Files))
	for i, fd := range spec.Files {
		files[i] = uintptr(fd)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	pid, err := syscall.ForkExec(spec.Path, spec.Args, &syscall.ProcAttr{
		Dir: spec.Dir, Env: append(slices.Clip(spec.Environ), MarkName+"="+spec.Mark), Files: files,
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: deathSignal},
	})
	if err != nil {
		return 0, penstock.Errorf(penstock.Invalid, "start %s: %w", spec.Path, err)
	}
	k.started[pid] = child{spec.Mark, ended}
	return pid, nil
}

// reap takes the status of every process that has ended.
func (k *Keeper) reap() {
	for {
		var status unix.WaitStatus
		k.mu.Lock()
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			k.mu.Unlock()
			continue
		}
		if err != nil || pid <= 0 {
			k.mu.Unlock()
			return
		}
		c, ours := k.started[pid]
		delete(k.started, pid)
		if !ours {
			k.orphans++
		}
		k.mu.Unlock()
		if ours {
			c.ended(exitOf(status))
		}
	}
}

func exitOf(status unix.WaitStatus) Exit {
	if status.Signaled() {
		return Exit{Code: -1, Signal: status.Signal(), Core: status.CoreDump()}
	}
	return Exit{Code: status.ExitStatus()}
}

// Orphans returns how many processes were reaped that others had left behind.
func (k *Keeper) Orphans() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.orphans
}

// Signal sends a signal to a process that was started and has not ended.
func (k *Keeper) Signal(pid int, s syscall.Signal) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, runs := k.started[pid]; !runs {
		return nil // it has ended, and the number may be another's by now
	}
	if err := unix.Kill(pid, s); err != nil {
		return fmt.Errorf("send %s to process %d: %w", unix.SignalName(s), pid, err)
	}
	return nil
}

// marks returns the mark of each process that was started and has not ended.
func (k *Keeper) marks() map[int]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := make(map[int]string, len(k.started))
	for pid, c := range k.started {
		m[pid] = c.mark
	}
	return m
}

// The rounds of [Keeper.Kill]: a tree that forks faster than it is killed is
// given up for the next call.
const (
	killRounds = 50
	killPause  = 10 * time.Millisecond
)

// Kill ends the tree with the mark at once, or with an empty mark all processes
// below this one: those that were started and all that descends from them, in
// sessions of their own too. It returns when they are gone, or with an error that
// says how many are not.
func (k *Keeper) Kill(ctx context.Context, mark string) error {
	for round := range killRounds {
		left := k.members(mark)
		if len(left) == 0 {
			return nil
		}
		for _, pid := range left {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("kill process %d: %w", pid, err)
			}
		}
		pause := time.NewTimer(min(time.Duration(round+1), 20) * killPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
	return penstock.Errorf(penstock.Unavailable, "%d processes do not end although they were killed: they wait for a device or a file system", len(k.members(mark)))
}

// members returns the processes with the mark, without those that only wait to
// be reaped.
func (k *Keeper) members(mark string) []int {
	var pids []int
	walk(k.marks(), func(of string, e entry) {
		if mark == "" || mark == of {
			pids = append(pids, e.pid)
		}
	})
	return pids
}
