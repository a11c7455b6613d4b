package lifecycle

import (
	"syscall"
	"time"
)

// Restart says after which ends a program is started again.
type Restart string

// The rules of restarting.
const (
	Always    Restart = "always"
	OnFailure Restart = "on-failure" // not after exit status 0
	Never     Restart = "never"
)

// Policy is how an instance is treated.
type Policy struct {
	Restart      Restart
	NotifyReady  bool           // it says when it is ready; otherwise it is after Settle at the latest
	Settle       time.Duration  // how long a process that says nothing must have run
	Overlap      bool           // a successor may start beside the process that it replaces
	StartTimeout time.Duration  // until it is ready
	StopTimeout  time.Duration  // from StopSignal until it is killed
	StopSignal   syscall.Signal // asks it to end
	Watchdog     time.Duration  // longest silence of a ready process; 0 for any
	Memory       int64          // bytes that its tree may hold; 0 for any number
	Delay        time.Duration  // before the second start in a row, doubled each time
	MaxDelay     time.Duration
	Stable       time.Duration // a process that ran so long forgives what was before
	Failures     int           // more than so many ends within Within are given up
	Within       time.Duration
}

// abortGrace is how long a hung process may take to write down where it hangs.
const abortGrace = 5 * time.Second

// delay returns how long to wait after so many failures in a row. The first is
// mended at once. chance, from 0 to 1, spreads the starts of many.
func (p *Policy) delay(failures int, chance float64) time.Duration {
	if failures <= 1 {
		return 0
	}
	d := p.MaxDelay
	if shift := failures - 2; shift < 30 && p.Delay<<shift < p.MaxDelay {
		d = p.Delay << shift
	}
	return d*9/10 + time.Duration(float64(d)*chance/5)
}
