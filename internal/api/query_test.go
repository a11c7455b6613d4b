package api_test

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api"
	"github.com/penstock/penstock/internal/evidence"
)

var t0 = startOfTest.UnixNano()

func at(seconds int, v penstock.Value, s penstock.Status) sample {
	return sample{SourceTime: t0 + int64(seconds)*1e9, Value: v, Status: s}
}

// filled returns a gateway with two controllers in the record.
func filled(t testing.TB, change ...func(*api.Options)) *gateway {
	g := start(t, change...)
	g.historian.put("pump-17", "flow", "m3/h",
		at(-90, penstock.FloatValue(1), penstock.Good), at(-60, penstock.FloatValue(3), penstock.Good),
		at(-50, penstock.Value{}, penstock.BadNoCommunication), at(0, penstock.FloatValue(math.Copysign(0, -1)), penstock.Uncertain),
		at(0, penstock.FloatValue(7), penstock.Good))
	g.historian.put("pump-17", "count", "", at(0, penstock.UintValue(math.MaxUint64), penstock.Good), at(1, penstock.IntValue(math.MinInt64), penstock.Good))
	g.historian.put("tank \"1\"", "mode, set/point", "", at(0, penstock.TextValue("off, \"really\"\n"), penstock.Good), at(1, penstock.FloatValue(math.NaN()), penstock.Good), at(2, penstock.BoolValue(true), penstock.Good))
	g.evidence.Port("line-3").Add(evidence.Received, 120)
	g.evidence.Port("line-3").Bad(evidence.Checksum, []byte{0x01, 0x03, 0xff}, "the CRC-16/MODBUS of the frame is ff03 and should be 0a4c")
	for _, name := range []string{"pump-17", "tank-1"} {
		g.evidence.Controller(name).Count(evidence.Timeout)
		g.evidence.Controller(name).Signal(evidence.RSSI, -71.5)
		g.evidence.Controller(name).Peer("10.0.0.7:502")
	}
	return g
}

func (g *gateway) get(path string, header ...string) reply {
	g.t.Helper()
	a := ask{path: path, token: "viewer", header: map[string]string{}}
	for i := 0; i < len(header); i += 2 {
		a.header[header[i]] = header[i+1]
	}
	return g.do(g.client(true), a)
}

func TestQuery(t *testing.T) {
	g := filled(t)
	for _, c := range []struct{ query, want string }{
		{"controller=pump-17&point=flow&from=-60s&to=now&time=ns",
			fmt.Sprintf(`{"series":[{"controller":"pump-17","point":"flow","unit":"m3/h","samples":[[%d,3.0,0],[%d,null,2150694912]]}]}`, t0-60e9, t0-50e9)},
		{"controller=pump-17&point=flow&from=2026-11-22T07:00:00%2B01:00",
			`{"series":[{"controller":"pump-17","point":"flow","unit":"m3/h","samples":[["2026-11-22T06:00:00.000000000Z",-0.0,1073741824],["2026-11-22T06:00:00.000000000Z",7.0,0]]}]}`},
		{"controller=pump-17&point=count",
			`{"series":[{"controller":"pump-17","point":"count","unit":"","samples":[["2026-11-22T06:00:00.000000000Z",18446744073709551615,0],["2026-11-22T06:00:01.000000000Z",-9223372036854775808,0]]}]}`},
		{"controller=nobody", `{"series":[]}`},
		{"controller=*%22", `{"series":[{"controller":"tank \"1\"","point":"mode, set/point","unit":"","samples":[["2026-11-22T06:00:00.000000000Z","off, \"really\"\n",0],["2026-11-22T06:00:01.000000000Z","NaN",0],["2026-11-22T06:00:02.000000000Z",true,0]]}]}`},
		{"point=flow&step=1m&time=ns", fmt.Sprintf(`{"series":[{"controller":"pump-17","point":"flow","unit":"m3/h","samples":[[%d,1.0,0],[%d,3.0,2150694912],[%d,3.5,1073741824]]}]}`, t0-120e9, t0-60e9, t0)},
		{"point=flow&step=1h&agg=count&time=ns", fmt.Sprintf(`{"series":[{"controller":"pump-17","point":"flow","unit":"m3/h","samples":[[%d,2,2150694912],[%d,2,1073741824]]}]}`, t0-3600e9, t0)},
		{"point=flow&step=1h&agg=last&from=now&time=ns", fmt.Sprintf(`{"series":[{"controller":"pump-17","point":"flow","unit":"m3/h","samples":[[%d,7.0,1073741824]]}]}`, t0)},
	} {
		if r := g.get("/v1/query?" + c.query); r.status != 200 || r.body != c.want+"\n" {
			t.Errorf("%s: %d\n%s", c.query, r.status, r.body)
		}
	}
	r := g.get("/v1/latest?controller=pump-*&time=ns")
	if want := fmt.Sprintf(`{"series":[{"controller":"pump-17","point":"count","unit":"","samples":[[%d,-9223372036854775808,0]]},{"controller":"pump-17","point":"flow","unit":"m3/h","samples":[[%d,7.0,0]]}]}`+"\n", t0+1e9, t0); r.body != want {
		t.Errorf("latest: %s", r.body)
	}
}

func TestFormats(t *testing.T) {
	g := filled(t)
	r := g.get("/v1/query?controller=tank*&time=ns", "Accept", "text/csv;q=0.9, application/json;q=0.1")
	rows, err := csv.NewReader(strings.NewReader(r.body)).ReadAll()
	if err != nil || r.header.Get("Content-Type") != "text/csv; charset=utf-8; header=present" {
		t.Fatalf("%v %v", r.header, err)
	}
	if len(rows) != 4 || rows[1][4] != "off, \"really\"\n" || rows[2][4] != "NaN" || rows[3][0] != `tank "1"` || rows[0][3] != "time" {
		t.Errorf("%q", rows)
	}
	r = g.get("/v1/query?controller=tank*&limit=2", "Accept", "application/x-ndjson")
	all := strings.Split(strings.TrimSpace(r.body), "\n")
	var first struct {
		Controller, Point, Unit, Time string
		Value                         any
		Status                        int
	}
	if err := json.Unmarshal([]byte(all[0]), &first); err != nil || first.Point != "mode, set/point" || first.Time != "2026-11-22T06:00:00.000000000Z" {
		t.Errorf("%v %s", err, all[0])
	}
	if len(all) != 3 || !strings.HasPrefix(all[2], `{"next":"`) {
		t.Errorf("%q", all)
	}
	if r := g.get("/v1/query", "Accept", "text/html"); r.status != 406 {
		t.Errorf("text/html: %d", r.status)
	}
	r = g.get("/v1/query?limit=1", "Accept", "text/csv")
	if r.trailer.Get("Penstock-Next") == "" {
		t.Errorf("CSV was cut in silence: %v", r.trailer)
	}
	r = g.get("/v1/query?limit=100", "Accept", "text/csv")
	if r.trailer.Get("Penstock-Next") != "" {
		t.Errorf("CSV was not cut: %v", r.trailer)
	}
}

// Whatever the limit, the pages together are the whole, and the last has no next.
func TestPages(t *testing.T) {
	g := filled(t)
	c := g.client(true)
	rapid.Check(t, func(t *rapid.T) {
		q := rapid.SampledFrom([]string{"", "&step=1m", "&from=-70s", "&step=7s&agg=max&from=-88s"}).Draw(t, "query")
		limit := rapid.IntRange(1, 12).Draw(t, "limit")
		whole := g.do(c, ask{path: "/v1/query?time=ns" + q, token: "viewer", header: map[string]string{"Accept": "text/csv"}})
		var rows []string
		next := ""
		for range 20 {
			r := g.do(c, ask{path: fmt.Sprintf("/v1/query?time=ns%s&limit=%d&next=%s", q, limit, next), token: "viewer", header: map[string]string{"Accept": "text/csv"}})
			page := strings.SplitAfter(r.body, "\r\n")
			if len(rows) > 0 {
				page = page[1:]
			}
			rows = append(rows, page...)
			if next = r.trailer.Get("Penstock-Next"); next == "" {
				break
			}
		}
		if got := strings.Join(rows, ""); got != whole.body {
			t.Fatalf("pages of %d:\n%s\nwhole:\n%s", limit, got, whole.body)
		}
	})
}

// The pages of a range relative to now are pages of one range.
func TestPagesWhileTimeGoesOn(t *testing.T) {
	var moved atomic.Int64
	g := filled(t, func(o *api.Options) { o.Now = func() time.Time { return startOfTest.Add(time.Duration(moved.Load())) } })
	r := g.get("/v1/query?point=flow&from=-100s&to=-10s&limit=1&time=ns")
	var a struct{ Next string }
	if err := json.Unmarshal([]byte(r.body), &a); err != nil || a.Next == "" {
		t.Fatal(r.body, err)
	}
	moved.Store(int64(time.Hour))
	r = g.get("/v1/query?point=flow&from=-100s&to=-10s&time=ns&next=" + a.Next)
	if want := fmt.Sprintf(`"samples":[[%d,3.0,0],[%d,null,2150694912]]}]}`, t0-60e9, t0-50e9); !strings.Contains(r.body, want) {
		t.Error(r.body)
	}
}

func TestQueriesThatCannotBe(t *testing.T) {
	g := filled(t)
	for query, says := range map[string]string{
		"from=yesterday":                        "from=",
		"from=2500-01-01T00:00:00Z":             "1678",
		"from=now&to=-1h":                       "after",
		"step=0s":                               "step",
		"step=x":                                "step",
		"step=1e300d":                           "step",
		"agg=avg":                               "needs a step",
		"step=1m&agg=median":                    "agg=",
		"limit=0":                               "limit",
		"limit=99999999999999999999":            "limit",
		"time=unix":                             "time=",
		"next=xyz":                              "next=",
		"next=" + strings.Repeat("A", 40):       "next=",
		"controler=a":                           "controler",
		"controller=a&controller=b":             "2 times",
		"controller=%zz":                        "query",
		"a;b":                                   "query",
		url.QueryEscape("contr\x00oller") + "=": "query",
	} {
		r := g.get("/v1/query?" + query)
		if r.status != 400 || !strings.Contains(r.body, says) || r.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", query, r.status, r.body)
		}
	}
}

func TestScopeHidesOthers(t *testing.T) {
	g := filled(t)
	c := g.client(false)
	for path, want := range map[string]int{
		"/v1/query":                      200,
		"/v1/query?controller=*":         200,
		"/v1/query?controller=tank+%221": 403,
		"/v1/latest?controller=tank-1":   403,
		"/v1/stream?controller=tank-1":   403,
		"/v1/ledger":                     200,
		"/v1/controllers":                200,
	} {
		r := g.do(c, ask{path: path, token: "narrow"})
		if r.status != want || strings.Contains(r.body, "tank 1") || strings.Contains(r.body, `"name":"tank`) || strings.Contains(r.body, `"controller":"tank`) || strings.Contains(r.body, "nameless") {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

func TestARecordThatIsBehind(t *testing.T) {
	g := filled(t, func(o *api.Options) { o.Limits.Query.Settle = 10 * time.Millisecond })
	g.historian.behind = true
	if r := g.get("/v1/query"); r.status != 503 || r.header.Get("Retry-After") != "5" {
		t.Error(r)
	}
}

func TestAnAnswerThatBreaksOff(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		g := start(t)
		many := make([]sample, 5000)
		for i := range many {
			many[i] = at(i, penstock.FloatValue(1), penstock.Good)
		}
		g.historian.put("a", "b", "", many...)
		g.historian.broken = 10
		r := g.do(g.client(h2), ask{path: "/v1/query", token: "viewer"})
		if r.status != 500 || strings.Contains(r.body, "rotten") || !strings.Contains(g.log.String(), "rotten") {
			t.Errorf("early: %v", r)
		}
		g.historian.broken = 4000
		if r, err := g.try(g.client(h2), ask{path: "/v1/query", token: "viewer"}); err == nil {
			t.Errorf("half an answer looks whole: %d bytes", len(r.body))
		}
	})
}

func TestLedger(t *testing.T) {
	g := start(t)
	var books struct {
		Controllers []struct {
			Controller string
			Received   int
			Balanced   bool
		}
		Total struct {
			Received, Accepted, Committed int
			Rejected                      map[string]int
			Balanced                      bool
		}
		Nameless map[string]int
	}
	r := g.get("/v1/ledger")
	if err := json.Unmarshal([]byte(r.body), &books); err != nil {
		t.Fatal(err, r.body)
	}
	if len(books.Controllers) != 2 || books.Controllers[0].Controller != "pump-17" || books.Total.Received != 11 ||
		books.Total.Rejected["conflict"] != 1 || !books.Total.Balanced || books.Nameless["unauthenticated"] != 3 {
		t.Errorf("%s", r.body)
	}
	r = g.get("/v1/ledger?controller=tank*")
	if strings.Contains(r.body, "pump") || strings.Contains(r.body, "nameless") {
		t.Errorf("%s", r.body)
	}
}

func TestCredentials(t *testing.T) {
	g := start(t)
	c := g.client(true)
	manage := func(method, path, token, body string) reply {
		t.Helper()
		return g.do(c, ask{method: method, path: path, token: token, body: body, header: map[string]string{"Content-Type": "application/json"}})
	}
	r := manage("POST", "/v1/controllers", "admin", `{"name":"station 17","scope":["pump-17"]}`)
	var added struct{ ID, Token, Role string }
	if err := json.Unmarshal([]byte(r.body), &added); err != nil || r.status != 201 || added.Role != "controller" {
		t.Fatal(r)
	}
	if r := g.send(c, report("pump-17", 1, 1, 1), "Authorization", "Bearer "+added.Token); r.status != 200 {
		t.Fatal(r)
	}
	if r := g.do(c, ask{path: "/v1/controllers", token: "admin"}); !strings.Contains(r.body, `"name":"station 17"`) || !strings.Contains(r.body, `"last_identity":"1/7"`) {
		t.Errorf("%s", r.body)
	}
	if r := g.do(c, ask{path: "/v1/controllers", token: "viewer"}); strings.Contains(r.body, "credentials") {
		t.Errorf("a viewer sees credentials: %s", r.body)
	}
	if r := manage("DELETE", "/v1/controllers/"+added.ID, "narrow", ""); r.status != 204 {
		t.Fatal(r)
	}
	if r := g.send(c, report("pump-17", 1, 2, 1), "Authorization", "Bearer "+added.Token); r.status != 401 {
		t.Fatal(r)
	}
	for _, step := range []struct {
		method, path, token, body string
		status                    int
	}{
		{"POST", "/v1/controllers", "narrow", `{"name":"x","scope":["*"]}`, 403},
		{"POST", "/v1/controllers", "narrow", `{"name":"x","scope":["pump-1*"]}`, 201},
		{"POST", "/v1/controllers", "admin", `{"name":"x","scope":[]}`, 400},
		{"POST", "/v1/controllers", "admin", `{"name":"","scope":["*"]}`, 400},
		{"POST", "/v1/controllers", "admin", `{"name":"x","scope":["*"],"role":"god"}`, 400},
		{"POST", "/v1/controllers", "admin", `{"name":"x","scope":["*"],"kind":"certificate"}`, 400},
		{"POST", "/v1/controllers", "admin", `{"name":"x","Scope":["*"]}`, 400},
		{"POST", "/v1/controllers", "admin", `{"name":"x","scope":["a"],"scope":["*"]}`, 400},
		{"POST", "/v1/controllers", "admin", `{"name":"x","scope":["a"]} {}`, 400},
		{"POST", "/v1/controllers", "admin", `{"name":"x","scope":[["a"]]}`, 400},
		{"POST", "/v1/controllers", "admin", `{"name":"x","scope":"a"}`, 400},
		{"POST", "/v1/controllers", "admin", "{\"name\":\"\xff\",\"scope\":[\"a\"]}", 400},
		{"POST", "/v1/controllers", "admin", `[`, 400},
		{"POST", "/v1/controllers", "admin", `null`, 400},
		{"POST", "/v1/controllers", "admin", strings.Repeat(" ", 65<<10), 413},
		{"DELETE", "/v1/controllers/nobody", "admin", "", 404},
		{"DELETE", "/v1/controllers/admin", "narrow", "", 404},
		{"POST", "/v1/controllers/tank-1/admit", "operator", "", 204},
		{"POST", "/v1/controllers/tank-2/admit", "operator", "", 404},
		{"POST", "/v1/controllers/tank-1/admit", "narrow", "", 403},
	} {
		if r := manage(step.method, step.path, step.token, step.body); r.status != step.status {
			t.Errorf("%s %s as %s with %.60s: %d %s", step.method, step.path, step.token, step.body, r.status, r.body)
		}
	}
}

// stream opens an event stream and returns a function for the next event.
func (g *gateway) stream(path, last string) (next func() string, closeStream func()) {
	g.t.Helper()
	req, _ := http.NewRequest(http.MethodGet, "https://"+g.addr+path, nil)
	req.Header.Set("Authorization", "Bearer viewer")
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := g.client(true).Do(req)
	if err != nil || res.StatusCode != 200 {
		g.t.Fatal(res, err)
	}
	lines := bufio.NewScanner(res.Body)
	next = func() string {
		var event []string
		for lines.Scan() {
			if lines.Text() == "" {
				return strings.Join(event, "|")
			}
			event = append(event, lines.Text())
		}
		return "end"
	}
	if got := next(); got != "retry: 2000" {
		g.t.Fatalf("the stream begins with %s", got)
	}
	return next, func() { res.Body.Close() }
}

func settled(controller string, seq uint64) *penstock.Report {
	return &penstock.Report{Controller: controller, Identity: penstock.SequenceIdentity(1, seq),
		Samples: []sample{{Point: "flow", SourceTime: t0, Value: penstock.FloatValue(1.5), Unit: "m3/h"}, {Point: "p", SourceTime: t0, Value: penstock.IntValue(2)}}}
}

func TestStream(t *testing.T) {
	g := start(t)
	next, done := g.stream("/v1/stream?controller=pump-*&point=flow&time=ns", "")
	g.feed.Publish([]*penstock.Report{settled("tank-1", 1), settled("pump-17", 1)})
	first := next()
	want := fmt.Sprintf(`event: report|data: {"controller":"pump-17","epoch":1,"seq":1,"samples":[{"point":"flow","time":%d,"value":1.5,"status":0,"unit":"m3/h"}]}`, t0)
	id, rest, _ := strings.Cut(strings.TrimPrefix(first, "id: "), "|")
	if rest != want {
		t.Errorf("got %s", first)
	}
	done()
	eventually(t, "the end of the stream", func() bool { return g.server.Streams() == 0 })
	for i := range 20 {
		g.feed.Publish([]*penstock.Report{settled("pump-17", uint64(i+2))})
	}
	next, done = g.stream("/v1/stream", id)
	if got := next(); got != `event: missed|data: {"missed":12}` {
		t.Errorf("got %s", got)
	}
	if got := next(); !strings.Contains(got, `"seq":14`) {
		t.Errorf("got %s", got)
	}
	done()
	next, done = g.stream("/v1/stream", "abc-1")
	if got := next(); got != `event: missed|data: {"missed":null}` {
		t.Errorf("got %s", got)
	}
	done()
	if r := g.get("/v1/stream", "Last-Event-ID", "nonsense"); r.status != 400 {
		t.Error(r)
	}
}

func TestStreamEnds(t *testing.T) {
	g := start(t, func(o *api.Options) {
		o.Now = nil
		o.Limits.Query.Heartbeat = 10 * time.Millisecond
		o.Limits.Query.Streams = 1
	})
	next, done := g.stream("/v1/stream", "")
	defer done()
	if got := next(); got != ": heartbeat" {
		t.Errorf("got %s", got)
	}
	if r := g.get("/v1/stream"); r.status != 503 {
		t.Errorf("one more than may be: %d", r.status)
	}
	if err := g.fleet.Revoke("viewer"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of a revoked reader", func() bool { return next() == "end" })
	g.fleet.creds[1].Revoked = 0
	next, done = g.stream("/v1/stream", "")
	defer done()
	begin := time.Now()
	g.stop()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("a stream held up the end for %v", took)
	}
	eventually(t, "the end with the server", func() bool { return next() == "end" })
}
