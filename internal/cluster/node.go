package cluster

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/sim"
)

// Node is one gateway of a cluster, which may be down. Its methods but Endpoint are
// called by one goroutine at a time.
type Node struct {
	Name        string // at the balancer
	HTTPS, Link string // addresses, which stay the same
	Program     string // what is started the next time

	t       testing.TB
	dir     string // data, configuration and log
	roots   *x509.CertPool
	process *os.Process
	ended   chan struct{}
	work    sync.WaitGroup

	mu       sync.Mutex // guards what follows
	endpoint sim.Endpoint
	birth    int // grows whenever the node gets another disk
}

// patience is how long a gateway may take to answer, on a machine under load.
const patience = 60 * time.Second

func (n *Node) data() string   { return filepath.Join(n.dir, "data") }
func (n *Node) copied() string { return filepath.Join(n.dir, "copy") }
func (n *Node) log() string    { return filepath.Join(n.dir, "log") }

// Endpoint returns how the gateway is reached over HTTPS, and a number that changes
// with its disk: false while it has none.
func (n *Node) Endpoint() (e sim.Endpoint, birth int, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.endpoint, n.birth, n.endpoint.Token != ""
}

// Start starts the gateway and returns when it answers.
func (n *Node) Start() {
	n.t.Helper()
	n.check(n.start())
}

func (n *Node) start() error {
	started := make(chan error, 1)
	n.ended = make(chan struct{})
	n.work.Go(func() { n.run(started) })
	if err := <-started; err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for tick := time.Tick(20 * time.Millisecond); ; {
		e, err := n.meet(ctx)
		if err == nil {
			n.mu.Lock()
			n.endpoint = e
			n.mu.Unlock()
			return nil
		}
		select {
		case <-tick:
		case <-n.ended:
			return fmt.Errorf("a gateway ended by itself:\n%s", n.Tail())
		case <-ctx.Done():
			return fmt.Errorf("a gateway does not answer: %w\n%s", err, n.Tail())
		}
	}
}

// run runs the process. The kernel kills it with the thread that started it, which
// stays for that reason.
func (n *Node) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(n.ended)
	out, err := os.OpenFile(n.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		started <- err
		return
	}
	defer out.Close() // the process has a duplicate
	c := exec.Command(n.Program, "serve", "--config", filepath.Join(n.dir, "penstock.yaml"), "--allow-root")
	c.Stdout, c.Stderr = out, out
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	err = c.Start()
	n.process = c.Process
	started <- err
	if err == nil {
		_ = c.Wait() // whoever waits for the end asks why
	}
}

// meet returns how to reach the gateway, once it answers.
func (n *Node) meet(ctx context.Context) (sim.Endpoint, error) {
	token, err := os.ReadFile(filepath.Join(n.data(), "admin.token"))
	if err != nil {
		return sim.Endpoint{}, err
	}
	e := sim.Endpoint{URL: "https://" + n.HTTPS, Token: strings.TrimSpace(string(token)), Roots: n.roots}
	r := sim.NewReader(e)
	defer r.Close()
	var books struct{}
	return e, r.Get(ctx, "/v1/ledger", &books)
}

// Kill ends the process as a power failure would.
func (n *Node) Kill() { n.end(syscall.SIGKILL) }

// Stop ends the process in good order.
func (n *Node) Stop() { n.end(syscall.SIGTERM) }

func (n *Node) end(how syscall.Signal) {
	n.t.Helper()
	if n.process == nil {
		return
	}
	if err := n.process.Signal(how); err != nil && !errors.Is(err, os.ErrProcessDone) {
		n.t.Fatal(err)
	}
	n.work.Wait()
	n.process = nil
}

// Restart ends the process in good order and starts the program again, which may be
// another one by now.
func (n *Node) Restart() {
	n.t.Helper()
	n.Stop()
	n.Start()
}

// leave forgets how the gateway is reached: its next disk knows another token.
func (n *Node) leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.endpoint = sim.Endpoint{}
	n.birth++
}

// Wipe loses the gateway with its disk, and sets up another one in its place.
func (n *Node) Wipe() {
	n.t.Helper()
	n.Kill()
	n.leave()
	n.check(os.RemoveAll(n.data()))
	n.Start()
}

// Copy keeps a copy of the disk, as it is when the power fails now.
func (n *Node) Copy() {
	n.t.Helper()
	n.Kill()
	n.check(os.RemoveAll(n.copied()))
	if out, err := exec.Command("cp", "-a", n.data(), n.copied()).CombinedOutput(); err != nil {
		n.t.Fatalf("%v: %s", err, out)
	}
	n.Start()
}

// Restore puts the copy in the place of the disk.
func (n *Node) Restore() {
	n.t.Helper()
	n.Kill()
	n.leave()
	n.check(os.RemoveAll(n.data()), os.Rename(n.copied(), n.data()))
	n.Start()
}

func (n *Node) check(errs ...error) {
	n.t.Helper()
	if err := errors.Join(errs...); err != nil {
		n.t.Fatal(err)
	}
}

// Tail returns the last lines of the gateway's log.
func (n *Node) Tail() string {
	text, err := os.ReadFile(n.log())
	if err != nil {
		return err.Error()
	}
	const lines = 40
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Said tells how often the log says something.
func (n *Node) Said(what string) int {
	text, err := os.ReadFile(n.log())
	n.check(err)
	return strings.Count(string(text), what)
}

// books are what a gateway says of its reports.
type books struct {
	Total struct {
		Received  uint64            `json:"received"`
		Accepted  uint64            `json:"accepted"`
		Duplicate uint64            `json:"duplicate"`
		Rejected  map[string]uint64 `json:"rejected"`
		Committed uint64            `json:"committed"`
		Twice     uint64            `json:"duplicate_at_record"`
		InSpool   uint64            `json:"in_spool"`
	} `json:"total"`
}

// books asks the gateway for its books.
func (n *Node) books(ctx context.Context) (b books, err error) {
	e, _, ok := n.Endpoint()
	if !ok {
		return b, errors.New("the gateway has no disk")
	}
	r := sim.NewReader(e)
	defer r.Close()
	if err := r.Get(ctx, "/v1/ledger", &b); err != nil {
		return b, fmt.Errorf("%s: %w", n.HTTPS, err)
	}
	return b, nil
}
