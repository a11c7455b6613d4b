package ports

import (
	"context"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/penstock/penstock"
)

// pollEvery is how often a port is looked at again.
const pollEvery = 100 * time.Millisecond

// AwaitFree waits until nobody holds the address or ctx ends, whose error it
// returns then.
func (m Machine) AwaitFree(ctx context.Context, network, address string) error {
	return poll(ctx, func() bool {
		holders, err := m.Holders(network, address)
		return err == nil && len(holders) == 0
	})
}

// End asks the holder to stop, and after patience ends it. It touches no other
// process: one that has got the same number meanwhile, the first process of the
// machine and this one are refused with code [penstock.Forbidden].
func (m Machine) End(ctx context.Context, h Holder, patience time.Duration) error {
	switch h.PID {
	case 0:
		return penstock.Errorf(penstock.Forbidden, "%s cannot be stopped from here: run the command as root", h)
	case 1:
		return penstock.Errorf(penstock.Forbidden, "the port is held by the first process of the machine, which is not stopped: if that is systemd, a socket unit has the port (systemctl list-sockets shows it)")
	case os.Getpid():
		return penstock.Errorf(penstock.Forbidden, "the port is held by this process itself")
	}
	// From here on the process is known by a descriptor, so that a later one with
	// its number cannot be meant.
	process, err := os.FindProcess(h.PID)
	if err != nil {
		return nil // it has ended
	}
	defer process.Release()
	if now := m.process(h.PID, nil).started; now != h.started {
		return nil
	}
	if err := signal(process, syscall.SIGTERM); err != nil {
		return penstock.Errorf(penstock.Forbidden, "%s cannot be stopped: %w", h, err)
	}
	gone := func() bool {
		return errors.Is(process.Signal(syscall.Signal(0)), os.ErrProcessDone) || m.isZombie(h.PID)
	}
	gentle, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if poll(gentle, gone) == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := signal(process, syscall.SIGKILL); err != nil {
		return penstock.Errorf(penstock.Forbidden, "%s cannot be ended: %w", h, err)
	}
	return poll(ctx, gone)
}

func signal(process *os.Process, s syscall.Signal) error {
	if err := process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// isZombie tells whether the process has ended and only its parent has not
// looked: it holds nothing any more.
func (m Machine) isZombie(pid int) bool {
	fields := statFields(m.path("proc", strconv.Itoa(pid), "stat"))
	return len(fields) > 0 && fields[0] == "Z"
}

func poll(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
