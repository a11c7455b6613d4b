package docs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testkit"
)

// example is a shell block of the README that has the mark <!-- run: … -->
// above it.
type example struct {
	background bool     // runs beside those after it, and is asked to stop at the end
	wants      []string // what it prints, spaces apart
	script     string
}

var markedBlock = regexp.MustCompile("(?ms)^<!-- run: ([^\n]*) -->\n```sh\n(.*?)^```$")

func readExamples(t *testing.T) []example {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples []example
	for _, block := range markedBlock.FindAllStringSubmatch(string(readme), -1) {
		mark, wanted, _ := strings.Cut(block[1], "wants ")
		e := example{background: strings.TrimSpace(mark) == "background", script: block[2]}
		if wanted != "" {
			e.wants = strings.Split(wanted, " wants ")
		}
		if !e.background && e.wants == nil {
			t.Fatalf("the mark %q says neither background nor what is wanted", block[1])
		}
		examples = append(examples, e)
	}
	if len(examples) == 0 || !examples[0].background {
		t.Fatal("the README's first marked example is the gateway, in the background")
	}
	return examples
}

// TestProgram builds the program and holds the documents against it.
func TestProgram(t *testing.T) {
	bin := t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(bin, "penstock"), "../cmd/penstock")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("examples", func(t *testing.T) { runExamples(t, bin) })
	t.Run("commands", func(t *testing.T) { checkCommands(t, bin) })
}

// runExamples runs the README's examples one after the other in one shell, as a
// reader does who pastes them, against a gateway that the first one starts. Only
// the ports are others, so that the test disturbs nobody.
func runExamples(t *testing.T, bin string) {
	examples := readExamples(t)
	home := t.TempDir()
	if err := os.Symlink(bin, filepath.Join(home, "bin")); err != nil {
		t.Fatal(err)
	}
	environ := append(os.Environ(),
		"PENSTOCK_LISTEN_HTTPS=127.0.0.1:0", "PENSTOCK_LISTEN_HEALTH=127.0.0.1:0")
	stop := startGateway(t, home, environ, examples[0].script)
	outputs := runShell(t, home, environ, examples[1:], waitForAddress(t, home))
	for i, e := range examples[1:] {
		for _, wanted := range e.wants {
			if !strings.Contains(withoutSpace(outputs[i]), withoutSpace(wanted)) {
				t.Errorf("this prints no %s:\n%s\nbut:\n%s", wanted, e.script, outputs[i])
			}
		}
	}
	stop()
}

// startGateway runs the script in the background and returns a function that
// asks it to stop and fails the test when it does not stop well.
func startGateway(t *testing.T, home string, environ []string, script string) (stop func()) {
	t.Helper()
	var output bytes.Buffer
	gateway := exec.Command("bash", "-c", "exec "+strings.TrimSpace(script))
	gateway.Dir, gateway.Env, gateway.Stdout, gateway.Stderr = home, environ, &output, &output
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	end := func(signal os.Signal) error {
		stopped = true
		if err := gateway.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		return gateway.Wait()
	}
	t.Cleanup(func() {
		if !stopped {
			_ = end(syscall.SIGKILL) // the test failed before; its end is not judged
		}
		if t.Failed() {
			t.Logf("the gateway printed:\n%s", output.String())
		}
	})
	return func() {
		if err := end(syscall.SIGTERM); err != nil {
			t.Errorf("the gateway did not stop well: %v", err)
		}
	}
}

// waitForAddress returns the port that the gateway's API really has.
func waitForAddress(t *testing.T, home string) (port string) {
	t.Helper()
	path := filepath.Join(home, "penstock-data", "run", "addresses.json")
	testkit.Eventually(t, func() bool {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return false
		}
		var addresses map[string]string
		if err != nil || json.Unmarshal(data, &addresses) != nil {
			return false
		}
		_, port, err = net.SplitHostPort(addresses["listen.https"])
		return err == nil
	}, "the gateway writes the address of its API to "+path)
	return port
}

// separator is printed between the outputs of two examples.
const separator = "\x1e"

// runShell runs the examples in one shell and returns what each printed.
func runShell(t *testing.T, home string, environ []string, examples []example, port string) []string {
	t.Helper()
	var script strings.Builder
	script.WriteString("set -euo pipefail\n")
	for _, e := range examples {
		script.WriteString(strings.ReplaceAll(e.script, "localhost:8080", "localhost:"+port))
		script.WriteString("printf '" + `\036` + "'\n")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", script.String())
	shell.Dir, shell.Env = home, environ
	var stdout, stderr bytes.Buffer
	shell.Stdout, shell.Stderr = &stdout, &stderr
	if err := shell.Run(); err != nil {
		t.Fatalf("an example failed: %v\n%s\n%s", err, stdout.String(), stderr.String())
	}
	return strings.Split(strings.TrimSuffix(stdout.String(), separator), separator)
}

func withoutSpace(s string) string { return strings.Join(strings.Fields(s), "") }
