package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/process"
	"github.com/penstock/penstock/internal/pause"
	"github.com/penstock/penstock/internal/sim"
)

// TestMemoryCeiling runs a gateway whose record stands still below a limit of 512 MB,
// with a fleet that goes on sending until the spool is full and refuses; then kills
// it, and sees that with the record back nothing is lost. At full length
// (PENSTOCK_TORTURE=1) the fleet has 5,000 controllers and several minutes, and the
// limit is that of a control group, which the gateway has to find by itself.
func TestMemoryCeiling(t *testing.T) {
	controllers, length, interval := 200, 3*time.Second, time.Second
	const limit = 512 << 20
	within := []string{"env", "PENSTOCK_MEMORY_LIMIT=512MiB"}
	if os.Getenv("PENSTOCK_TORTURE") != "" {
		controllers, length, interval = 5000, 4*time.Minute, 5*time.Second
		within = controlGroup(t, limit)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "penstock")
	if out, err := exec.Command("go", "build", "-trimpath", "-tags", "plants", "-o", program, "../cmd/penstock").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	ctx := t.Context()
	data := filepath.Join(dir, "data")
	run := func(plant string) *process.Process {
		t.Helper()
		t.Setenv("PENSTOCK_PLANT", plant)
		addresses := filepath.Join(data, "run", "addresses.json")
		if err := os.Remove(addresses); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		p, err := process.Start(ctx, func() (sim.Endpoint, error) { return process.EndpointOf(ctx, data, addresses) },
			within[0], append(within[1:], program, "serve", "--data", data, "--allow-root", "--set", "listen.https="+address, "--set", "listen.health=off",
				"--set", "log.level=warn", "--set", "spool.segment=8MiB", "--set", "spool.quota=64MiB")...)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	gateway := run("stall-record settle")
	defer func() { gateway.Stop() }()
	model, err := sim.NewModel(sim.ModelOptions{
		Seed: 1, Controllers: controllers, Kind: "pump station", Start: time.Now(), Interval: interval, Speed: 6,
	})
	if err != nil {
		t.Fatal(err)
	}
	transport, err := sim.NewHTTPS(sim.HTTPSOptions{Endpoint: gateway.Endpoint, Controllers: controllers})
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	fleet, err := sim.New(sim.Options{Model: model, Transport: transport, Timeout: time.Minute, Backoff: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	var sending sync.WaitGroup
	sending.Go(func() { fleet.Run(ctx) })
	if err := pause.For(ctx, length); err != nil {
		t.Fatal(err)
	}
	_, peak, err := gateway.Memory()
	if err != nil {
		t.Fatalf("the gateway did not live through it: %v\n%s", err, &gateway.Words)
	}
	during := fleet.Stats()
	if peak > limit {
		t.Errorf("%d bytes at its peak, above the limit of %d", peak, limit)
	}
	if during.Accepted == 0 {
		t.Errorf("nothing was accepted: %+v, %v", during, fleet.Trouble())
	}
	t.Logf("%d controllers for %v with the record standing still: peak %d MiB, %+v", controllers, length, peak>>20, during)
	gateway.Kill()
	gateway = run("")
	fleet.Stop()
	sending.Wait()
	reader := sim.NewReader(gateway.Endpoint)
	defer reader.Close()
	settle, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	gateway.Books = true
	if err := gateway.Rest(settle); err != nil {
		t.Error(err)
	}
	balance, err := sim.Check(ctx, fleet, reader, true)
	if err != nil {
		t.Fatal(err)
	}
	if !balance.Clean() {
		t.Errorf("lost %d, phantom %d, mutated %d: %s", balance.Lost, balance.Phantom, balance.Mutated, strings.Join(balance.Findings, "; "))
	}
	t.Logf("%d of %d accepted reports are in the record once and unchanged", balance.Committed, balance.Accepted)
}

// controlGroup makes a control group with a limit of memory, of whichever version the
// machine has, and returns the command that runs another in it. At the end it sees
// that the system killed nobody for its memory.
func controlGroup(t *testing.T, limit int) (within []string) {
	t.Helper()
	dir, key, events := "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control"
	if _, err := os.Stat(dir); err != nil {
		dir, key, events = "/sys/fs/cgroup", "memory.max", "memory.events"
	}
	dir = filepath.Join(dir, fmt.Sprint("penstock-", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, key), fmt.Append(nil, limit), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		text, err := os.ReadFile(filepath.Join(dir, events))
		if err != nil || !strings.Contains(string(text), "oom_kill 0\n") {
			t.Errorf("the system killed for memory: %s %v", text, err)
		}
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return []string{"sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, dir}
}
