package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/gate"
	"github.com/penstock/penstock/internal/tlsfiles"
)

// served is a gateway in a process of its own, which a test kills and starts again.
type served struct {
	t       *testing.T
	dir     string
	address string
	args    []string
	process *exec.Cmd
	output  said
}

// said is what a process says. It may be read while that goes on.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// launch starts a gateway with this configuration behind its listeners.
func launch(t *testing.T, config string) *served {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &served{t: t, dir: t.TempDir(), address: l.Addr().String()}
	l.Close()
	file := filepath.Join(s.dir, "penstock.yaml")
	if err := os.WriteFile(file, []byte("listen: {https: \""+s.address+"\", health: off}\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{"serve", "--data", s.data(), "--config", file, "--allow-root"}
	s.start()
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("%s", &s.output)
		}
	})
	return s
}

func (s *served) data() string { return filepath.Join(s.dir, "data") }

func (s *served) start() {
	s.t.Helper()
	s.process = exec.Command("penstock", s.args...)
	s.process.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	testkit.Eventually(s.t, func() bool {
		conn, err := net.Dial("tcp", s.address)
		if err == nil {
			conn.Close()
		}
		_, missing := os.Stat(filepath.Join(s.data(), "admin.token"))
		return err == nil && missing == nil
	}, "the gateway to answer")
}

// kill ends the process at whatever instruction it is.
func (s *served) kill() {
	_ = s.process.Process.Kill() // it may have ended
	_ = s.process.Wait()         // of course it was killed
}

// command returns what a command prints.
func (s *served) command(args ...string) string {
	s.t.Helper()
	out, err := exec.Command("penstock", append(args, "--data", s.data())...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v: %s", args, err, out)
	}
	return string(out)
}

// stored returns how often each value of a controller is in the record.
func (s *served) stored(controller string) map[float64]int {
	s.t.Helper()
	counts := map[float64]int{}
	out, err := exec.Command("penstock", "query", controller, "--from", "-1h", "-o", "ndjson", "--data", s.data()).Output()
	if err != nil {
		return counts // it is being started
	}
	for line := range strings.Lines(string(out)) {
		var sample struct{ Value float64 }
		if err := json.Unmarshal([]byte(line), &sample); err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		counts[sample.Value]++
	}
	return counts
}

// insistent sends reports of a controller, each until it is accepted.
type insistent struct {
	name, identity string // "seq", "key" or "natural"
	to             *served
	token          string
	sent           int
	last           string // the last body
}

// refuseEvery is how often a sender with a sequence says what is refused,
// which takes its place in the sequence all the same.
const refuseEvery = 7

// refused tells whether a report of the sender is refused.
func (s *insistent) refused(n int) bool { return s.identity == "seq" && n%refuseEvery == 0 }

func (s *insistent) run(ctx context.Context, t *testing.T) {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for ctx.Err() == nil {
		s.sent++
		identity := map[string]string{"seq": fmt.Sprintf(`"epoch":3,"seq":%d,`, s.sent), "key": fmt.Sprintf(`"key":"k%d",`, s.sent)}[s.identity]
		value := fmt.Sprintf("%d.5", s.sent)
		if s.refused(s.sent) {
			value = `"out of order"` // not of the type of the point
		}
		s.last = fmt.Sprintf(`{"controller":%q,%s"samples":[{"point":"flow","time":%q,"value":%s}]}`,
			s.name, identity, time.Now().UTC().Format(time.RFC3339Nano), value)
		for deadline := time.Now().Add(time.Minute); s.send(client, s.to, s.token, s.last) == ""; <-pause.C {
			if time.Now().After(deadline) {
				t.Errorf("%s: report %d is not accepted for a minute", s.name, s.sent)
				return
			}
		}
		<-pause.C
	}
}

// send sends a report and returns the answer, empty when it must be sent again.
func (s *insistent) send(client *http.Client, to *served, token, body string) string {
	request, err := http.NewRequest(http.MethodPost, "https://"+to.address+"/v1/reports", strings.NewReader(body))
	if err != nil {
		return ""
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK && response.StatusCode != http.StatusMultiStatus {
		return ""
	}
	return string(answer)
}

// check holds what was sent against the record of the centre.
func (s *insistent) check(t *testing.T, centre *served) {
	t.Helper()
	want := map[float64]int{}
	for n := 1; n <= s.sent; n++ {
		if !s.refused(n) {
			want[float64(n)+.5] = 1
		}
	}
	var got map[float64]int
	testkit.Eventually(t, func() bool {
		got = centre.stored(s.name)
		return len(got) >= len(want)
	}, "all reports of "+s.name+" at the centre")
	if !maps.Equal(got, want) {
		t.Errorf("%s: the centre has each value so often: %v, and %d were sent", s.name, got, s.sent)
	}
	t.Logf("%s: %d reports sent, %d values, each once in the record of the centre", s.name, s.sent, len(want))
	if s.identity != "seq" {
		return
	}
	// The sequence has no hole there: a resend is told that all of it is committed.
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	mark := fmt.Sprintf(`"committed":{"epoch":3,"seq":%d}`, s.sent)
	testkit.Eventually(t, func() bool {
		return strings.Contains(s.send(client, centre, centre.admin(), s.last), mark)
	}, s.name+": "+mark)
}

// A substation forwards to a centre while the link between them breaks and both are
// killed in turn: the centre's record has every report once, and nothing else.
func TestASubstationForwards(t *testing.T) {
	rounds := 1
	if os.Getenv("PENSTOCK_TORTURE") != "" {
		rounds = 20
	}
	centre := launch(t, "")
	link := gate.New(t, centre.address)
	substation := launch(t, fmt.Sprintf("sinks:\n- name: centre\n  upstream: {server: \"https://%s\", token: %q, fingerprint: %q}\n",
		link.Address(), centre.token("substation", "meter-*"), centre.fingerprint()))
	var senders []*insistent
	for i, identity := range []string{"seq", "seq", "key", "natural"} {
		senders = append(senders, &insistent{name: fmt.Sprintf("meter-%d", i), identity: identity, to: substation, token: substation.admin()})
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var work sync.WaitGroup
	for _, s := range senders {
		work.Go(func() { s.run(ctx, t) })
	}
	for range rounds {
		trouble(t, link, centre, substation)
	}
	stop()
	work.Wait()
	for _, s := range senders {
		s.check(t, centre)
	}
	if held := substation.command("quarantine", "list", "--sink", "centre"); strings.Count(held, "\n") != 1 {
		t.Errorf("in quarantine: %s", held)
	}
	if books := centre.command("ledger"); strings.Contains(books, "DOES NOT BALANCE") {
		t.Error(books)
	}
	// A controller that the token does not cover is refused for good; the others go on.
	stranger := &insistent{name: "pump-1", identity: "seq", to: substation, token: senders[0].token}
	short, end := context.WithTimeout(t.Context(), time.Millisecond)
	defer end()
	stranger.run(short, t)
	testkit.Eventually(t, func() bool {
		return strings.Contains(substation.command("quarantine", "list", "--sink", "centre"), "(forbidden)")
	}, "the stranger's report in the quarantine")
}

// trouble breaks the link in several ways, and kills both gateways in turn, while
// reports are on their way.
func trouble(t *testing.T, link *gate.Gate, centre, substation *served) {
	t.Helper()
	var release func()
	for _, step := range []func(){
		func() { release = link.Break() }, func() { release() },
		centre.kill, centre.start,
		link.LoseAnswer, link.Cut, link.LoseAnswer, link.Cut,
		func() { release = link.Stall() }, func() { link.Cut(); release() },
		substation.kill, substation.start,
		func() { centre.kill(); substation.kill() }, func() { centre.start(); substation.start() },
	} {
		<-time.After(300 * time.Millisecond) // the load goes on
		step()
	}
	if t.Failed() {
		t.FailNow()
	}
}

// admin returns the first token.
func (s *served) admin() string {
	s.t.Helper()
	token, err := os.ReadFile(filepath.Join(s.data(), "admin.token"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(token))
}

// token makes a credential at the gateway.
func (s *served) token(name, scope string) string {
	s.t.Helper()
	out, err := exec.Command("penstock", "controllers", "add", name, "--scope", scope, "--data", s.data()).Output()
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// fingerprint returns that of the gateway's certificate.
func (s *served) fingerprint() string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.data(), "tls", "cert.pem"))
	if err != nil {
		s.t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		s.t.Fatal(err)
	}
	return tlsfiles.Fingerprint(cert)
}
