package api_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api"
	"github.com/penstock/penstock/internal/api/ops"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/live"
	"github.com/penstock/penstock/internal/tlsfiles"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var startOfTest = time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)

// gateway is a server under test with fakes behind it.
type gateway struct {
	t         testing.TB
	addr      string
	roots     *x509.CertPool
	pipeline  *fakePipeline
	fleet     *fakeFleet
	historian *fakeHistorian
	feed      *live.Feed
	evidence  *evidence.Book
	sheets    *fakeSheets
	sinks     *fakeSinks
	seen      *seen
	server    *api.Server
	log       *logBuffer
	tls       *tls.Config
	stop      func() // ends the server and waits for it
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t testing.TB, change ...func(*api.Options)) *gateway {
	t.Helper()
	g := prepare(t, change...)
	g.run(g.pipeline)
	return g
}

// fakePages are pages for people, of which only the first is there.
func fakePages() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!doctype html>")) // a test that is gone misses nothing
	})
}

func withPages(p ops.Parts) ops.Parts {
	p.Console = fakePages()
	return p
}

// prepare returns a gateway that does not run yet.
func prepare(t testing.TB, change ...func(*api.Options)) *gateway {
	t.Helper()
	files, err := tlsfiles.Open(tlsfiles.Options{Dir: filepath.Join(t.TempDir(), "tls")})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fleet := newFakeFleet()
	g := &gateway{tls: files.Config(),
		t: t, addr: ln.Addr().String(), roots: x509.NewCertPool(), fleet: fleet,
		pipeline:  &fakePipeline{auth: fleet, known: map[string]string{}},
		historian: newFakeHistorian(),
		feed:      live.New(live.Options{Reports: 8, Now: func() time.Time { return startOfTest }}),
		evidence:  evidence.NewBook(func() time.Time { return startOfTest }),
		seen:      &seen{}, log: &logBuffer{}, sheets: &fakeSheets{}, sinks: &fakeSinks{},
	}
	pem, err := os.ReadFile(files.CertFile())
	if err != nil {
		t.Fatal(err)
	}
	g.roots.AppendCertsFromPEM(pem)
	o := api.Options{
		Source: "https", Listener: ln, TLS: files.Config(), Version: "test", Auth: fleet, Registry: fleet,
		Historian: g.historian, Sheets: g.sheets, Ledger: fakeLedger{}, Spool: g.historian, Feed: g.feed, Evidence: g.evidence, Ops: withPages(newFakeOps()), Delivery: api.Delivery{Sinks: g.sinks, Held: g.sinks}, Diagnosis: fakeDiagnosis{}, Observer: g.seen,
		Sources: func() []api.SourceState {
			return []api.SourceState{
				{Name: "line-3", State: "failing", Since: startOfTest, Why: "open /dev/ttyUSB0: no such device"},
				{Name: "meters", State: "running", Since: startOfTest, Addresses: []string{"127.0.0.1:4001"}},
			}
		},
		Log: slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now: func() time.Time { return startOfTest },
	}
	o.Limits.Web.Linger = 20 * time.Millisecond // tests leave connections open
	for _, f := range change {
		f(&o)
	}
	if g.server, err = api.New(o); err != nil {
		t.Fatal(err)
	}
	return g
}

// run runs the server until the test ends.
func (g *gateway) run(next penstock.Handler) {
	t := g.t
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.server.Run(ctx, next) }()
	g.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(g.stop)
}

func newFakeHistorian() *fakeHistorian {
	return &fakeHistorian{samples: map[uint64][]sample{}}
}

// client returns an HTTP client of one protocol version.
func (g *gateway) client(h2 bool) *http.Client {
	var p http.Protocols
	p.SetHTTP1(!h2)
	p.SetHTTP2(h2)
	t := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: g.roots}, Protocols: &p, DisableCompression: true,
		MaxIdleConnsPerHost: 64,
	}
	g.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ask is a request to the gateway.
type ask struct {
	method string // GET when empty
	path   string
	token  string
	body   string
	header map[string]string
}

type reply struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
}

func (g *gateway) do(c *http.Client, a ask) reply {
	g.t.Helper()
	r, err := g.try(c, a)
	if err != nil {
		g.t.Fatalf("%s %s: %v", a.method, a.path, err)
	}
	return r
}

func (g *gateway) try(c *http.Client, a ask) (reply, error) {
	if a.method == "" {
		a.method = http.MethodGet
	}
	var body io.Reader
	if a.body != "" {
		body = strings.NewReader(a.body)
	}
	req, err := http.NewRequest(a.method, "https://"+g.addr+a.path, body)
	if err != nil {
		return reply{}, err
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	for name, value := range a.header {
		req.Header.Set(name, value)
	}
	res, err := c.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, res.Trailer, string(b)}, err
}

// send posts reports as JSON with the controller's token.
func (g *gateway) send(c *http.Client, body string, header ...string) reply {
	g.t.Helper()
	return g.sendTo(c, "/v1/reports", body, header...)
}

func (g *gateway) sendTo(c *http.Client, path, body string, header ...string) reply {
	g.t.Helper()
	a := ask{method: http.MethodPost, path: path, token: "controller", body: body, header: map[string]string{"Content-Type": "application/json"}}
	for i := 0; i < len(header); i += 2 {
		a.header[header[i]] = header[i+1]
	}
	return g.do(c, a)
}

// eventually polls a condition until it holds or a deadline passes.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			t.Fatal("never came: " + what)
		case <-tick.C:
		}
	}
}
