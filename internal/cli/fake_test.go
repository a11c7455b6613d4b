package cli_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/internal/cli"
	"github.com/penstock/penstock/internal/cli/shell"
)

func TestMain(m *testing.M) {
	if os.Getenv(holdAPort) != "" {
		os.Exit(hold())
	}
	goleak.VerifyTestMain(m)
}

var update = flag.Bool("update", false, "write the golden files")

const token = "pst_test"

// fake is a gateway that speaks the API's shapes over TLS 1.3 and remembers
// identities.
type fake struct {
	*httptest.Server
	data string // data directory of its own

	mu       sync.Mutex
	seen     map[string]bool
	requests []*http.Request // without bodies
	bodies   []string
	refuse   []func(http.ResponseWriter) // answers to the next requests, one each
	answers  map[string]http.HandlerFunc // by method and path
}

func newFake(t *testing.T) *fake {
	f := &fake{data: t.TempDir(), seen: map[string]bool{}, answers: map[string]http.HandlerFunc{}}
	f.Server = httptest.NewUnstartedServer(f)
	f.EnableHTTP2 = true
	f.Config.ErrorLog = log.New(io.Discard, "", 0) // some clients refuse the certificate on purpose
	f.Server.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	f.StartTLS()
	t.Cleanup(f.Close)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
	f.write(t, "tls/cert.pem", string(cert))
	f.write(t, "admin.token", token+"\n")
	f.write(t, "run/addresses.json", fmt.Sprintf(`{"listen.https":%q,"listen.health":"127.0.0.1:3000"}`, f.Listener.Addr()))
	return f
}

func (f *fake) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(f.data, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// problem answers with problem details.
func problem(status int, code, detail, retryAfter string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/problem+json")
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"type":"/problems/x","title":"Title","status":%d,"code":%q,"detail":%q,"do":"Do this."}`, status, code, detail)
	}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.requests, f.bodies = append(f.requests, r), append(f.bodies, string(body))
	var refusal func(http.ResponseWriter)
	if len(f.refuse) > 0 {
		refusal, f.refuse = f.refuse[0], f.refuse[1:]
	}
	f.mu.Unlock()
	switch answer := f.answers[r.Method+" "+r.URL.EscapedPath()]; {
	case r.Header.Get("Authorization") != "Bearer "+token:
		problem(http.StatusUnauthorized, "unauthenticated", "No such token.", "")(w)
	case refusal != nil:
		refusal(w)
	case answer != nil:
		answer(w, r)
	case r.Method+r.URL.Path == "POST/v1/reports":
		f.reports(w, body)
	default:
		problem(http.StatusNotFound, "not_found", "There is nothing at this path.", "")(w)
	}
}

// reports answers as the gateway does. A report of the controller "bad" is
// rejected; the report with seq 999 and all behind it are not judged.
func (f *fake) reports(w http.ResponseWriter, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var results []map[string]any
	answer := map[string]any{}
	status := http.StatusOK
	for line := range bytes.Lines(body) {
		var report map[string]any
		if err := json.Unmarshal(line, &report); err != nil {
			problem(http.StatusBadRequest, "invalid", err.Error(), "")(w)
			return
		}
		if report["seq"] == 999.0 && !f.seen["999"] {
			f.seen["999"] = true
			answer["problem"] = map[string]any{"title": "Not now", "status": 503, "code": "unavailable", "detail": "The spool is behind."}
			status = http.StatusMultiStatus
			break
		}
		result := map[string]any{"controller": report["controller"], "result": "accepted"}
		identity := string(line)
		if report["seq"] != nil {
			identity = fmt.Sprint(report["controller"], report["epoch"], report["seq"])
			result["epoch"], result["seq"] = report["epoch"], report["seq"]
			result["committed"] = map[string]any{"epoch": report["epoch"], "seq": 0}
		}
		if report["key"] != nil {
			result["key"] = report["key"]
		}
		switch {
		case report["controller"] == "bad":
			result["result"], result["reason"], result["detail"] = "rejected", "conflict", "known with \x1b another content"
			status = http.StatusMultiStatus
		case report["controller"] == "unread":
			result = map[string]any{"controller": "", "result": "rejected", "reason": "malformed", "detail": "line 1"}
			status = http.StatusMultiStatus
		case f.seen[identity]:
			result["result"] = "duplicate"
		}
		f.seen[identity] = true
		results = append(results, result)
	}
	answer["results"] = results
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

// outcome is what a command left.
type outcome struct {
	code           int
	stdout, stderr string
	slept          []time.Duration
}

// command is a run of the command line.
type command struct {
	stdin   io.Reader
	environ []string
	program cli.Program
	slept   []time.Duration
}

func (c command) run(args ...string) outcome { return c.runIn(context.Background(), args...) }

func (c command) runIn(ctx context.Context, args ...string) outcome {
	var out, messages strings.Builder
	if c.stdin == nil {
		c.stdin = strings.NewReader("")
	}
	code := cli.Run(ctx, shell.Env{
		Args: args, Stdin: c.stdin, Stdout: &out, Stderr: &messages, Environ: c.environ, Version: "0.0.1",
		Now:  func() time.Time { return time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC) },
		Rand: rand.NewChaCha8([32]byte{}),
		Sleep: func(ctx context.Context, d time.Duration) error {
			c.slept = append(c.slept, d)
			return ctx.Err()
		},
		Signals: context.WithCancel,
		Hangups: func() (func(context.Context) error, func()) { // one after the other
			return func(ctx context.Context) error { return ctx.Err() }, func() {}
		},
	}, c.program)
	return outcome{code, out.String(), messages.String(), c.slept}
}

// run runs a command against the fake.
func (f *fake) run(stdin string, args ...string) outcome {
	return command{stdin: strings.NewReader(stdin)}.run(append(args, "--data", f.data)...)
}

// want fails the test when the outcome is another.
func (o outcome) want(t *testing.T, code int, stdout, stderr string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d", o.code, code)
	}
	if !strings.Contains(o.stdout, stdout) || stdout == "" && o.stdout != "" {
		t.Errorf("standard output is\n%s\nwant\n%s", o.stdout, stdout)
	}
	if !strings.Contains(o.stderr, stderr) || stderr == "" && o.stderr != "" {
		t.Errorf("standard error is\n%s\nwant\n%s", o.stderr, stderr)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", path, got)
	}
}
