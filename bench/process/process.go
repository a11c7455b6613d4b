// Package process runs the servers that benchmarks measure: a gateway, or what is
// measured beside it.
package process

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/pause"
	"github.com/penstock/penstock/internal/sim"
)

// A Process is a server under measurement.
type Process struct {
	Endpoint sim.Endpoint
	Books    bool         // it answers GET /v1/ledger
	Words    bytes.Buffer // what it printed; to be read when it has ended
	bound    string       // the file in which it says where it listens
	command  *exec.Cmd
	waiter   sync.WaitGroup
	ended    chan struct{}
}

// Start runs a program and waits until ready finds how to reach it. The caller
// must not leave the thread that it runs on: the kernel ends a child whose
// parent thread ends.
func Start(ctx context.Context, ready func() (sim.Endpoint, error), program string, arguments ...string) (*Process, error) {
	runtime.LockOSThread()
	p := &Process{command: exec.Command(program, arguments...), ended: make(chan struct{})}
	p.command.Stdout = &p.Words
	p.command.Stderr = &p.Words
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	p.waiter.Go(func() {
		_ = p.command.Wait() // how it ended is in words
		close(p.ended)
	})
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		var err error
		if p.Endpoint, err = ready(); err == nil {
			return p, nil
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("%s ended at once:\n%s", program, &p.Words)
		case <-deadline.C:
			p.Kill()
			return nil, fmt.Errorf("%s did not get ready: %w:\n%s", program, err, &p.Words)
		case <-ctx.Done():
			p.Kill()
			return nil, ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// Rest waits until the server has written to its record all that it took, and until
// what follows from that (flushes, compactions) is done as well. A server without
// books has nothing to write.
func (p *Process) Rest(ctx context.Context) error {
	if !p.Books {
		return nil
	}
	r := sim.NewReader(p.Endpoint)
	defer r.Close()
	for {
		var books struct {
			Total struct {
				InSpool int64 `json:"in_spool"`
			} `json:"total"`
		}
		if err := r.Get(ctx, "/v1/ledger", &books); err != nil {
			return err
		}
		if books.Total.InSpool == 0 {
			return p.idle(ctx)
		}
		if err := pause.For(ctx, pauseLength); err != nil {
			return err
		}
	}
}

const (
	pauseLength = 100 * time.Millisecond
	idleFor     = 10                    // pauses in a row
	idleUse     = 20 * time.Millisecond // of processor time in a pause, at most
	mostPauses  = 300                   // a server that serves many is never idle
)

// idle waits until the process has hardly used the processor for a second, within
// half a minute.
func (p *Process) idle(ctx context.Context) error {
	last, err := p.CPU()
	for n, calm := 0, 0; n < mostPauses && calm < idleFor && err == nil; n++ {
		if err := pause.For(ctx, pauseLength); err != nil {
			return err
		}
		var now time.Duration
		now, err = p.CPU()
		if calm++; now-last > idleUse {
			calm = 0
		}
		last = now
	}
	return err
}

// Stop ends the process in peace, or not.
func (p *Process) Stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended: then there is nothing to do
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		p.Kill()
	}
	p.waiter.Wait()
}

// Kill ends the process as a power cut would.
func (p *Process) Kill() {
	_ = p.command.Process.Kill() // it may have ended: then there is nothing to do
	p.waiter.Wait()
}

// Gateway runs the gateway with its data in a directory, and more arguments.
func Gateway(ctx context.Context, program, directory string, more ...string) (*Process, error) {
	addresses := filepath.Join(directory, "run", "addresses.json")
	if err := os.Remove(addresses); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	p, err := Start(ctx, func() (sim.Endpoint, error) { return EndpointOf(ctx, directory, addresses) },
		program, append([]string{"serve", "--data", directory, "--allow-root",
			"--set", "listen.https=127.0.0.1:0", "--set", "listen.link=127.0.0.1:0", "--set", "listen.health=off", "--set", "log.level=warn",
			"--set", "listen.mqtt=127.0.0.1:0", "--set", "mqtt.tls=off"}, more...)...)
	if err != nil {
		return nil, err
	}
	p.Books, p.bound = true, addresses
	return p, nil
}

// EndpointOf reads what the gateway left for its clients, and asks it
// something.
func EndpointOf(ctx context.Context, directory, addresses string) (sim.Endpoint, error) {
	var bound map[string]string
	raw, err := os.ReadFile(addresses)
	if err != nil {
		return sim.Endpoint{}, err
	}
	if err := json.Unmarshal(raw, &bound); err != nil {
		return sim.Endpoint{}, err
	}
	token, err := os.ReadFile(filepath.Join(directory, "admin.token"))
	if err != nil {
		return sim.Endpoint{}, err
	}
	roots, err := ReadRoots(filepath.Join(directory, "tls", "cert.pem"))
	if err != nil {
		return sim.Endpoint{}, err
	}
	e := sim.Endpoint{URL: "https://" + bound["listen.https"], Token: strings.TrimSpace(string(token)), Roots: roots}
	r := sim.NewReader(e)
	defer r.Close()
	_, err = r.Controllers(ctx)
	return e, err
}

// ReadRoots reads a file of certificates.
func ReadRoots(file string) (*x509.CertPool, error) {
	certificate, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certificate) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return roots, nil
}

// CPU returns how much processor time the process has used.
func (p *Process) CPU() (time.Duration, error) {
	const ticksPerSecond = 100 // USER_HZ, the same on every Linux
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything; utime and stime are the 12th
	// and 13th field after it.
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat is too short")
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// Memory returns the resident memory of the process, now and at its peak, in
// bytes.
func (p *Process) Memory() (now, peak int64, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(raw)) {
		var kib int64
		switch name, rest, _ := strings.Cut(line, ":"); name {
		case "VmRSS", "VmHWM":
			if _, err := fmt.Sscanf(rest, "%d kB", &kib); err != nil {
				return 0, 0, err
			}
			if name == "VmRSS" {
				now = kib << 10
			} else {
				peak = kib << 10
			}
		}
	}
	return now, peak, nil
}

// Listens returns the address of a listener. It may come a moment after the
// others.
func (p *Process) Listens(key string) (string, error) {
	for end := time.Now().Add(10 * time.Second); ; {
		var bound map[string]string
		raw, err := os.ReadFile(p.bound)
		if err == nil {
			err = json.Unmarshal(raw, &bound)
		}
		if bound[key] != "" {
			return bound[key], nil
		}
		if time.Now().After(end) {
			return "", errors.Join(fmt.Errorf("the server does not say where %s is", key), err)
		}
		<-time.After(10 * time.Millisecond)
	}
}
