package demo_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/penstock/penstock/internal/demo"
)

// The whole of it, as a user runs it: the real program, its real gateway, every
// mishap, and the gateway killed every other second.
func TestTheProgramKeepsItsPromise(t *testing.T) {
	program := filepath.Join(t.TempDir(), "penstock")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "github.com/penstock/penstock/cmd/penstock")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	run := exec.Command(program, "demo", "--for", "10s", "--controllers", "100", "--listen", "127.0.0.1:0", "--json",
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
