package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/penstock/penstock"
)

// A gateway is a child process that is started again whenever it was killed.
type gateway struct {
	program   []string
	directory string
	socket    *os.File // the listening socket, which outlives every child
	address   string
	killEvery time.Duration
	more      []string // arguments of serve
	pid       atomic.Int64

	restarts atomic.Int64
	peace    atomic.Bool // no more kills
	output   tail
}

// listen binds the API's socket. Without an address it prefers the port that
// the documentation names.
func listen(address string) (*os.File, string, error) {
	const preferred = "127.0.0.1:8080"
	wanted := address
	if wanted == "" {
		wanted = preferred
	}
	l, err := net.Listen("tcp", wanted)
	if err != nil && address == "" {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, "", penstock.Errorf(penstock.Unavailable, "listen on %s: %w; choose another address with --listen", wanted, err)
	}
	defer l.Close() // the duplicate below keeps the socket
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		return nil, "", penstock.Errorf(penstock.Internal, "duplicate the listening socket: %w", err)
	}
	return socket, l.Addr().String(), nil
}

// run keeps a child alive until ctx ends, then ends it in peace. It returns an
// error when a child ended that nobody had killed.
func (g *gateway) run(ctx context.Context) error {
	// The kernel kills a child whose parent thread ends: this thread stays.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		child, err := g.start()
		if err != nil {
			return err
		}
		killed, err := g.watch(ctx, child)
		if !killed {
			return err
		}
		g.restarts.Add(1)
	}
}

// command returns the child's command. A shell sets LISTEN_PID to the process
// id that it passes on, which nobody knows before the fork.
func (g *gateway) command() *exec.Cmd {
	arguments := append([]string{"-c", `LISTEN_PID=$$; export LISTEN_PID; exec "$0" "$@"`}, g.program...)
	arguments = append(arguments, "serve", "--data", g.directory, "--allow-root",
		"--set", "listen.https="+g.address, "--set", "listen.health=127.0.0.1:0")
	arguments = append(arguments, g.more...)
	c := exec.Command("/bin/sh", arguments...)
	c.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=https")
	c.ExtraFiles = []*os.File{g.socket}
	c.Stdout = &g.output
	c.Stderr = &g.output
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // Ctrl-C is for the parent
	return c
}

func (g *gateway) start() (*exec.Cmd, error) {
	c := g.command()
	if err := c.Start(); err != nil {
		return nil, penstock.Errorf(penstock.Internal, "start the gateway: %w", err)
	}
	g.pid.Store(int64(c.Process.Pid))
	return c, nil
}

// watch waits for the child's end. It returns true when it killed the child
// itself and another is to be started.
func (g *gateway) watch(ctx context.Context, child *exec.Cmd) (bool, error) {
	ended := make(chan error, 1)
	var waiter sync.WaitGroup
	defer waiter.Wait()
	waiter.Go(func() { ended <- child.Wait() })
	var kill <-chan time.Time
	if g.killEvery > 0 {
		timer := time.NewTimer(g.killEvery)
		defer timer.Stop()
		kill = timer.C
	}
	for {
		select {
		case err := <-ended:
			return false, g.unexpected(err)
		case <-ctx.Done():
			return false, g.end(child, ended)
		case <-kill:
			if g.peace.Load() {
				continue
			}
			if err := child.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return false, penstock.Errorf(penstock.Internal, "kill the gateway: %w", err)
			}
			<-ended
			return true, nil
		}
	}
}

// end asks the child to end, and kills it when it does not.
func (g *gateway) end(child *exec.Cmd, ended <-chan error) error {
	const patience = 15 * time.Second
	if err := child.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return penstock.Errorf(penstock.Internal, "stop the gateway: %w", err)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return g.unexpected(err)
		}
		return nil
	case <-timer.C:
		_ = child.Process.Kill() // it may have ended this moment
		<-ended
		return penstock.Errorf(penstock.Internal, "the gateway did not end within %v of SIGTERM; its last words:\n%s", patience, g.output.String())
	}
}

func (g *gateway) unexpected(err error) error {
	return penstock.Errorf(penstock.Internal, "the gateway ended by itself (%v); its last words:\n%s", err, g.output.String())
}

// A tail keeps the end of what is written to it. It is safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements [io.Writer].
func (t *tail) Write(p []byte) (int, error) {
	const keep = 8 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > 2*keep {
		t.text = append(t.text[:0], t.text[len(t.text)-keep:]...)
	}
	return len(p), nil
}

// String returns the last lines.
func (t *tail) String() string {
	const lines = 20
	t.mu.Lock()
	defer t.mu.Unlock()
	all := strings.Split(strings.TrimSpace(string(t.text)), "\n")
	return fmt.Sprintf("  %s", strings.Join(all[max(len(all)-lines, 0):], "\n  "))
}
