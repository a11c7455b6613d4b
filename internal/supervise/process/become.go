package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock"
)

// Become makes this process the program of args[0], the path of its file, with
// LISTEN_PID set to its own number, which nobody can know before it is started. It
// returns only when that fails.
func Become(args []string) error {
	if len(args) == 0 {
		return penstock.Errorf(penstock.Invalid, "names no program to become")
	}
	// That the kernel tells of the manager's death is a property of a thread, and the
	// one that becomes the program need not be the one that was started with it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	manager := os.Getppid()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(deathSignal), 0, 0, 0); err != nil {
		return fmt.Errorf("ask to be told of the manager's death: %w", err)
	}
	if os.Getppid() != manager {
		return errors.New("the manager has ended")
	}
	if err := os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid())); err != nil {
		return err
	}
	return fmt.Errorf("start %s: %w", args[0], syscall.Exec(args[0], args, os.Environ()))
}
