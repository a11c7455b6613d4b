package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testkit"
)

// managed is a gateway under penstock supervise, in processes of their own.
type managed struct {
	t       *testing.T
	program string
	home    string
	manager *exec.Cmd
	output  bytes.Buffer
}

// manage builds the program and starts a gateway under its manager.
func manage(t *testing.T) *managed {
	t.Helper()
	m := &managed{t: t, home: t.TempDir()}
	m.program = filepath.Join(m.home, "penstock")
	build := exec.Command("go", "build", "-o", m.program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m.manager = exec.Command(m.program, "supervise", "--ready", "notify", "--watchdog", "10s", "--listen", "https=127.0.0.1:0", "--listen", "health=127.0.0.1:0",
		"--", m.program, "serve", "--data", m.data(), "--allow-root")
	m.manager.Env = append(os.Environ(), "SUPERVISE_RUNTIME="+filepath.Join(m.home, "run"))
	m.manager.Stdout, m.manager.Stderr = &m.output, &m.output
	if err := m.manager.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = m.manager.Process.Signal(syscall.SIGTERM) // it may have ended
		err := m.manager.Wait()
		if err != nil || t.Failed() {
			t.Errorf("the manager ended with %v:\n%s", err, &m.output)
		}
	})
	testkit.Eventually(t, func() bool {
		state, _ := m.status()
		return state == "running"
	}, "the gateway to run")
	return m
}

func (m *managed) data() string { return filepath.Join(m.home, "data") }

func (m *managed) command(arguments ...string) *exec.Cmd {
	c := exec.Command(m.program, arguments...)
	c.Env = m.manager.Env
	return c
}

// status returns the state of the gateway and its process.
func (m *managed) status() (state string, pid int) {
	text, err := m.command("supervise", "status", "--json").Output()
	if err != nil {
		return "", 0 // the manager does not answer yet
	}
	var s struct {
		Programs []struct {
			Instances []struct {
				State string
				PID   int
			}
		}
	}
	if err := json.Unmarshal(text, &s); err != nil {
		m.t.Fatal(err)
	}
	return s.Programs[0].Instances[0].State, s.Programs[0].Instances[0].PID
}

// endpoint returns the address of the API, its token and what its certificate is
// verified against.
func (m *managed) endpoint() (url, token string, roots *x509.CertPool) {
	m.t.Helper()
	var addresses map[string]string
	for path, take := range map[string]func([]byte){
		"run/addresses.json": func(b []byte) {
			if err := json.Unmarshal(b, &addresses); err != nil {
				m.t.Fatal(err)
			}
		},
		"admin.token":  func(b []byte) { token = strings.TrimSpace(string(b)) },
		"tls/cert.pem": func(b []byte) { roots = x509.NewCertPool(); roots.AppendCertsFromPEM(b) },
	} {
		text, err := os.ReadFile(filepath.Join(m.data(), path))
		if err != nil {
			m.t.Fatal(err)
		}
		take(text)
	}
	return "https://" + addresses["listen.https"], token, roots
}

// sender sends the reports of one controller, one after the other, and never
// twice: what gets no answer is a failure.
type sender struct {
	name     string
	client   *http.Client
	url      string
	token    string
	sent     int
	failures []string
	slowest  time.Duration
}

// acknowledgements keeps the longest time in which no sender got an answer.
type acknowledgements struct {
	mu      sync.Mutex
	last    time.Time
	longest time.Duration
}

func (a *acknowledgements) came() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if !a.last.IsZero() {
		a.longest = max(a.longest, now.Sub(a.last))
	}
	a.last = now
}

func (s *sender) run(ctx context.Context, acks *acknowledgements) {
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for ctx.Err() == nil {
		s.sent++
		began := time.Now()
		if err := s.send(); err != nil {
			s.failures = append(s.failures, fmt.Sprintf("%s %d after %s: %v", s.name, s.sent, time.Since(began), err))
		} else {
			acks.came()
		}
		s.slowest = max(s.slowest, time.Since(began))
		<-pause.C
	}
}

func (s *sender) send() error {
	body := fmt.Sprintf(`{"controller":%q,"epoch":1,"seq":%d,"samples":[{"point":"flow","time":%q,"value":%d.5}]}`,
		s.name, s.sent, time.Now().UTC().Format(time.RFC3339Nano), s.sent)
	// A body that cannot be read again keeps the client from sending it twice.
	request, err := http.NewRequest(http.MethodPost, s.url+"/v1/reports", io.NopCloser(strings.NewReader(body)))
	if err != nil {
		return err
	}
	request.ContentLength = int64(len(body))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+s.token)
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(`"accepted"`)) {
		return fmt.Errorf("%s: %s", response.Status, text)
	}
	return nil
}

// senders returns some of each way to hold a connection.
func (m *managed) senders() []*sender {
	url, token, roots := m.endpoint()
	var list []*sender
	for _, kind := range []struct {
		name  string
		count int
		http2 bool
		once  bool
	}{{"keep-alive", 6, false, false}, {"http2", 3, true, false}, {"new-connection", 3, false, true}} {
		for i := range kind.count {
			list = append(list, &sender{
				name: fmt.Sprintf("%s-%d", kind.name, i), url: url, token: token,
				client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
					TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: kind.http2, DisableKeepAlives: kind.once,
				}},
			})
		}
	}
	return list
}

// The gateway is replaced again and again while others send to it, and nobody
// sees more of it than a longer answer.
func TestRestartUnderLoad(t *testing.T) {
	restarts := 3
	if os.Getenv("PENSTOCK_TORTURE") != "" {
		restarts = 30
	}
	m := manage(t)
	senders := m.senders()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var acks acknowledgements
	var work sync.WaitGroup
	for _, s := range senders {
		work.Go(func() { s.run(ctx, &acks) })
	}
	var took time.Duration
	for range restarts {
		_, before := m.status()
		began := time.Now()
		if out, err := m.command("supervise", "restart").CombinedOutput(); err != nil {
			t.Errorf("restart: %v: %s", err, out)
		}
		took = max(took, time.Since(began))
		if _, after := m.status(); after == before {
			t.Error("the process is the same")
		}
		<-time.After(time.Second) // the load goes on in peace
	}
	stop()
	work.Wait()
	sent, failed, slowest := 0, 0, time.Duration(0)
	for _, s := range senders {
		sent += s.sent
		failed += len(s.failures)
		slowest = max(slowest, s.slowest)
		for _, f := range s.failures {
			t.Error(f)
		}
		s.client.CloseIdleConnections()
	}
	t.Logf("%d restarts, the longest %s; %d requests, %d failed, the slowest answered after %s; longest time without any acknowledgement %s",
		restarts, took.Round(time.Millisecond), sent, failed, slowest.Round(time.Millisecond), acks.longest.Round(time.Millisecond))
	m.checkBooks(senders)
}

// checkBooks holds what was sent against what the gateway has: each report once.
func (m *managed) checkBooks(senders []*sender) {
	m.t.Helper()
	text, err := m.command("ledger", "--json", "--data", m.data()).Output()
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Logf("%.300s", text)
	for _, s := range senders {
		out, err := m.command("query", s.name, "--from", "-1h", "-o", "ndjson", "--data", m.data()).Output()
		if err != nil {
			m.t.Fatal(err)
		}
		if stored := bytes.Count(out, []byte("\n")); stored != s.sent {
			m.t.Errorf("%s sent %d reports, and %d are stored", s.name, s.sent, stored)
		}
	}
}
