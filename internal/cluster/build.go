package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Build builds the gateway for a test and returns where the program is. With a step it
// is the program of the next version: its tables have that one step more, in SQL. It
// may add and take nothing away, so that programs of this version go on beside it.
func Build(t testing.TB, step string) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "penstock")
	arguments := []string{"build", "-o", program}
	if step != "" {
		arguments = append(arguments, "-overlay", overlay(t, dir, step))
	}
	build := exec.Command("go", append(arguments, "github.com/penstock/penstock/cmd/penstock")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// overlay has the compiler read another list of the steps of the tables.
func overlay(t testing.TB, dir, step string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/penstock/penstock/internal/sink/postgres/schema").Output()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(strings.TrimSpace(string(out)), "steps.go")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	numbers := regexp.MustCompile(`(?m)^\t\{number: ([0-9]+), oldest: ([0-9]+), `).FindAllSubmatch(text, -1)
	end := []byte("\n}\n")
	if !bytes.HasSuffix(text, end) || len(numbers) == 0 {
		t.Fatalf("%s does not end with the list of the steps", file)
	}
	last := numbers[len(numbers)-1]
	newest, err := strconv.Atoi(string(last[1]))
	if err != nil {
		t.Fatal(err)
	}
	text = fmt.Appendf(bytes.TrimSuffix(text, end), "\n\t{number: %d, oldest: %s, text: %q},\n}\n", newest+1, last[2], step)
	next := filepath.Join(dir, "steps.go")
	if err := os.WriteFile(next, text, 0o600); err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{file: next}})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, replace, 0o600); err != nil {
		t.Fatal(err)
	}
	return list
}
