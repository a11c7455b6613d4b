package demo_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"text/tabwriter"

	"github.com/penstock/penstock/internal/demo"
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
	build := exec.Command("go", "build", "-o", program, "github.com/penstock/penstock/cmd/penstock")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d := drill(t, program, "noise:line-1@8s+12s", 4, "--for", "22s", "--controllers", "20", "--interval", "500ms")
	// On a busy machine one or two are not heard often enough within the break; what is
	// said of the others must be right. How often it is, diagnose-accuracy measures.
	if d.Said["physical"] < 3 || d.Said["physical"]+d.Said["ok"] != 5 || d.Others["ok"] != 15 {
		t.Errorf("%+v", d)
	}
}

// drillAll breaks everything, as often as is asked for, and prints the matrix.
func drillAll(t *testing.T, program string) {
	times, err := strconv.Atoi(os.Getenv("PENSTOCK_DRILLS"))
	if err != nil || times < 1 {
		times = 1
	}
	said := []string{"ok", "physical", "controller", "network", "gateway", "store", "configuration", "unclear"}
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "what was broken \\ what was said\t")
	for _, v := range said {
		fmt.Fprintf(table, "%s\t", v)
	}
	fmt.Fprintln(table, "others not ok\t")
	crossed, answers := 0, 0
	for k, kind := range []string{"radio", "noise", "clock", "hang", "network", "store", "gateway"} {
		sum, wrong := map[string]int{}, 0
		for i := range times {
			d := drill(t, program, kind+"@20s+30s", 100+i+1000*k, "--for", "52s", "--controllers", "120", "--interval", "1s")
			for v, n := range d.Said {
				sum[v] += n
				physical, software := v == "physical", v == "gateway" || v == "store"
				switch {
				case d.Cause == "physical" && software, (d.Cause == "gateway" || d.Cause == "store") && physical:
					crossed += n
					fallthrough
				case v != "unclear" && v != "ok" && d.Cause != "controller" && d.Cause != "network":
					answers += n
				}
			}
			for v, n := range d.Others {
				if v != "ok" {
					wrong += n
				}
			}
			t.Logf("%s severity %.2f: %v, others %v", d.Break, d.Severity, d.Said, d.Others)
		}
		fmt.Fprintf(table, "%s\t", kind)
		for _, v := range said {
			fmt.Fprintf(table, "%d\t", sum[v])
		}
		fmt.Fprintf(table, "%d\t\n", wrong)
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s%d of %d answers take physical for software or the other way round", &text, crossed, answers)
	if float64(crossed) > 0.03*float64(answers) {
		t.Error("too many answers take physical for software")
	}
}
