package notify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock"
)

// Sender tells the process manager how the program is. The zero Sender, and nil,
// have nobody to tell: their methods do nothing. It is safe for concurrent use.
type Sender struct {
	address  string
	watchdog time.Duration
	takeOver time.Duration
}

// FromEnvironment returns the sender to the manager that the environment names,
// and takes the variables out of it, so that no child answers in the program's
// place. An error of code [penstock.Invalid] names the variable that is wrong.
func FromEnvironment() (*Sender, error) {
	names := []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "TAKE_OVER_USEC"}
	got := map[string]string{}
	for _, name := range names {
		got[name] = os.Getenv(name)
		os.Unsetenv(name)
	}
	s := &Sender{address: got["NOTIFY_SOCKET"]}
	if s.address == "" {
		return s, nil
	}
	if s.address[0] != '/' && s.address[0] != '@' {
		return nil, penstock.Errorf(penstock.Invalid, "NOTIFY_SOCKET is %q, neither a path nor an abstract name", s.address)
	}
	var err error
	pid := got["WATCHDOG_PID"]
	if text := got["WATCHDOG_USEC"]; text != "" && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		if s.watchdog, err = microseconds("WATCHDOG_USEC", text); err != nil {
			return nil, err
		}
	}
	if text := got["TAKE_OVER_USEC"]; text != "" {
		s.takeOver, err = microseconds("TAKE_OVER_USEC", text)
	}
	return s, err
}

// Watchdog returns within which time [Sender.Alive] is expected again and again,
// 0 for never. Half of it is a good interval.
func (s *Sender) Watchdog() time.Duration {
	if s == nil {
		return 0
	}
	return s.watchdog
}

// TakeOver returns how long a predecessor may take to end, 0 when there is none.
func (s *Sender) TakeOver() time.Duration {
	if s == nil {
		return 0
	}
	return s.takeOver
}

// Heard tells whether there is anybody to tell.
func (s *Sender) Heard() bool { return s != nil && s.address != "" }

// Ready says that the program answers.
func (s *Sender) Ready(status string) error { return s.Send("READY=1", "STATUS="+status) }

// Alive feeds the watchdog.
func (s *Sender) Alive() error { return s.Send("WATCHDOG=1") }

// Status says in a sentence what the program does.
func (s *Sender) Status(text string) error { return s.Send("STATUS=" + text) }

// Stopping says that the end has begun.
func (s *Sender) Stopping(status string) error { return s.Send("STOPPING=1", "STATUS="+status) }

// Reloading says that the configuration is being read again, until Ready is
// called.
func (s *Sender) Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("read the monotonic clock: %w", err)
	}
	return s.Send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
}

// Extend asks for more time to start or to end, from now.
func (s *Sender) Extend(by time.Duration, status string) error {
	return s.Send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", by.Microseconds()), "STATUS="+status)
}

// AwaitPredecessor says that the program goes on when its predecessor has ended.
func (s *Sender) AwaitPredecessor() error {
	return s.Send("X_TAKE_OVER=1", "STATUS=waits for its predecessor to end")
}

// Send sends lines of NAME=value. It never blocks: a manager that does not listen
// must not stop the program.
func (s *Sender) Send(lines ...string) error {
	if !s.Heard() {
		return nil
	}
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(line, "\n", " ")
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the process manager: %w", err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return fmt.Errorf("tell the process manager: %w", err)
	}
	if _, err := conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("tell the process manager: %w", err)
	}
	return nil
}

// sendTimeout is how long a full socket of the manager is waited for.
const sendTimeout = 100 * time.Millisecond
