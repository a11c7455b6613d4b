package notify_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/notify"
)

// pair returns both ends of a conversation, joined through the environment as a
// manager joins them.
func pair(t *testing.T, environ ...string) (*notify.Sender, *notify.Receiver) {
	t.Helper()
	r, err := notify.Listen(filepath.Join(t.TempDir(), "n"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	t.Setenv("NOTIFY_SOCKET", r.Path())
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	s, err := notify.FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

func TestWhatIsSentIsReceived(t *testing.T) {
	s, r := pair(t, "WATCHDOG_USEC=3000000", "WATCHDOG_PID="+strconv.Itoa(os.Getpid()), "TAKE_OVER_USEC=2000000")
	if s.Watchdog() != 3*time.Second || s.TakeOver() != 2*time.Second {
		t.Errorf("watchdog %s, take-over %s", s.Watchdog(), s.TakeOver())
	}
	for _, test := range []struct {
		send func() error
		want notify.Message
	}{
		{func() error { return s.Ready("answers\nat 8080") }, notify.Message{Ready: true, Status: "answers at 8080"}},
		{s.Alive, notify.Message{Alive: true}},
		{func() error { return s.Status("idle") }, notify.Message{Status: "idle"}},
		{s.Reloading, notify.Message{Reloading: true}},
		{func() error { return s.Stopping("drains") }, notify.Message{Stopping: true, Status: "drains"}},
		{func() error { return s.Extend(time.Second, "replays") }, notify.Message{Extend: time.Second, Status: "replays"}},
		{s.AwaitPredecessor, notify.Message{TakeOver: true, Status: "waits for its predecessor to end"}},
		{func() error { return s.Send("WATCHDOG=trigger", "X_OTHER=1", "ERRNO=5", "WATCHDOG_USEC=7") },
			notify.Message{Hung: true, Errno: 5, Watchdog: 7 * time.Microsecond}},
	} {
		if err := test.send(); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Receive(); err != nil || got != test.want {
			t.Errorf("got %+v, %v; want %+v", got, err, test.want)
		}
	}
	if os.Getenv("NOTIFY_SOCKET") != "" || os.Getenv("WATCHDOG_USEC") != "" {
		t.Error("a child would inherit the socket")
	}
}

func TestNobodyToTell(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	s, err := notify.FromEnvironment()
	if err != nil || s.Ready("") != nil || s.Watchdog() != 0 || (*notify.Sender)(nil).Alive() != nil {
		t.Errorf("%v", err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	if s, err = notify.FromEnvironment(); err != nil || s.Alive() == nil {
		t.Error("a manager that is gone is no error")
	}
}

func TestVariablesThatAreWrong(t *testing.T) {
	for name, value := range map[string]string{"NOTIFY_SOCKET": "vsock:2:1234", "WATCHDOG_USEC": "soon", "TAKE_OVER_USEC": "-1"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NOTIFY_SOCKET", "@x")
			t.Setenv(name, value)
			if _, err := notify.FromEnvironment(); penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Setenv("NOTIFY_SOCKET", "@x")
	t.Setenv("WATCHDOG_USEC", "1000")
	t.Setenv("WATCHDOG_PID", "1")
	if s, err := notify.FromEnvironment(); err != nil || s.Watchdog() != 0 {
		t.Errorf("the watchdog of another process is taken: %v", err)
	}
}

// A barrier is a descriptor that the sender waits to see closed.
func TestABarrierIsAnswered(t *testing.T) {
	_, r := pair(t)
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	to, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(to)
	if err := unix.Sendmsg(to, []byte("BARRIER=1"), unix.UnixRights(ends[1]), &unix.SockaddrUnix{Name: r.Path()}, 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(ends[1])
	if _, err := r.Receive(); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Read(ends[0], make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("the barrier stays open: %d, %v", n, err)
	}
	unix.Close(ends[0])
}

func TestDatagramsThatAreWrong(t *testing.T) {
	_, r := pair(t)
	for _, text := range []string{"READY", "WATCHDOG_USEC=x", "EXTEND_TIMEOUT_USEC=99999999999999999999", "ERRNO=?"} {
		if _, err := notify.Parse([]byte(text)); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := notify.Parse(make([]byte, 1<<20)); penstock.CodeOf(err) != penstock.TooLarge {
		t.Errorf("a mebibyte: %v", err)
	}
	r.Close()
	if _, err := r.Receive(); penstock.CodeOf(err) != penstock.Closed {
		t.Errorf("after the end: %v", err)
	}
	if _, err := os.Stat(r.Path()); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("READY=1\nSTATUS=ok\nWATCHDOG_USEC=1"))
	f.Add([]byte("STATUS=\xff\x00\x1b[2J"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := notify.Parse(data)
		if err == nil && (m.Watchdog < 0 || m.Extend < 0 || len(m.Status) > 4*512 || strings.ContainsAny(m.Status, "\x1b\x00\n")) {
			t.Errorf("%q gives %+v", data, m)
		}
	})
}
