package doctor

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/internal/ports"
)

// Machine is what the checks ask of the machine. Tests put another one in its
// place.
type Machine struct {
	Root     string // below it are proc, sys, etc and run
	Now      func() time.Time
	EUID     int // of this process
	CPUs     int // that this process may use at once
	Clock    func() (Clock, error)
	Space    func(dir string) (Space, error)
	Files    func() (limit uint64, err error) // most open files of this process
	Owner    func(path string) (Owner, error)
	Features []Feature
	Resolve  func(ctx context.Context, host string) ([]string, error)
	Disk     func(ctx context.Context, dir string) (Disk, error)
}

// Clock is what the kernel says of its clock.
type Clock struct {
	Synchronised bool
	Error        time.Duration // the most by which it may be off
}

// Space is the room of a file system.
type Space struct {
	Type             int64 // magic number
	Total, Available uint64
	Inodes           uint64 // free ones
	InodesKnown      bool   // some file systems do not count them
}

// Owner is to whom a file belongs.
type Owner struct {
	UID  int
	Mode os.FileMode
}

// Feature is a call that the gateway needs.
type Feature struct {
	Name string
	Try  func(dir string) error // with a directory to write in
}

// Disk is what was measured in a directory.
type Disk struct {
	Median, Worst time.Duration // of a write of 4 KiB and a sync; worst is the 99th percentile
	Throughput    float64       // bytes a second, synced
}

// ThisMachine returns the machine that the program runs on.
func ThisMachine(now func() time.Time) Machine {
	return Machine{
		Root: "/", Now: now, EUID: os.Geteuid(), CPUs: runtime.GOMAXPROCS(0),
		Clock: readClock, Space: readSpace, Files: openFileLimit, Owner: ownerOf, Features: features,
		Resolve: net.DefaultResolver.LookupHost,
		Disk:    func(ctx context.Context, dir string) (Disk, error) { return measureDisk(ctx, dir, now) },
	}
}

// read returns what stands in a file of the machine, without the space around it.
func (m Machine) read(name ...string) (string, error) {
	text, err := os.ReadFile(m.path(name...))
	return strings.TrimSpace(string(text)), err
}

func (m Machine) path(name ...string) string {
	return filepath.Join(append([]string{m.Root}, name...)...)
}

func (m Machine) exists(name ...string) bool {
	_, err := os.Stat(m.path(name...))
	return err == nil
}

func (m Machine) ports() ports.Machine { return ports.Machine{Root: m.Root} }

func readClock() (Clock, error) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return Clock{}, err
	}
	return Clock{Synchronised: t.Status&unix.STA_UNSYNC == 0, Error: time.Duration(t.Maxerror) * time.Microsecond}, nil
}

func readSpace(dir string) (Space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return Space{}, err
	}
	size := uint64(s.Bsize)
	return Space{Type: int64(s.Type), Total: s.Blocks * size, Available: s.Bavail * size, Inodes: s.Ffree, InodesKnown: s.Files > 0}, nil
}

func openFileLimit() (uint64, error) {
	var l unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
	return l.Max, err // the runtime raises the soft limit to the hard one
}

func ownerOf(path string) (Owner, error) {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return Owner{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return Owner{UID: int(s.Uid), Mode: os.FileMode(s.Mode & 0o7777)}, nil
}

// features are the calls that the gateway needs.
var features = []Feature{
	{"pidfd_open", func(string) error {
		fd, err := unix.PidfdOpen(os.Getpid(), 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}},
	{"getrandom", func(string) error {
		_, err := unix.Getrandom(make([]byte, 1), unix.GRND_NONBLOCK)
		return err
	}},
	{"flock", inScratch(func(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })},
	{"fallocate", inScratch(func(f *os.File) error { return unix.Fallocate(int(f.Fd()), 0, 0, 4096) })},
	{"fdatasync", inScratch(func(f *os.File) error { return unix.Fdatasync(int(f.Fd())) })},
}

// inScratch tries something on a file that goes away at once.
func inScratch(try func(*os.File) error) func(string) error {
	return func(dir string) error {
		f, err := os.CreateTemp(dir, ".doctor-*")
		if err != nil {
			return err
		}
		defer f.Close()
		defer os.Remove(f.Name())
		return try(f)
	}
}
