package cli_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/cli/shell"
)

const sinksAnswer = `{"sinks":[
{"name":"historian","system_of_record":true,"record":true,"state":"delivering","since":"2026-11-22T06:00:00Z","through":17,"backlog":{"reports":0,"bytes":0,"seconds":0},"books":{"delivered":16}},
{"name":"broker","state":"down","since":"2026-11-22T05:00:00Z","why":"connection \u001b refused","through":3,"backlog":{"reports":14,"bytes":7168,"seconds":3600.4},"books":{"delivered":2,"quarantined":1,"dropped":5}}]}`

const heldAnswer = `{"number":2,"controller":"pump-17","identity":"1/7","samples":1,"reason":"the unit is wrong","by":"historian","tries":3,"first":"2026-11-22T06:00:00Z","last":"2026-11-22T07:00:00Z","report":{"controller":"pump-17"},"raw":"AAEC"}`

func TestSinks(t *testing.T) {
	f := newFake(t)
	f.answers["GET /v1/sinks"] = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, sinksAnswer) }
	done := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	f.answers["POST /v1/sinks/broker/pause"], f.answers["POST /v1/sinks/a%20b/resume"] = done, done
	f.answers["POST /v1/sinks/broker/replay"] = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"from":4}`) }
	list, asJSON := f.run("", "sinks", "list"), f.run("", "sinks", "list", "--json")
	golden(t, "sinks.txt", list.stdout+asJSON.stdout)
	f.run("", "sinks", "pause", "broker").want(t, shell.ExitOK, "", "Sink broker is paused.")
	f.run("", "sinks", "resume", "a b").want(t, shell.ExitOK, "", "Sink a b goes on.")
	f.run("", "sinks", "pause", "nobody").want(t, shell.ExitRefused, "", "HTTP 404")
	f.run("", "sinks", "replay", "broker", "--since", "2026-01-01T12:00:00Z").want(t, shell.ExitOK, "", "from position 4 on")
	if q := f.requests[len(f.requests)-1].URL.RawQuery; q != "since=2026-01-01T12%3A00%3A00Z" {
		t.Errorf("asked for %s", q)
	}
	f.run("", "sinks", "replay", "broker", "--since", "2h").want(t, shell.ExitOK, "", "from position 4 on")
	f.run("", "sinks", "replay", "broker").want(t, shell.ExitUsage, "", "--since takes a time")
}

func TestQuarantine(t *testing.T) {
	f := newFake(t)
	f.answers["GET /v1/quarantine/broker"] = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("from") == "0" {
			fmt.Fprintf(w, `{"reports":[%s],"next":3}`, heldAnswer)
			return
		}
		fmt.Fprintf(w, `{"reports":[%s]}`, strings.Replace(heldAnswer, `"number":2`, `"number":5`, 1))
	}
	f.answers["GET /v1/quarantine/historian/2"] = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, heldAnswer) }
	f.answers["POST /v1/quarantine/historian/2/retry"] = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"done":false}`) }
	for _, n := range []string{"2", "5"} {
		f.answers["POST /v1/quarantine/broker/"+n+"/discard"] = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"done":true}`) }
	}
	list := f.run("", "quarantine", "list", "--sink", "broker")
	show := f.run("", "quarantine", "show", "2")
	export := f.run("", "quarantine", "export", "--sink", "broker")
	golden(t, "quarantine.txt", list.stdout+show.stdout+export.stdout)
	f.run("", "quarantine", "retry", "2").want(t, shell.ExitOK, "", "retry 2: decided; the record learns of it in its turn")
	f.run("", "quarantine", "discard", "--all", "--sink", "broker").want(t, shell.ExitOK, "", "discard 5: done")
	f.run("", "quarantine", "retry", "7").want(t, shell.ExitRefused, "", "report 7")
	f.run("", "quarantine", "retry").want(t, shell.ExitUsage, "", "say --all")
	f.run("", "quarantine", "discard", "2", "--all").want(t, shell.ExitUsage, "", "say --all")
	f.run("", "quarantine", "show", "x").want(t, shell.ExitUsage, "", "is not the number of a report")
}
