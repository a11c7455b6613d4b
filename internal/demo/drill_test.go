package demo_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/penstock/penstock/internal/demo"
	"github.com/penstock/penstock/internal/diagnose"
	"github.com/penstock/penstock/internal/diagnose/trial"
)

// drill runs the real program with one thing broken, and returns what the gateway
// said of it. The books have to balance all the same.
func drill(t *testing.T, program, what string, seed int, more ...string) demo.Drilled {
	t.Helper()
	args := []string{"demo", "--listen", "127.0.0.1:0", "--json", "--break", what, "--seed", strconv.Itoa(seed)}
	run := exec.Command(program, append(args, more...)...)
	var out, messages bytes.Buffer
	run.Stdout, run.Stderr = &out, &messages
	if err := run.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, &messages, &out)
	}
	var s demo.Summary
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	if !s.OK() || s.Sent != s.Committed || len(s.Findings) > 0 {
		t.Errorf("%s: the run is not in order: %+v", what, s)
	}
	if len(s.Drill) != 1 {
		t.Fatalf("%s: %d drills\n%s", what, len(s.Drill), &messages)
	}
	return s.Drill[0]
}

// Noise on a line is physical, and of the line alone: a drill in short.
func TestDrill(t *testing.T) {
	program := os.Getenv("PENSTOCK_DRILL")
	if program != "" {
		t.Run("all", func(t *testing.T) { drillAll(t, program) })
		return
	}
	program = filepath.Join(t.TempDir(), "penstock")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "github.com/penstock/penstock/cmd/penstock")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d := drill(t, program, "noise:line-1@8s+24s", 4, "--for", "34s", "--controllers", "20", "--interval", "500ms")
	// On a busy machine one or two are not heard often enough within the break to be sure
	// of; what is said of the others must be right. How often it is, diagnose-accuracy
	// measures.
	if d.Said["physical"] < 3 || d.Said["physical"]+d.Said["ok"]+d.Said["unclear"] != 5 || d.Others["ok"] != 15 {
		t.Errorf("%+v", d)
	}
}

// drillAll breaks everything, as often as is asked for, and prints the matrix.
func drillAll(t *testing.T, program string) {
	times, err := strconv.Atoi(os.Getenv("PENSTOCK_DRILLS"))
	if err != nil || times < 1 {
		times = 1
	}
	var all trial.Score
	for k, kind := range trial.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			for i := range times {
				d := drill(t, program, string(kind)+drillTime, 100+i+1000*k, "--for", drillLength, "--controllers", "120", "--interval", "1s")
				t.Logf("%s severity %.2f: %v, others %v", d.Break, d.Severity, d.Said, d.Others)
				all.Add(casesOf(t, kind, d))
			}
		})
	}
	var text bytes.Buffer
	if err := all.Write(&text); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &text)
	if share, answers := all.PhysicalAgainstSoftware(); share < 0.97 || answers < 30*times {
		t.Errorf("physical and software are told apart in %.3f of %d answers", share, answers)
	}
	if f := all.MacroF1(); f < 0.84 || f <= all.BaselineF1() {
		t.Errorf("macro-F1 is %.3f, that of the four states %.3f", f, all.BaselineF1())
	}
}

// When a trouble of a drill is there: after the ten reports that it takes until a
// rhythm is known, with some room for a busy machine; and for as long as the slowest
// takes to come, to fill the window of ten seconds, and to be found twice.
const drillTime, drillLength = "@18s+26s", "45s"

// casesOf scores a drill: what the break took should be called so, and all others ok.
func casesOf(t *testing.T, kind trial.Kind, d demo.Drilled) []trial.Case {
	t.Helper()
	var cases []trial.Case
	for _, a := range d.Answers {
		label := diagnose.Healthy
		if a.Taken {
			label = kind.Label()
		}
		said := diagnose.Verdict{Cause: diagnose.Cause(a.Verdict), Rule: a.Rule, Confidence: a.Confidence, For: a.For}
		if said.Cause != label {
			t.Logf("%s, %s: was %s, said %s by %s (%.2f) %q", d.Break, a.Controller, label, said.Cause, a.Rule, a.Confidence, a.For)
		}
		cases = append(cases, trial.Case{Kind: kind, Label: label, Said: said, Baseline: a.State})
	}
	return cases
}
