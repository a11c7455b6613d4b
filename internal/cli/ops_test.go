package cli_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/penstock/penstock/internal/cli/shell"
)

func TestLog(t *testing.T) {
	f := newFake(t)
	state := "failing"
	f.answers["GET /v1/log"] = func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"level":"info","components":[{"component":"pipeline","level":"info"},{"component":"spool","level":"debug","own":true}],
"outputs":[{"name":"stderr","kind":"json","state":"ok","since":"2026-11-22T06:00:00Z","sent":120},
{"name":"central","kind":"syslog+tls","state":%q,"since":"2026-11-22T06:10:00Z","why":"tls://log.example:6514: refused","sent":100,"queued":20}]}`, state)
	}
	levels := f.run("", "log", "level")
	outputs := f.run("", "log", "outputs")
	outputs.want(t, shell.ExitDamaged, outputs.stdout, "late or were dropped at: central")
	golden(t, "log.txt", levels.stdout+outputs.stdout)
	state = "ok"
	f.run("", "log", "outputs", "--json").want(t, shell.ExitOK, `"queued": 20`, "")
	f.answers["PUT /v1/log/level"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	f.bodies = nil
	f.run("", "log", "level", "source line-3", "debug").want(t, shell.ExitOK, "", "")
	f.run("", "log", "level", "all", "warn").want(t, shell.ExitOK, "", "")
	f.run("", "log", "level", "spool", "default").want(t, shell.ExitOK, "", "")
	for i, want := range []string{`{"component":"source line-3","level":"debug"}`, `{"level":"warn"}`, `{"component":"spool"}`} {
		if f.bodies[i] != want {
			t.Errorf("sent %s, want %s", f.bodies[i], want)
		}
	}
	f.run("", "log", "level", "spool").want(t, shell.ExitUsage, "", "say the level of")
}

func TestTop(t *testing.T) {
	f := newFake(t)
	f.answers["GET /v1/flow"] = func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"time":"2026-11-22T06:00:00Z","window_seconds":60,"slowest":{"acknowledgement":"spool sync","delivery":"record settle"},
"stages":[{"name":"decode","part":"acknowledgement","reports_per_second":1234.5,"mean_seconds":0.00001,"p50_seconds":0.000008,"p99_seconds":0.0002,"busy":0.0123},
{"name":"spool sync","part":"acknowledgement","reports_per_second":1234.5,"mean_seconds":0.002,"p50_seconds":0.002,"p99_seconds":0.011,"busy":0.4,"under_way":1,"oldest_seconds":0.001},
{"name":"record settle","part":"delivery","reports_per_second":1200,"mean_seconds":1.5,"p50_seconds":1,"p99_seconds":2,"busy":1.1}],
"stalls":[{"stage":"record settle","part":"delivery","since":"2026-11-22T05:58:00Z","goroutine":"goroutine 7 [select] historian.x","stacks":"/data/stalls/1.txt"}],
"backlog":[{"sink":"record","entries":17,"state":"failing","why":"the disk is\u001b[2J full"}],
"spool":{"used_bytes":67108864,"quota_bytes":10737418240,"pending_bytes":512},
"memory":{"used_bytes":104857600,"heap_bytes":52428800,"limit_bytes":536870912,"shedding":"caches","goroutines":42,"connections":7},
"worst":[{"controller":"pump-17","missing":3,"rejected":1,"duplicate":9}]}`)
	}
	once := f.run("", "top", "--once")
	once.want(t, shell.ExitOK, once.stdout, "")
	golden(t, "top.txt", once.stdout)
	f.run("", "top", "--json").want(t, shell.ExitOK, `"under_way": 1`, "")
	f.answers["GET /v1/flow"] = func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"time":"2026-11-22T06:00:00Z","worst":[]}`)
	}
	f.run("", "top").want(t, shell.ExitOK, "no controller has trouble in its books", "")
}

func TestHeapDiff(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a": `{"time":"2026-11-22T06:00:00Z","bytes":1048576,"sites":[{"stack":["bytes.Clone","github.com/penstock/penstock/internal/x.keep"],"bytes":1000,"objects":1},{"stack":["gone"],"bytes":5,"objects":1}]}`,
		"b": `{"time":"2026-11-22T06:01:00Z","bytes":9437184,"sites":[{"stack":["bytes.Clone","github.com/penstock/penstock/internal/x.keep"],"bytes":5243880,"objects":81},{"stack":["net.new"],"bytes":2048,"objects":2}]}`,
		"c": `nonsense`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	diff := command{}.run("heap", "diff", a, b)
	diff.want(t, shell.ExitOK, diff.stdout, "")
	golden(t, "heap.txt", diff.stdout)
	command{}.run("heap", "diff", a, b, "--json", "-n", "1").want(t, shell.ExitOK, `"grown_bytes": 5242880`, "")
	command{}.run("heap", "diff", a).want(t, shell.ExitUsage, "", "give two snapshots")
	command{}.run("heap", "diff", a, filepath.Join(dir, "c")).want(t, shell.ExitFailed, "", "no snapshot")
	command{}.run("heap", "snapshot", "--data", dir).want(t, shell.ExitLater, "", "no gateway runs on")
	file := filepath.Join(dir, "bundle")
	command{}.run("support-bundle", "--data", dir, "-o", file).want(t, shell.ExitLater, "", "no gateway runs on")
	if _, err := os.Stat(file); err == nil {
		t.Error("half a bundle is left")
	}
}
