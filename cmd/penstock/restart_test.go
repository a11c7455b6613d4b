package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// manage starts a gateway under its manager: the test's own program, or for
// figures that count the real one.
func manage(t *testing.T) *managed {
	t.Helper()
	m := &managed{t: t, home: t.TempDir()}
	var err error
	if m.program, err = exec.LookPath("penstock"); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("PENSTOCK_TORTURE") != "" {
		m.program = filepath.Join(m.home, "penstock")
		build := exec.Command("go", "build", "-trimpath", "-o", m.program, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	m.manager = exec.Command(m.program, "supervise", "--ready", "notify", "--watchdog", "2s",
		"--listen", "https=127.0.0.1:0", "--listen", "health=127.0.0.1:0", "--listen", "mqtt=127.0.0.1:0",
		"--listen", "link=127.0.0.1:0", "--listen", "link_udp=udp:127.0.0.1:0", "--", m.program, "serve", "--data", m.data(), "--allow-root",
		"--set", "listen.mqtt=127.0.0.1:8883", "--set", "listen.link=127.0.0.1:5427", "--set", "listen.link_udp=127.0.0.1:5427")
	m.manager.Env = append(os.Environ(), "SUPERVISE_RUNTIME="+filepath.Join(m.home, "run"), "GORACE=atexit_sleep_ms=0")
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
	s := m.ask()
	if len(s.Programs) == 0 {
		return "", 0
	}
	return s.Programs[0].Instances[0].State, s.Programs[0].Instances[0].PID
}

// answer is what is looked at of the manager's status.
type answer struct {
	Programs []struct {
		Sockets []struct {
			Name, Address string
		}
		Instances []struct {
			State   string
			PID     int
			LastEnd string `json:"last_end"`
		}
	}
}

// ask asks the manager, which may not answer yet.
func (m *managed) ask() (s answer) {
	text, err := m.command("supervise", "status", "--json").Output()
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return answer{}
	}
	return s
}

// again waits until another process serves and returns how the last one ended.
func (m *managed) again(before int) (end string) {
	m.t.Helper()
	testkit.Eventually(m.t, func() bool {
		state, pid := m.status()
		return state == "running" && pid != before
	}, "the gateway to be started again")
	return m.ask().Programs[0].Instances[0].LastEnd
}

// addresses returns where the gateway says that it listens.
func (m *managed) addresses() (addresses map[string]string) {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.data(), "run", "addresses.json"))
	if err == nil {
		err = json.Unmarshal(text, &addresses)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return addresses
}

// endpoint returns the address of the API, its token and what its certificate is
// verified against.
func (m *managed) endpoint() (url, token string, roots *x509.CertPool) {
	m.t.Helper()
	secret, err := os.ReadFile(filepath.Join(m.data(), "admin.token"))
	if err != nil {
		m.t.Fatal(err)
	}
	certificate, err := os.ReadFile(filepath.Join(m.data(), "tls", "cert.pem"))
	if err != nil {
		m.t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	return "https://" + m.addresses()["listen.https"], strings.TrimSpace(string(secret)), roots
}

// sender sends the reports of one controller, one after the other, and never
// twice: what gets no answer is a failure.
type sender struct {
	name     string
	client   *http.Client
	url      string
	token    string
	http2    bool
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

// gap returns the longest time since it was asked last.
func (a *acknowledgements) gap() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	longest := a.longest
	a.longest = 0
	return longest
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
	request, err := http.NewRequest(http.MethodPost, s.url+"/v1/reports", strings.NewReader(body))
	if err != nil {
		return err
	}
	if !s.http2 {
		// A body that cannot be read again keeps the client from sending it twice.
		// Over HTTP/2 a GOAWAY says which requests were not taken, and those alone
		// are sent again: would one have been taken, the answer were "duplicate".
		request.Body, request.GetBody = io.NopCloser(strings.NewReader(body)), nil
	}
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
				name: fmt.Sprintf("%s-%d", kind.name, i), url: url, token: token, http2: kind.http2,
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
	var took, gaps []time.Duration
	for range restarts {
		_, before := m.status()
		began := time.Now()
		if out, err := m.command("supervise", "restart").CombinedOutput(); err != nil {
			t.Errorf("restart: %v: %s", err, out)
		}
		took = append(took, time.Since(began))
		if _, after := m.status(); after == before {
			t.Error("the process is the same")
		}
		<-time.After(time.Second) // the load goes on in peace
		gaps = append(gaps, acks.gap())
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
	t.Logf("%d restarts in %s; %d requests, %d failed, the slowest answered after %s; longest time without any acknowledgement %s",
		restarts, middleAndMost(took), sent, failed, slowest.Round(time.Millisecond), middleAndMost(gaps))
	m.checkBooks(senders)
}

// middleAndMost writes the median and the longest.
func middleAndMost(d []time.Duration) string {
	slices.Sort(d)
	return fmt.Sprintf("%s (at most %s)", d[len(d)/2].Round(time.Millisecond), d[len(d)-1].Round(time.Millisecond))
}

// checkBooks holds what was sent against what the gateway has: each report once.
func (m *managed) checkBooks(senders []*sender) {
	m.t.Helper()
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

// lifeless tells whether no thread of a process runs any more: a signal takes a
// moment, in which the process may still take a request.
func lifeless(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return false
	}
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if err == nil && !bytes.Contains(stat, []byte(") T ")) && !bytes.Contains(stat, []byte(") Z ")) {
			return false
		}
	}
	return true
}

// A gateway that is killed or hangs is started again, and who comes meanwhile
// waits. It listens where it listened before, on every socket.
func TestAGatewayThatIsKilledOrHangs(t *testing.T) {
	m := manage(t)
	s := m.senders()[0]
	send := func() {
		t.Helper()
		s.sent++
		if err := s.send(); err != nil {
			t.Errorf("report %d: %v", s.sent, err)
		}
		s.client.CloseIdleConnections()
	}
	send()
	listening := func() bool { return len(m.addresses()) == 5 } // sources begin a moment after the API
	testkit.Eventually(t, listening, "all listeners")
	before := m.addresses()
	for _, socket := range m.ask().Programs[0].Sockets {
		if got := before["listen."+socket.Name]; got != socket.Address {
			t.Errorf("%s listens at %s, and not at %s, which was handed over", socket.Name, got, socket.Address)
		}
	}
	for signal, want := range map[syscall.Signal]string{syscall.SIGKILL: "killed by SIGKILL", syscall.SIGSTOP: "its watchdog heard nothing for 2s"} {
		_, pid := m.status()
		if err := syscall.Kill(pid, signal); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, func() bool { return lifeless(pid) }, "the process to do nothing any more")
		send()
		if end := m.again(pid); !strings.Contains(end, want) {
			t.Errorf("it ended: %s", end)
		}
		testkit.Eventually(t, listening, "all listeners")
		if after := m.addresses(); !maps.Equal(before, after) {
			t.Errorf("it listened at %v, and now at %v", before, after)
		}
	}
	m.checkBooks([]*sender{s})
}
