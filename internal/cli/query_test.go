package cli_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/cli/shell"
)

const rows = `{"controller":"pump-17","point":"flow","unit":"L/s","time":"2026-11-22T06:00:00.5Z","value":12.5,"status":0}
{"controller":"pump-17","point":"flow","unit":"L/s","time":"2026-11-22T06:00:01Z","value":null,"status":2150694912}
{"controller":"pump-17","point":"note","unit":"","time":"2026-11-22T06:00:00Z","value":"a \"b\", \u001b[31mc","status":0}
{"controller":"pump-17","point":"total","unit":"m3","time":"2026-11-22T06:00:00Z","value":18446744073709551615,"status":0}
`

func TestQueryPrintsEveryFormat(t *testing.T) {
	f := newFake(t)
	answer := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, rows) }
	f.answers["GET /v1/latest"] = answer
	var all strings.Builder
	for _, format := range []string{"table", "json", "ndjson", "csv"} {
		got := f.run("", "query", "pump-17", "-o", format)
		got.want(t, shell.ExitOK, got.stdout, "")
		fmt.Fprintf(&all, "== %s\n%s", format, got.stdout)
		f.answers["GET /v1/latest"] = func(http.ResponseWriter, *http.Request) {}
		fmt.Fprintf(&all, "== %s, nothing\n%s", format, f.run("", "query", "-o", format).stdout)
		f.answers["GET /v1/latest"] = answer
	}
	golden(t, "query.txt", all.String())
}

func TestQueryAsksForWhatIsWanted(t *testing.T) {
	f := newFake(t)
	f.answers["GET /v1/latest"] = func(http.ResponseWriter, *http.Request) {}
	f.answers["GET /v1/query"] = f.answers["GET /v1/latest"]
	for _, test := range []struct {
		args       []string
		path, want string
	}{
		{nil, "/v1/latest", "time=rfc3339"},
		{[]string{"pump-17/flow/a"}, "/v1/latest", "controller=pump-17&point=flow/a&time=rfc3339"},
		{[]string{"--controller", "p*", "--point", "flow", "--time", "ns", "--limit", "5"}, "/v1/latest", "controller=p*&point=flow&time=ns"},
		{[]string{"p", "--last", "1d", "--limit", "5"}, "/v1/query", "controller=p&from=-24h0m0s&limit=5&time=rfc3339"},
		{[]string{"--from", "1", "--to", "now"}, "/v1/query", "from=1&time=rfc3339&to=now"},
		{[]string{"--last", "1h", "--step", "1m"}, "/v1/query", "agg=avg&from=-1h0m0s&step=1m0s&time=rfc3339"},
		{[]string{"--last", "1h", "--step", "1m", "--agg", "max"}, "/v1/query", "agg=max&from=-1h0m0s&step=1m0s&time=rfc3339"},
	} {
		f.requests = nil
		f.run("", append([]string{"query", "-o", "ndjson"}, test.args...)...).want(t, shell.ExitOK, "", "")
		want, err := url.ParseQuery(test.want)
		if err != nil {
			t.Fatal(err)
		}
		if r := f.requests[0]; r.URL.Path != test.path || r.URL.RawQuery != want.Encode() || r.Header.Get("Accept") != "application/x-ndjson" {
			t.Errorf("%q asks for %s, want %s?%s", test.args, r.URL, test.path, test.want)
		}
	}
}

func TestQueryRefusesWhatMakesNoSense(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"a", "--point", "p"}, "given twice"},
		{[]string{"--last", "1h", "--from", "1"}, "--last goes without"},
		{[]string{"--last", "x"}, "--last needs a duration"},
		{[]string{"--last", "1h", "--step", "0s"}, "--step needs a duration"},
		{[]string{"--last", "1h", "--agg", "max"}, "--agg needs --step"},
		{[]string{"--step", "1h"}, "say from when"},
		{[]string{"--to", "now"}, "say from when"},
		{[]string{"--limit", "-1"}, "--limit needs"},
		{[]string{"--time", "unix"}, "--time takes"},
		{[]string{"-o", "xml"}, `"xml" is no format`},
		{[]string{"a", "b"}, "accepts at most 1 arg"},
	} {
		command{}.run(append([]string{"query"}, test.args...)...).want(t, shell.ExitUsage, "", test.want)
	}
}

func TestQueryFollowsPages(t *testing.T) {
	f := newFake(t)
	lines := strings.SplitAfter(rows, "\n")
	f.answers["GET /v1/query"] = func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("next") {
		case "":
			fmt.Fprint(w, lines[0], lines[1], `{"next":"c1"}`, "\n")
		case "c1":
			fmt.Fprint(w, lines[2], `{"next":"c2"}`, "\n")
		case "c2":
			fmt.Fprint(w, lines[3])
		}
	}
	f.run("", "query", "--last", "1h", "-o", "ndjson").want(t, shell.ExitOK, `"note"`, "")
	got := f.run("", "query", "--last", "1h", "-o", "csv", "--limit", "3")
	got.want(t, shell.ExitOK, "note", "There is more: --limit cut it after 3 samples.")
	if strings.Count(got.stdout, "\n") != 4 {
		t.Errorf("--limit 3 gives\n%s", got.stdout)
	}
	f.answers["GET /v1/query"] = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, `{"next":"again"}`) }
	f.run("", "query", "--last", "1h", "-o", "ndjson").want(t, shell.ExitFailed, "", "empty page")
}

func TestTableStaysBounded(t *testing.T) {
	f := newFake(t)
	f.answers["GET /v1/latest"] = func(w http.ResponseWriter, _ *http.Request) {
		for i := range 1200 {
			fmt.Fprintf(w, `{"controller":"c%d","point":"p","unit":"","time":1,"value":true,"status":0}`+"\n", i)
		}
	}
	if got := f.run("", "query"); strings.Count(got.stdout, "\n") != 1201 || strings.Count(got.stdout, "CONTROLLER") != 1 {
		t.Errorf("%d lines", strings.Count(got.stdout, "\n"))
	}
}
