package process

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/penstock/penstock"
)

// Become makes this process the program of args[0], the path of its file, with
// LISTEN_PID set to its own number, which nobody can know before it is started. It
// returns only when that fails.
func Become(args []string) error {
	if len(args) == 0 {
		return penstock.Errorf(penstock.Invalid, "names no program to become")
	}
	if err := os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid())); err != nil {
		return err
	}
	return fmt.Errorf("start %s: %w", args[0], syscall.Exec(args[0], args, os.Environ()))
}
