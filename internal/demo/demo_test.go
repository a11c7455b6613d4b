package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/demo"
	"github.com/penstock/penstock/internal/sim"
	"github.com/penstock/penstock/internal/sim/simtest"
	"github.com/penstock/penstock/internal/testkit"
)

// TestMain runs the tests, or, when a demo under test starts this program as its
// gateway, the fake gateway, or, when a test starts it as a demo, that.
func TestMain(m *testing.M) {
	mode := ""
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	var err error
	switch mode {
	case "serve":
		err = simtest.Serve(os.Args[1:], simtest.Faults{})
	case "broken":
		err = simtest.Serve(os.Args[1:], simtest.Faults{Lose: 20})
	case "demo":
		_, err = demo.Run(context.Background(), demo.Options{Data: os.Args[2], Listen: "127.0.0.1:0", Controllers: 1})
	default:
		goleak.VerifyTestMain(m) // it ends the process
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// options run a demo whose gateway is this test's own program.
func options(t *testing.T) demo.Options {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return demo.Options{
		Program: []string{self}, Listen: "127.0.0.1:0", Controllers: 40,
		For: 1500 * time.Millisecond, Interval: 100 * time.Millisecond, Seed: 11,
	}
}

func TestBooksBalanceAcrossKills(t *testing.T) {
	o := options(t)
	var out, messages bytes.Buffer
	o.Out, o.Messages, o.JSON = &out, &messages, true
	o.KillEvery = 400 * time.Millisecond
	o.Impair = sim.Impairments{Loss: 0.1, Duplicate: 0.1, Reorder: 0.1, Corrupt: 0.05}
	s, err := demo.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !s.OK() {
		t.Errorf("the run is not in order: %+v", s)
	}
	if s.Run.Restarts < 1 || s.Sent < 40 || s.Sent != s.Committed || s.Duplicate == 0 || s.Messages.CorruptRefused == 0 {
		t.Errorf("too little happened: %+v", s)
	}
	var written demo.Summary
	if err := json.Unmarshal(out.Bytes(), &written); err != nil || written.Sent != s.Sent || bytes.Count(out.Bytes(), []byte("\n")) != 1 {
		t.Errorf("the output is not one JSON object: %v: %s", err, out.Bytes())
	}
	for _, want := range []string{"curl --cacert", "sent ", "restarts"} {
		if !strings.Contains(messages.String(), want) {
			t.Errorf("nothing about %q in:\n%s", want, &messages)
		}
	}
}

func TestUntilInterrupted(t *testing.T) {
	o := options(t)
	var out bytes.Buffer
	o.Out, o.For = &out, 0
	ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
	defer cancel()
	s, err := demo.Run(ctx, o)
	if err != nil || !s.OK() || s.Sent == 0 {
		t.Fatalf("%v: %+v", err, s)
	}
	for _, want := range []string{"The gateway's books", "Both sums are right", "Nothing lost, nothing made up, nothing changed."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing about %q in:\n%s", want, &out)
		}
	}
}

func TestADataDirectoryCanBeUsedAgain(t *testing.T) {
	o := options(t)
	var out bytes.Buffer
	o.Out, o.Data, o.For = &out, t.TempDir(), 500*time.Millisecond
	for range 2 {
		if s, err := demo.Run(t.Context(), o); err != nil || !s.OK() {
			t.Fatalf("%v: %+v", err, s)
		}
	}
}

func TestALossIsTold(t *testing.T) {
	o := options(t)
	var out bytes.Buffer
	o.Out = &out
	o.Program = append(o.Program, "broken")
	s, err := demo.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if s.OK() || s.Lost == 0 || !strings.Contains(out.String(), "THE RUN FAILED") {
		t.Errorf("a gateway that loses every twentieth report passes: %+v", s)
	}
}

// A parent that is killed cannot end its child: the kernel does.
func TestTheGatewayDiesWithItsParent(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	parent := exec.Command(self, "demo", directory)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var child string
	testkit.Eventually(t, func() bool {
		pid, err := os.ReadFile(filepath.Join(directory, "run", "pid"))
		child = string(pid)
		return err == nil && child != ""
	}, "the gateway to start")
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	testkit.Eventually(t, func() bool {
		stat, err := os.ReadFile(filepath.Join("/proc", child, "stat"))
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	}, "the gateway to die")
}

func TestAGatewayThatDoesNotStart(t *testing.T) {
	o := options(t)
	var out bytes.Buffer
	o.Out, o.Program = &out, []string{"/nonexistent/penstock"}
	if _, err := demo.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("got %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*demo.Options){
		"share":       func(o *demo.Options) { o.Impair.Loss = 1 },
		"time":        func(o *demo.Options) { o.For = -1 },
		"controllers": func(o *demo.Options) { o.Controllers = -1 },
	} {
		o := options(t)
		var out bytes.Buffer
		o.Out = &out
		change(&o)
		if _, err := demo.Run(t.Context(), o); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
