package api_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api"
	"github.com/penstock/penstock/internal/api/problem"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := "testdata/" + name
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what it was; look at the difference, and run with -update if it is meant:\n%s", file, difference(string(want), string(got)))
	}
}

func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var b strings.Builder
	for i := range max(len(w), len(g)) {
		var x, y string
		if i < len(w) {
			x = w[i]
		}
		if i < len(g) {
			y = g[i]
		}
		if x != y {
			fmt.Fprintf(&b, "line %d\n- %s\n+ %s\n", i+1, x, y)
		}
	}
	return b.String()
}

// show writes an answer as the golden file has it. The headers that stand on
// every answer are named once, at the top of the file, and only told when they
// differ.
func show(b *bytes.Buffer, name string, r reply, always http.Header) {
	fmt.Fprintf(b, "\n## %s\n%d\n", name, r.status)
	names := []string{}
	for n := range r.header {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		v := strings.Join(r.header[n], " ⏎ ")
		if n != "Date" && n != "Content-Length" && strings.Join(always[n], " ⏎ ") != v {
			fmt.Fprintf(b, "%s: %s\n", n, v)
		}
	}
	for n := range always {
		if _, ok := r.header[n]; !ok {
			fmt.Fprintf(b, "MISSING %s\n", n)
		}
	}
	fmt.Fprintf(b, "%s\n", strings.TrimSpace(r.body))
}

// table are the routes as the golden file asks them, each as who may just call
// it, and in ways that fail.
var table = []struct {
	name string
	ask  ask
}{
	{"a report", ask{"POST", "/v1/reports", "controller", report("pump-17", 1, 1, 12.5), asJSON}},
	{"a query", ask{"GET", "/v1/query?point=flow", "viewer", "", nil}},
	{"the latest", ask{"GET", "/v1/latest?point=count", "viewer", "", nil}},
	{"the ledger", ask{"GET", "/v1/ledger", "viewer", "", nil}},
	{"the controllers", ask{"GET", "/v1/controllers", "viewer", "", nil}},
	{"the credentials", ask{"GET", "/v1/controllers", "admin", "", nil}},
	{"the links", ask{"GET", "/v1/links?detail=1", "viewer", "", nil}},
	{"the links of a narrow scope", ask{"GET", "/v1/links", "narrow", "", nil}},
	{"one port", ask{"GET", "/v1/links?port=line-*", "viewer", "", nil}},
	{"the links of one without a page", ask{"GET", "/v1/links?controller=quiet", "viewer", "", nil}},
	{"the diagnosis", ask{"GET", "/v1/diagnose", "viewer", "", nil}},
	{"the diagnosis of a site since then", ask{"GET", "/v1/diagnose?site=north&since=1h", "viewer", "", nil}},
	{"the diagnosis since nonsense", ask{"GET", "/v1/diagnose?since=yesterday", "viewer", "", nil}},
	{"the diagnosis of a narrow scope", ask{"GET", "/v1/diagnose?controller=*", "narrow", "", nil}},
	{"the verdict on a controller", ask{"GET", "/v1/diagnose/pump-17", "viewer", "", nil}},
	{"the verdict on nobody", ask{"GET", "/v1/diagnose/nobody", "viewer", "", nil}},
	{"the verdict outside the scope", ask{"GET", "/v1/diagnose/tank-2", "narrow", "", nil}},
	{"a commissioning", ask{"POST", "/v1/commission/pump-17", "operator", `{"for":"5m"}`, asJSON}},
	{"a commissioning of nobody", ask{"POST", "/v1/commission/nobody", "operator", `{}`, asJSON}},
	{"a commissioning for nonsense", ask{"POST", "/v1/commission/pump-17", "operator", `{"every":"often"}`, asJSON}},
	{"the commissionings", ask{"GET", "/v1/commission/pump-17", "viewer", "", nil}},
	{"the sinks", ask{"GET", "/v1/sinks", "viewer", "", nil}},
	{"the sinks for a narrow scope", ask{"GET", "/v1/sinks", "narrow", "", nil}},
	{"a sink paused", ask{"POST", "/v1/sinks/broker/pause", "operator", "", nil}},
	{"a sink resumed", ask{"POST", "/v1/sinks/broker/resume", "operator", "", nil}},
	{"a sink that is not there", ask{"POST", "/v1/sinks/nobody/pause", "operator", "", nil}},
	{"a replay", ask{"POST", "/v1/sinks/broker/replay?since=2026-11-22T05:00:00Z", "operator", "", nil}},
	{"a replay since no time", ask{"POST", "/v1/sinks/broker/replay", "operator", "", nil}},
	{"the quarantine", ask{"GET", "/v1/quarantine/historian", "operator", "", nil}},
	{"a page of the quarantine", ask{"GET", "/v1/quarantine/historian?limit=1&detail=1", "operator", "", nil}},
	{"a page that is too large", ask{"GET", "/v1/quarantine/historian?limit=101", "operator", "", nil}},
	{"a report in quarantine", ask{"GET", "/v1/quarantine/historian/2", "operator", "", nil}},
	{"a report that is not in quarantine", ask{"GET", "/v1/quarantine/historian/3", "operator", "", nil}},
	{"a retry at a record", ask{"POST", "/v1/quarantine/historian/2/retry", "operator", "", nil}},
	{"a discard at a plain sink", ask{"POST", "/v1/quarantine/broker/5/discard", "operator", "", nil}},
	{"the sheet", ask{"GET", "/v1/controllers/export", "viewer", "", nil}},
	{"the sheet of a narrow scope", ask{"GET", "/v1/controllers/export?controller=*", "narrow", "", nil}},
	{"an import", ask{"POST", "/v1/controllers/import", "admin", "controller\na\nb\n", asCSV}},
	{"an import that is only tried", ask{"POST", "/v1/controllers/import?dry_run=1", "admin", "controller\nc\n", asCSV}},
	{"an import with problems", ask{"POST", "/v1/controllers/import", "narrow", "controller\npump-1\npump-2,bad\ntank-1\n", asCSV}},
	{"an import that is no CSV", ask{"POST", "/v1/controllers/import", "admin", "{}", asJSON}},
	{"an import that is too large", ask{"POST", "/v1/controllers/import", "admin", strings.Repeat(" ", 32<<20+1), asCSV}},
	{"an import by another method", ask{"PUT", "/v1/controllers/import", "admin", "", asCSV}},
	{"the credentials for another node", ask{"GET", "/v1/credentials/export", "admin", "", nil}},
	{"the credentials for a viewer", ask{"GET", "/v1/credentials/export", "viewer", "", nil}},
	{"the credentials for a narrow admin", ask{"GET", "/v1/credentials/export", "narrow", "", nil}},
	{"credentials of another node", ask{"POST", "/v1/credentials/import", "admin", `{"version":1,"credentials":[]}`, asJSON}},
	{"credentials that are none", ask{"POST", "/v1/credentials/import", "admin", `{}`, asJSON}},
	{"credentials from a narrow admin", ask{"POST", "/v1/credentials/import", "narrow", `{"version":1,"credentials":[]}`, asJSON}},
	{"a new credential", ask{"POST", "/v1/controllers", "admin", `{"name":"n","scope":["a*"],"role":"viewer"}`, asJSON}},
	{"a new key", ask{"POST", "/v1/controllers", "admin", `{"name":"k","kind":"key","scope":["a*"]}`, asJSON}},
	{"a certificate that is none", ask{"POST", "/v1/controllers", "admin", `{"name":"k","certificate":"x","scope":["a*"]}`, asJSON}},
	{"a certificate with its key", ask{"POST", "/v1/controllers", "admin", `{"name":"k","certificate":"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n","scope":["a*"]}`, asJSON}},
	{"a certificate of no kind", ask{"POST", "/v1/controllers", "admin", `{"name":"k","kind":"certificate","scope":["a*"]}`, asJSON}},
	{"revoked", ask{"DELETE", "/v1/controllers/new5", "admin", "", nil}},
	{"admitted", ask{"POST", "/v1/controllers/tank-1/admit", "operator", "", nil}},
	{"the flow", ask{"GET", "/v1/flow", "viewer", "", nil}},
	{"the flow of a narrow scope", ask{"GET", "/v1/flow", "narrow", "", nil}},
	{"the log", ask{"GET", "/v1/log", "operator", "", nil}},
	{"a level of the log", ask{"PUT", "/v1/log/level", "operator", `{"component":"spool","level":"debug"}`, asJSON}},
	{"a level of a component that is not there", ask{"PUT", "/v1/log/level", "operator", `{"component":"spol","level":"debug"}`, asJSON}},
	{"no level", ask{"PUT", "/v1/log/level", "operator", `{}`, asJSON}},
	{"a write with an unknown precision", ask{"POST", "/write?precision=h", "controller", "m v=1", nil}},
	{"an agent that looks for a database", ask{"GET", "/ping", "", "", nil}},
	{"only the head", ask{"HEAD", "/v1/latest", "viewer", "", nil}},
	{"a path that is not there", ask{"GET", "/v2/query", "", "", nil}},
	{"the console", ask{"GET", "/", "", "", nil}},
	{"a part of the console that is not there", ask{"GET", "/assets/nothing.js", "", "", nil}},
	{"a plot", ask{"GET", "/v1/plot?controller=pump-17&point=flow&from=-2m&steps=10", "viewer", "", nil}},
	{"a plot of a point that is not there", ask{"GET", "/v1/plot?controller=pump-17&point=nothing", "viewer", "", nil}},
	{"a plot of everything", ask{"GET", "/v1/plot?controller=*&point=flow", "viewer", "", nil}},
	{"a plot beyond the scope", ask{"GET", "/v1/plot?controller=tank-1&point=level", "narrow", "", nil}},
	{"a plot of too many steps", ask{"GET", "/v1/plot?controller=pump-17&point=flow&steps=2001", "viewer", "", nil}},
	{"a plot that ends before it begins", ask{"GET", "/v1/plot?controller=pump-17&point=flow&from=now&to=-1h", "viewer", "", nil}},
	{"who asks", ask{"GET", "/v1/session", "narrow", "", nil}},
	{"signing in with nonsense", ask{"POST", "/v1/session", "", `{"token":"nonsense"}`, asJSON}},
	{"signing in as a controller", ask{"POST", "/v1/session", "", `{"token":"controller"}`, asJSON}},
	{"signing in from another site", ask{"POST", "/v1/session", "", `{"token":"viewer"}`, map[string]string{"Content-Type": "application/json", "Sec-Fetch-Site": "same-site"}}},
	{"signing out", ask{"DELETE", "/v1/session", "", "", nil}},
	{"watching beyond the scope", ask{"GET", "/v1/watch?controller=tank-1", "narrow", "", nil}},
	{"a method that the path has not", ask{"PUT", "/v1/query", "viewer", "", nil}},
	{"a method that another path has", ask{"DELETE", "/v1/query", "viewer", "", nil}},
	{"a method for browsers", ask{"OPTIONS", "/v1/query", "", "", nil}},
	{"a method that shows requests", ask{"TRACE", "/v1/query", "", "", nil}},
	{"a method of nobody", ask{"BREW", "/v1/reports", "", "", nil}},
	{"a path that climbs", ask{"GET", "/v1/../v1/query", "viewer", "", nil}},
	{"a path with holes", ask{"GET", "/v1//query", "viewer", "", nil}},
	{"an escaped slash", ask{"GET", "/v1%2fquery", "viewer", "", nil}},
	{"no credential", ask{"GET", "/v1/query", "", "", nil}},
	{"no credential for a report", ask{"POST", "/v1/reports", "", report("a", 1, 1, 1), asJSON}},
	{"too low a role", ask{"GET", "/v1/query", "controller", "", nil}},
	{"beyond the scope", ask{"GET", "/v1/query?controller=tank-1", "narrow", "", nil}},
	{"not JSON", ask{"POST", "/v1/reports", "controller", "{", asJSON}},
	{"no media type", ask{"POST", "/v1/reports", "controller", "{}", nil}},
	{"a wrong checksum", ask{"POST", "/v1/reports", "controller", "{}", map[string]string{"Content-Type": "application/json", "Penstock-Crc32": "00000000"}}},
	{"a key used again", ask{"POST", "/v1/reports", "controller", `{"controller":"a","samples":[2]}`, map[string]string{"Content-Type": "application/json", "Idempotency-Key": "k"}}},
	{"a body that is too large", ask{"POST", "/v1/reports", "controller", strings.Repeat(" ", 8<<20+1), asJSON}},
	{"a header that is too large", ask{"GET", "/v1/query", "viewer", "", map[string]string{"X-Long": strings.Repeat("x", 16<<10)}}},
	{"an address that is too long", ask{"GET", "/v1/query?point=" + strings.Repeat("x", 16<<10), "viewer", "", nil}},
	{"an unknown parameter", ask{"GET", "/v1/query?pionts=a", "viewer", "", nil}},
	{"a media type that is not there", ask{"GET", "/v1/query", "viewer", "", map[string]string{"Accept": "image/png"}}},
	{"a page of another site", ask{"POST", "/v1/controllers", "admin", `{}`, map[string]string{"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}}},
	{"a fault of the gateway", ask{"POST", "/v1/reports", "controller", `panic`, asJSON}},
	{"a full spool", ask{"POST", "/v1/reports", "controller", `full`, asJSON}},
	{"an explanation", ask{"GET", "/problems/full", "", "", nil}},
	{"an explanation that is not there", ask{"GET", "/problems/nothing", "", "", nil}},
}

var asCSV = map[string]string{"Content-Type": "text/csv; charset=utf-8"}

var asJSON = map[string]string{"Content-Type": "application/json"}

func TestGoldenAnswers(t *testing.T) {
	var first []byte
	both(t, func(t *testing.T, h2 bool) {
		g := filled(t, func(o *api.Options) { o.Limits.Web.Drain = 1 })
		g.pipeline.known["a key:k"] = "[1]"
		g.pipeline.fail = func(_ int, e *penstock.Envelope) error {
			switch string(e.Body) {
			case "panic":
				panic("a secret")
			case "full":
				return penstock.RetryLater(penstock.Full, 30e9, "The spool is full.")
			}
			return nil
		}
		c := g.client(h2)
		var b bytes.Buffer
		always := g.do(c, ask{path: "/nothing"}).header.Clone()
		always.Del("Content-Type")
		b.WriteString("# What stands on every answer, and then what does not\n")
		for _, n := range slices.Sorted(func(yield func(string) bool) {
			for n := range always {
				if !yield(n) {
					return
				}
			}
		}) {
			if n != "Date" && n != "Content-Length" {
				fmt.Fprintf(&b, "%s: %s\n", n, strings.Join(always[n], " ⏎ "))
			}
		}
		for _, step := range table {
			show(&b, step.name, g.do(c, step.ask), always)
		}
		if len(g.sheets.imported) != 1 || g.sheets.imported[0] != "controller\na\nb\n" {
			t.Errorf("imported %q, and not the one that was asked for", g.sheets.imported)
		}
		if strings.Contains(b.String(), "a secret") || !strings.Contains(g.log.String(), "a secret") {
			t.Error("a panic belongs in the log and not in an answer")
		}
		if first == nil {
			first = b.Bytes()
			golden(t, "answers.txt", first)
		} else if !bytes.Equal(first, b.Bytes()) {
			t.Errorf("HTTP/2 answers otherwise than HTTP/1.1:\n%s", difference(string(first), b.String()))
		}
	})
}

// Every route refuses every role below its own, and no route lets anybody in who
// shows nothing.
func TestRoleMatrix(t *testing.T) {
	g := start(t)
	c := g.client(true)
	roles := []string{"", "controller", "viewer", "operator", "admin"}
	for _, r := range []struct {
		method, path string
		least        int
	}{
		{"POST", "/v1/reports", 1}, {"POST", "/write", 1}, {"POST", "/api/v2/write", 1}, {"GET", "/ping", 0}, {"GET", "/v1/query", 2}, {"GET", "/v1/latest", 2}, {"GET", "/v1/ledger", 2}, {"GET", "/v1/links", 2},
		{"GET", "/v1/diagnose", 2}, {"GET", "/v1/diagnose/pump-17", 2}, {"POST", "/v1/commission/nobody", 3}, {"GET", "/v1/commission/pump-17", 2},
		{"GET", "/v1/sinks", 2}, {"POST", "/v1/sinks/nobody/pause", 3}, {"POST", "/v1/sinks/nobody/resume", 3}, {"POST", "/v1/sinks/nobody/replay", 3},
		{"GET", "/v1/quarantine/nobody", 3}, {"GET", "/v1/quarantine/nobody/1", 3}, {"POST", "/v1/quarantine/nobody/1/retry", 3}, {"POST", "/v1/quarantine/nobody/1/discard", 3},
		{"GET", "/v1/controllers/export", 2}, {"POST", "/v1/controllers/import", 4},
		{"GET", "/v1/controllers", 2}, {"POST", "/v1/controllers", 4}, {"DELETE", "/v1/controllers/nobody", 4},
		{"POST", "/v1/controllers/nobody/admit", 3}, {"GET", "/v1/plot", 2}, {"GET", "/v1/session", 2}, {"DELETE", "/v1/session", 0}, {"GET", "/openapi.json", 0}, {"GET", "/problems/full", 0},
	} {
		for i, role := range roles {
			got := g.do(c, ask{method: r.method, path: r.path, token: role}).status
			denied := got == 401 || got == 403
			if denied != (i < r.least) || denied && (got == 401) != (i == 0) {
				t.Errorf("%s %s as %q: %d", r.method, r.path, role, got)
			}
		}
	}
}

func TestOpenAPI(t *testing.T) {
	g := start(t)
	r := g.do(g.client(true), ask{path: "/openapi.json"})
	golden(t, "openapi.json", indent(t, r.body))
	for _, k := range problem.Kinds() {
		if e := g.do(g.client(true), ask{path: k.Type()}); e.status != 200 || !strings.Contains(e.body, k.Do) || !strings.Contains(r.body, k.Type()) {
			t.Errorf("%s: %d %s", k.Slug, e.status, e.body)
		}
	}
}
