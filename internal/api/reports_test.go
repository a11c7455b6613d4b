package api_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api"
)

// both runs a test over each version of HTTP.
func both(t *testing.T, f func(t *testing.T, h2 bool)) {
	t.Run("HTTP/1.1", func(t *testing.T) { f(t, false) })
	t.Run("HTTP/2", func(t *testing.T) { f(t, true) })
}

func report(controller string, epoch, seq int, flow float64) string {
	return fmt.Sprintf(`{"controller":%q,"epoch":%d,"seq":%d,"samples":[{"point":"flow","value":%g}]}`, controller, epoch, seq, flow)
}

func zip(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

func crc(s string) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(s))) }

func TestAnswersAsTheIssueSays(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		g := start(t)
		c := g.client(h2)
		for _, step := range []struct {
			name, body string
			header     []string
			status     int
			want       string
		}{
			{"first", report("pump-17", 1, 1, 12.5), nil, 200,
				`{"results":[{"controller":"pump-17","epoch":1,"seq":1,"result":"accepted","committed":{"epoch":1,"seq":0}}]}`},
			{"again", report("pump-17", 1, 1, 12.5), nil, 200,
				`{"results":[{"controller":"pump-17","epoch":1,"seq":1,"result":"duplicate","committed":{"epoch":1,"seq":0}}]}`},
			{"conflict", report("pump-17", 1, 1, 13), nil, 207,
				`{"results":[{"controller":"pump-17","epoch":1,"seq":1,"result":"rejected","reason":"conflict","detail":"known with another content","committed":{"epoch":1,"seq":0}}]}`},
			{"array", "[" + report("pump-17", 1, 2, 1) + "," + report("tank \\\"é", 1, 1, 1) + "]", nil, 200,
				`{"results":[{"controller":"pump-17","epoch":1,"seq":2,"result":"accepted","committed":{"epoch":1,"seq":1}},{"controller":"tank \\\"é","epoch":1,"seq":1,"result":"accepted","committed":{"epoch":1,"seq":0}}]}`},
			{"own key", `{"controller":"a","key":"k1","samples":[]}`, nil, 200, `{"results":[{"controller":"a","key":"k1","result":"accepted"}]}`},
			{"natural", `{"controller":"a","samples":[]}`, nil, 200, `{"results":[{"controller":"a","result":"accepted"}]}`},
			{"header key", `{"controller":"a","samples":[1]}`, []string{"Idempotency-Key", `"8e03978e"`}, 200, `{"results":[{"controller":"a","key":"8e03978e","result":"accepted"}]}`},
			{"header key again, without quotes", `{"controller":"a","samples":[1]}`, []string{"Idempotency-Key", `8e03978e`}, 200, `{"results":[{"controller":"a","key":"8e03978e","result":"duplicate"}]}`},
			{"gzip", zip(report("z", 1, 1, 1)), []string{"Content-Encoding", "gzip"}, 200,
				`{"results":[{"controller":"z","epoch":1,"seq":1,"result":"accepted","committed":{"epoch":1,"seq":0}}]}`},
			{"checksum", report("z", 1, 2, 1), []string{"Penstock-Crc32", crc(report("z", 1, 2, 1))}, 200,
				`{"results":[{"controller":"z","epoch":1,"seq":2,"result":"accepted","committed":{"epoch":1,"seq":1}}]}`},
			{"checksum of gzip", zip(report("z", 1, 3, 1)), []string{"Content-Encoding", "gzip", "Penstock-Crc32", crc(zip(report("z", 1, 3, 1)))}, 200,
				`{"results":[{"controller":"z","epoch":1,"seq":3,"result":"accepted","committed":{"epoch":1,"seq":2}}]}`},
			{"charset", report("z", 1, 4, 1), []string{"Content-Type", "Application/JSON; charset=UTF-8"}, 200,
				`{"results":[{"controller":"z","epoch":1,"seq":4,"result":"accepted","committed":{"epoch":1,"seq":3}}]}`},
		} {
			r := g.send(c, strings.ReplaceAll(step.body, `\\\"`, `\"`), step.header...)
			if want := strings.ReplaceAll(step.want, `\\\"`, `\"`) + "\n"; r.status != step.status || r.body != want {
				t.Errorf("%s: %d %s", step.name, r.status, r.body)
			}
			if got := r.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("%s: Content-Type %s", step.name, got)
			}
		}
	})
}

func TestAKeyUsedAgainIsAProblemWithTheResults(t *testing.T) {
	g := start(t)
	c := g.client(false)
	g.send(c, `{"controller":"a","samples":[1]}`, "Idempotency-Key", "k")
	r := g.send(c, `{"controller":"a","samples":[2]}`, "Idempotency-Key", "k")
	var p struct {
		Type    string `json:"type"`
		Results []struct{ Result, Reason string }
	}
	if err := json.Unmarshal([]byte(r.body), &p); err != nil || r.status != 422 || p.Type != "/problems/idempotency-key-reused" {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if len(p.Results) != 1 || p.Results[0].Reason != "conflict" {
		t.Errorf("%s", r.body)
	}
	// The results are the answer's own while other requests use the buffers.
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if again := g.send(c, `{"controller":"a","samples":[2]}`, "Idempotency-Key", "k"); again.body != r.body {
					t.Errorf("%s", again.body)
				}
				g.send(c, report("other", 1, 1, 1))
			}
		})
	}
	wg.Wait()
}

func TestTheAnswerWaitsForTheTicket(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		g := start(t)
		gate := make(chan struct{})
		g.pipeline.gate = gate
		answered := make(chan reply)
		go func() { answered <- g.send(g.client(h2), report("a", 1, 1, 1)) }()
		eventually(t, "the envelope", func() bool { g.pipeline.mu.Lock(); defer g.pipeline.mu.Unlock(); return len(g.pipeline.envelopes) == 1 })
		select {
		case r := <-answered:
			t.Fatalf("answered before the ticket: %v", r)
		case <-time.After(50 * time.Millisecond):
		}
		close(gate)
		if r := <-answered; r.status != 200 {
			t.Fatal(r)
		}
	})
}

func TestAnUnresolvedTicketPromisesNothing(t *testing.T) {
	g := start(t, func(o *api.Options) { o.Limits.Ingest.Acknowledge = 20 * time.Millisecond })
	g.pipeline.gate = make(chan struct{})
	for _, media := range []string{"application/json", "application/x-ndjson"} {
		r := g.send(g.client(true), report("a", 1, 1, 1), "Content-Type", media)
		if r.status != 503 || r.header.Get("Retry-After") == "" || !strings.Contains(r.body, "send them again") {
			t.Fatal(r)
		}
	}
}

func TestRefusalsOfThePipeline(t *testing.T) {
	g := start(t)
	for _, c := range []struct {
		err        error
		status     int
		kind       string
		retryAfter string
	}{
		{penstock.RetryLater(penstock.Limited, 1500*time.Millisecond, "too many"), 429, "limited", "2"},
		{penstock.RetryLater(penstock.Full, 30*time.Second, "full"), 503, "full", "30"},
		{penstock.RetryLater(penstock.Unavailable, 0, "later"), 503, "unavailable", "1"},
		{penstock.Errorf(penstock.Corrupt, "crc"), 400, "corrupt", ""},
		{penstock.Errorf(penstock.TooLarge, "large"), 413, "too-large", ""},
		{fmt.Errorf("the password is hunter2"), 500, "internal", ""},
	} {
		g.pipeline.fail = func(int, *penstock.Envelope) error { return c.err }
		r := g.send(g.client(false), report("a", 1, 1, 1))
		if r.status != c.status || r.header.Get("Retry-After") != c.retryAfter || !strings.Contains(r.body, `"type":"/problems/`+c.kind+`"`) {
			t.Errorf("%v: %d %q %s", c.err, r.status, r.header.Get("Retry-After"), r.body)
		}
		if strings.Contains(r.body, "hunter2") {
			t.Error("the answer shows what is inside")
		}
	}
}

func TestHeadersThatCannotBe(t *testing.T) {
	g := start(t)
	c := g.client(false)
	body := report("a", 1, 1, 1)
	for _, h := range []struct {
		name, value string
		status      int
	}{
		{"Content-Type", "text/plain", 415},
		{"Content-Type", "application/json; charset=latin1", 415},
		{"Content-Type", ";;;", 415},
		{"Content-Encoding", "br", 415},
		{"Content-Encoding", "gzip, gzip", 415},
		{"Content-Encoding", "gzip", 400}, // it is not
		{"Penstock-Crc32", "123", 400},
		{"Penstock-Crc32", "+1234567", 400},
		{"Penstock-Crc32", "0x123456", 400},
		{"Penstock-Crc32", "00000000", 400}, // does not hold
		{"Idempotency-Key", "a b", 400},
		{"Idempotency-Key", `"a`, 400},
		{"Idempotency-Key", `"a"x`, 400},
		{"Idempotency-Key", `"\a"`, 400},
		{"Idempotency-Key", `""`, 400},
		{"Idempotency-Key", "ключ", 400},
		{"Idempotency-Key", strings.Repeat("k", 231), 400},
		{"Authorization", "Basic Y29udHJvbGxlcjo=", 401},
		{"Authorization", "Bearer nobody", 401},
	} {
		r := g.send(c, body, h.name, h.value)
		if r.status != h.status || r.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s: %d %s", h.name, h.value, r.status, r.body)
		}
	}
	if got := g.pipeline.known; len(got) != 0 {
		t.Errorf("something was taken: %v", got)
	}
}

func TestARefusedSenderIsBookedAndItsBodyNotRead(t *testing.T) {
	g := start(t)
	r := g.send(g.client(false), report("a", 1, 1, 1), "Authorization", "Bearer nobody")
	if r.status != 401 || !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer") {
		t.Fatal(r)
	}
	if len(g.pipeline.sizes) != 1 || g.pipeline.sizes[0] != 0 {
		t.Errorf("the pipeline had %v", g.pipeline.sizes)
	}
}

func TestCorruptBodiesReachThePipelineToBeBooked(t *testing.T) {
	g := start(t)
	c := g.client(false)
	body := zip(report("a", 1, 1, 1))
	for _, media := range []string{"application/json", "application/x-ndjson"} {
		r := g.send(c, body, "Content-Type", media, "Content-Encoding", "gzip", "Penstock-Crc32", "00000001")
		if r.status != 400 || !strings.Contains(r.body, "/problems/corrupt") {
			t.Fatal(r)
		}
	}
	e := g.pipeline.envelopes
	if len(e) != 2 || !e[0].HasChecksum || e[1].Checksum != 1 || g.pipeline.sizes[0] != len(body) {
		t.Errorf("the pipeline had %+v", e)
	}
}

// A sender that traces its request is followed; the header stands beside the body as
// it does with brokers.
func TestWhoIsFollowedIsHandedOn(t *testing.T) {
	g := start(t)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	g.send(g.client(true), report("a", 1, 1, 1), "traceparent", parent)
	g.send(g.client(true), report("a", 1, 2, 1))
	e := g.pipeline.envelopes
	if len(e) != 2 || e[0].Properties["traceparent"] != parent || e[1].Properties != nil {
		t.Errorf("the pipeline had %+v", e)
	}
}

func lines(n, from int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(report("pump-17", 1, from+i, 1))
		b.WriteByte('\n')
	}
	return b.String()
}

func TestNDJSONOfAnyLength(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		g := start(t)
		c := g.client(h2)
		for _, n := range []int{1, 999, 1000, 1001, 2500} {
			body := lines(n, 1)
			for _, zipped := range []bool{false, true} {
				header := []string{"Content-Type", "application/x-ndjson"}
				sent := body
				if zipped {
					sent = zip(body)
					header = append(header, "Content-Encoding", "gzip")
				}
				r := g.send(c, sent, header...)
				if got := strings.Count(r.body, `"result":"`); r.status != 200 || got != n {
					t.Errorf("%d lines, gzip %v: %d, %d results", n, zipped, r.status, got)
				}
				if last := fmt.Sprintf(`"seq":%d,"result"`, n); strings.Index(r.body, last) < strings.LastIndex(r.body, `{"controller"`) {
					t.Errorf("%d lines: the last result is not the last", n)
				}
			}
		}
		for _, size := range g.pipeline.sizes {
			if size > 1<<20 {
				t.Errorf("a part of %d bytes", size)
			}
		}
	})
}

// The parts of a request with an Idempotency-Key have keys of their own, the same
// in a resend.
func TestNDJSONWithAKey(t *testing.T) {
	g := start(t)
	body := strings.Repeat(`{"controller":"a","samples":[1]}`+"\n", 2500)
	for _, want := range []string{"accepted", "duplicate"} {
		r := g.send(g.client(true), body, "Content-Type", "application/x-ndjson", "Idempotency-Key", "k")
		if n := strings.Count(r.body, `"result":"`+want+`"`); r.status != 200 || n != 2500 {
			t.Errorf("%s: %d, %d", want, r.status, n)
		}
	}
	other := strings.Replace(body, "[1]", "[2]", 1)
	if r := g.send(g.client(true), other, "Content-Type", "application/x-ndjson", "Idempotency-Key", "k"); r.status != 422 {
		t.Errorf("another body: %d", r.status)
	}
}

func TestNDJSONStopsAtTheFirstPartThatFails(t *testing.T) {
	g := start(t)
	g.pipeline.fail = func(n int, _ *penstock.Envelope) error {
		if n == 2 {
			return penstock.RetryLater(penstock.Full, 9*time.Second, "The spool is full.")
		}
		return nil
	}
	r := g.send(g.client(false), lines(6000, 1), "Content-Type", "application/x-ndjson")
	var a struct {
		Results []json.RawMessage
		Problem struct{ Code, Detail string }
	}
	if err := json.Unmarshal([]byte(r.body), &a); err != nil {
		t.Fatal(err)
	}
	if r.status != 207 || len(a.Results) != 2000 || a.Problem.Code != "full" || r.header.Get("Retry-After") != "9" {
		t.Errorf("%d, %d results, %+v, %v", r.status, len(a.Results), a.Problem, r.header)
	}
}

func TestALongAnswerIsStreamed(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		g := start(t, func(o *api.Options) { o.Limits.Ingest.HeldAnswer = 16 << 10 })
		r := g.send(g.client(h2), lines(4_000, 1), "Content-Type", "application/x-ndjson")
		var a struct{ Results []struct{ Seq int } }
		if err := json.Unmarshal([]byte(r.body), &a); err != nil {
			t.Fatal(err)
		}
		if r.status != http.StatusMultiStatus || len(a.Results) != 4_000 {
			t.Fatalf("%d, %d results", r.status, len(a.Results))
		}
		for i, v := range a.Results {
			if v.Seq != i+1 {
				t.Fatalf("result %d is of %d", i, v.Seq)
			}
		}
	})
}

func TestLimitsOfBodies(t *testing.T) {
	g := start(t, func(o *api.Options) {
		o.Limits.Ingest.Body = 100 << 10
		o.Limits.Ingest.Chunk = 8 << 10
	})
	large := `{"controller":"a","seq":1,"epoch":1,"samples":[` + strings.Repeat("1,", 100<<10) + "1]}"
	for _, c := range []struct {
		name   string
		body   string
		header []string
	}{
		{"declared", large, nil},
		{"compressed", zip(large), []string{"Content-Encoding", "gzip"}},
		{"compressed with a checksum", zip(large), []string{"Content-Encoding", "gzip", "Penstock-Crc32", crc(zip(large))}},
		{"a bomb", zip(strings.Repeat("\x00", 4<<20)), []string{"Content-Encoding", "gzip"}},
		{"a bomb of lines", zip(strings.Repeat("\n", 4<<20)), []string{"Content-Encoding", "gzip", "Content-Type", "application/x-ndjson"}},
		{"a bomb of bombs", zip(strings.Repeat(" ", 1<<20)) + zip(strings.Repeat(" ", 1<<20)), []string{"Content-Encoding", "gzip"}},
		{"a line", large + "\n", []string{"Content-Type", "application/x-ndjson"}},
		{"NDJSON with a checksum", lines(5000, 1), []string{"Content-Type", "application/x-ndjson", "Penstock-Crc32", crc(lines(5000, 1))}},
	} {
		r := g.send(g.client(true), c.body, c.header...)
		if r.status != 413 && !(r.status == 207 && strings.Contains(r.body, "/problems/too-large")) {
			t.Errorf("%s: %d %.300s", c.name, r.status, r.body)
		}
	}
	// Without a length the body is cut where the limit is.
	req, _ := http.NewRequest(http.MethodPost, "https://"+g.addr+"/v1/reports", io.MultiReader(strings.NewReader(large)))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer controller")
	res, err := g.client(false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 413 {
		t.Errorf("chunked: %d", res.StatusCode)
	}
}

func TestTheBudgetOfBodies(t *testing.T) {
	g := start(t, func(o *api.Options) { o.Limits.Web.BodyMemory = 300 << 10 })
	c := g.client(true)
	of := func(n int) string {
		return "[" + strings.Repeat(report("a", 1, 1, 1)+",", n) + report("a", 1, 1, 1) + "]"
	}
	for range 5 { // what a refused request took is given back
		if r := g.send(c, of(8000)); r.status != 503 || r.header.Get("Retry-After") == "" {
			t.Fatalf("%d %.200s", r.status, r.body)
		}
		if r := g.send(c, of(1000)); r.status != 200 {
			t.Fatalf("%d %.200s", r.status, r.body)
		}
	}
}

// A sender on a slow link may take longer than one interval, as long as it makes
// progress in each.
func TestASlowLinkIsNotASlowSender(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		g := start(t, func(o *api.Options) { o.Limits.Web.Progress = 1500 * time.Millisecond })
		r, w := io.Pipe()
		go func() {
			defer w.Close()
			for i := range 4 {
				io.WriteString(w, lines(1000, 1+i*1000)) // more than 64 KiB
				<-time.After(600 * time.Millisecond)
			}
		}()
		req, _ := http.NewRequest(http.MethodPost, "https://"+g.addr+"/v1/reports", r)
		req.Header.Set("Content-Type", "application/x-ndjson")
		req.Header.Set("Authorization", "Bearer controller")
		res, err := g.client(h2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if n := bytes.Count(b, []byte(`"accepted"`)); err != nil || res.StatusCode != 200 || n != 4000 {
			t.Errorf("%d, %d accepted, %v: %s", res.StatusCode, n, err, b[max(0, len(b)-300):])
		}
	})
}

// The pipeline reads a body until its ticket resolves, also when nobody waits
// for the answer any more.
func TestABodyBelongsToThePipelineUntilItsTicketResolves(t *testing.T) {
	g := start(t, func(o *api.Options) { o.Limits.Ingest.Acknowledge = 10 * time.Millisecond })
	c := g.client(false)
	for _, media := range []string{"application/json", "application/x-ndjson"} {
		g.pipeline.gate = make(chan struct{})
		body := report("slow", 1, 1, 1)
		if r := g.send(c, body, "Content-Type", media); r.status != 503 {
			t.Fatal(r)
		}
		g.pipeline.gate = nil
		for i := range 50 {
			g.send(c, report("fast", 1, i+1, 2), "Content-Type", media)
		}
		if got := string(g.pipeline.bodies[len(g.pipeline.bodies)-1]); got != body {
			t.Errorf("%s: the body became %s", media, got)
		}
	}
}

func TestReportsBeforeTheGatewayRuns(t *testing.T) {
	g := prepare(t)
	defer g.run(g.pipeline)
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/v1/reports", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer controller")
	g.server.ServeHTTP(w, r)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
