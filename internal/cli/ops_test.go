package cli_test

import (
	"fmt"
	"net/http"
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
