package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock/internal/demo"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/pgtest"
)

// build returns the real program.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "penstock")
	compile := exec.Command("go", "build", "-trimpath", "-o", program, "github.com/penstock/penstock/cmd/penstock")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// The whole of it, as a user runs it: the real program, its real gateway, every
// mishap, and the gateway killed every other second.
func TestTheProgramKeepsItsPromise(t *testing.T) {
	run := exec.Command(build(t), "demo", "--for", "10s", "--controllers", "100", "--listen", "127.0.0.1:0", "--json",
		"--loss", "10%", "--duplicate", "10%", "--reorder", "10%", "--corrupt", "1%", "--kill-every", "2s")
	var out, messages bytes.Buffer
	run.Stdout, run.Stderr = &out, &messages
	if err := run.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, &messages, &out)
	}
	var s demo.Summary
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	if !s.OK() || s.Sent != s.Committed || s.Run.Restarts == 0 || s.Duplicate == 0 || s.Messages.CorruptRefused == 0 {
		t.Errorf("the run is not in order, or too little happened in it: %+v", s)
	}
}

// PostgreSQL comes to a demo that runs by three lines and a reload.
func TestADatabaseIsAdded(t *testing.T) {
	server, err := pgtest.Start(pgtest.Memory())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	program, data := build(t), t.TempDir()
	ctx, end := context.WithCancel(t.Context())
	run := exec.CommandContext(ctx, program, "demo", "--controllers", "20", "--listen", "127.0.0.1:0", "--data", data)
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	var out bytes.Buffer
	run.Stdout, run.Stderr = &out, &out
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		end()
		if err := run.Wait(); run.ProcessState.ExitCode() != 0 {
			t.Errorf("%v: %s", err, &out)
		}
	}()
	reload := func() ([]byte, error) { return exec.Command(program, "reload", "--data", data).CombinedOutput() }
	testkit.Eventually(t, func() bool { _, err := reload(); return err == nil }, "the gateway of the demo")
	f, err := os.OpenFile(filepath.Join(data, "penstock.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintf(f, "sinks:\n  - name: central\n    postgres: {server: \"postgres://127.0.0.1:%s/postgres\", user: postgres}\n", server.Port)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if said, err := reload(); err != nil || !bytes.Contains(said, []byte("central")) {
		t.Fatalf("%v: %s", err, said)
	}
	rows, times := 0, 0
	testkit.Eventually(t, func() bool {
		c, err := pgx.Connect(t.Context(), server.URL("postgres"))
		if err != nil {
			return false
		}
		defer c.Close(t.Context())
		err = c.QueryRow(t.Context(), "SELECT count(*), count(DISTINCT (point, source_time, epoch, seq)) FROM penstock.samples").Scan(&rows, &times)
		return err == nil && rows > 1000
	}, "samples in the database")
	if rows != times {
		t.Errorf("%d rows are of %d samples", rows, times)
	}
}
