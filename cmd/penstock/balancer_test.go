package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/client"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/balancer"
	"github.com/penstock/penstock/internal/testkit/pgtest"
)

// The addresses of this machine that stand for others.
const (
	balancerHost = "127.0.1.3"
	hostA, hostB = "127.0.1.1", "127.0.1.2"
)

// plant is two gateways behind HAProxy, with one database.
type plant struct {
	*balancer.Balancer
	ports    [4]string // https, mqtt, link, health
	database *pgtest.Server
	roots    *x509.CertPool
	token    string // that every node knows
	nodes    map[string]*neighbour
}

// neighbour is one of the gateways, a process.
type neighbour struct {
	host, home string
	process    *exec.Cmd
	log        bytes.Buffer // whole once the process has ended
}

func newPlant(t *testing.T) *plant {
	t.Helper()
	p := &plant{nodes: map[string]*neighbour{}}
	copy(p.ports[:], balancer.FreePorts(t, 4))
	var err error
	if p.database, err = pgtest.Start(pgtest.Memory()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.database.Close(); err != nil {
			t.Error(err)
		}
	})
	authority := testkit.NewAuthority(t)
	p.roots = authority.Pool()
	cert, key := testkit.WriteFiles(t, authority.Server(t, balancerHost, hostA, hostB))
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, host := range map[string]string{"a": hostA, "b": hostB} {
		n := &neighbour{host: host, home: t.TempDir()}
		p.nodes[name] = n
		config := fmt.Sprintf(`listen:
  https: %[1]s:%[2]s
  mqtt: %[1]s:%[3]s
  link: %[1]s:%[4]s
  health: %[1]s:%[5]s
  proxy: [%[6]s]
tls: {cert: %[7]s, key: %[8]s}
sinks:
  - name: central
    record: true
    postgres: {server: "postgres://127.0.0.1:%[9]s/postgres", user: postgres}
`, host, p.ports[0], p.ports[1], p.ports[2], p.ports[3], balancerHost, cert, key, p.database.Port)
		if err := os.WriteFile(filepath.Join(n.home, "penstock.yaml"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		n.start(t)
	}
	p.Balancer = balancer.Start(t, "../../docs/operations/haproxy.cfg", balancerHost, "10.0.0.11", hostA, "10.0.0.12", hostB,
		":8080", ":"+p.ports[0], ":8883", ":"+p.ports[1], ":5427", ":"+p.ports[2], "port 3000", "port "+p.ports[3])
	p.share(t, ca)
	return p
}

func (n *neighbour) data() string { return filepath.Join(n.home, "data") }

func (n *neighbour) start(t *testing.T) {
	t.Helper()
	n.process = exec.Command("penstock", "serve", "--config", "penstock.yaml", "--data", n.data(), "--allow-root")
	n.process.Dir = n.home
	n.process.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	n.process.Stdout, n.process.Stderr = &n.log, &n.log
	if err := n.process.Start(); err != nil {
		t.Fatal(err)
	}
	running := n.process
	t.Cleanup(func() {
		_ = running.Process.Kill() // it may have ended
		_ = running.Wait()
		if t.Failed() {
			t.Logf("the gateway at %s: %s", n.host, &n.log)
		}
	})
}

// end ends a gateway by a signal, and waits for its end.
func (n *neighbour) end(t *testing.T, by syscall.Signal) {
	t.Helper()
	if err := n.process.Process.Signal(by); err != nil {
		t.Fatal(err)
	}
	if err := n.process.Wait(); by == syscall.SIGTERM && err != nil {
		t.Errorf("the gateway at %s ended with %v", n.host, err)
	}
}

// share makes a token at one node, and takes it to the other as the manual says.
func (p *plant) share(t *testing.T, ca string) {
	t.Helper()
	p.Await(t, "a", "UP")
	p.Await(t, "b", "UP")
	run := func(node string, arguments ...string) string {
		n := p.nodes[node]
		c := exec.Command("penstock", append(arguments, "--url", "https://"+net.JoinHostPort(n.host, p.ports[0]), "--ca", ca, "--token-file", filepath.Join(n.data(), "admin.token"))...)
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%v at %s: %v: %s", arguments, node, err, out)
		}
		return string(out)
	}
	p.token = strings.TrimSpace(run("a", "controllers", "add", "field", "--role", "admin", "--scope", "*"))
	file := filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(file, []byte(run("a", "controllers", "export", "--credentials")), 0o600); err != nil {
		t.Fatal(err)
	}
	run("b", "controllers", "import", "--credentials", file)
}

// sender returns one that sends through the balancer.
func (p *plant) sender(name string, http2, once bool) *sender {
	return &sender{
		name: name, url: "https://" + net.JoinHostPort(balancerHost, p.ports[0]), token: p.token, http2: http2,
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: p.roots}, ForceAttemptHTTP2: http2, DisableKeepAlives: once,
		}},
	}
}

// ask asks a node itself.
func (p *plant) ask(t *testing.T, node, path string, into any) {
	t.Helper()
	c := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.roots}, DisableKeepAlives: true}}
	request, err := http.NewRequest(http.MethodGet, "https://"+net.JoinHostPort(p.nodes[node].host, p.ports[0])+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+p.token)
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s at %s: %s, %v", path, node, response.Status, err)
	}
}

// accepted returns how many reports a node has accepted since it was made.
func (p *plant) accepted(t *testing.T, node string) uint64 {
	t.Helper()
	var books struct{ Total struct{ Accepted uint64 } }
	p.ask(t, node, "/v1/ledger", &books)
	return books.Total.Accepted
}

// TestBehindABalancer runs the configuration that the manual gives for HAProxy:
// requests are spread, clients are known by their addresses, a node that is killed
// costs no request but those that it had, and one that is stopped none.
func TestBehindABalancer(t *testing.T) {
	p := newPlant(t)
	once := p.sender("once", false, true)
	send := func(what string) {
		t.Helper()
		once.sent++
		if err := once.send(); err != nil {
			t.Errorf("%s: report %d: %v", what, once.sent, err)
		}
	}
	for range 10 {
		send("two nodes")
	}
	if a, b := p.accepted(t, "a"), p.accepted(t, "b"); a < 3 || b < 3 || a+b != 10 {
		t.Errorf("the nodes accepted %d and %d of 10 reports", a, b)
	}
	p.checkClient(t)
	p.nodes["a"].end(t, syscall.SIGKILL)
	for range 4 {
		send("after one was killed")
	}
	p.Await(t, "a", "DOWN")
	p.nodes["a"].start(t)
	p.Await(t, "a", "UP")
	before := p.accepted(t, "a")
	list := append(p.drain(t), once)
	if now := p.accepted(t, "a"); now == before {
		t.Error("the node that stayed accepted nothing: the test means nothing")
	}
	p.nodes["b"].start(t) // it delivers what it has, if anything
	p.Await(t, "b", "UP")
	p.execute(t, "next-version.sql")
	for range 10 {
		send("beside a newer program")
	}
	want := 1 // of the client
	for _, s := range list {
		want += s.sent
	}
	testkit.Eventually(t, func() bool { return p.stored(t) >= want }, "everything in the database")
	if stored := p.stored(t); stored != want {
		t.Errorf("%d reports were sent, and %d are stored", want, stored)
	}
	p.checkTooOld(t, send)
}

// execute runs statements that are in a file.
func (p *plant) execute(t *testing.T, file string) {
	t.Helper()
	statements, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	p.database.Exec(t, "postgres", string(statements))
}

func (p *plant) stored(t *testing.T) int {
	t.Helper()
	return int(p.database.Number(t, "postgres", "SELECT count(*) FROM penstock.samples"))
}

// checkTooOld has a program two versions on take the tables over: an old one that runs
// accepts and does not deliver, and one that starts refuses to.
func (p *plant) checkTooOld(t *testing.T, send func(string)) {
	t.Helper()
	stored := p.stored(t)
	p.execute(t, "later-version.sql")
	for range 4 {
		send("of a version that is too old")
	}
	const told = "programs before version 3 must not write; this one knows 2: upgrade it"
	testkit.Eventually(t, func() bool {
		response, err := http.Get("http://" + net.JoinHostPort(hostA, p.ports[3]) + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return err == nil && bytes.Contains(text, []byte(told))
	}, "the node to say that it is too old")
	if now := p.stored(t); now != stored {
		t.Errorf("a node that is too old has stored %d reports", now-stored)
	}
	b := p.nodes["b"]
	b.end(t, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	again := exec.CommandContext(ctx, "penstock", "serve", "--config", "penstock.yaml", "--data", b.data(), "--allow-root")
	again.Dir = b.home
	if out, err := again.CombinedOutput(); err == nil || ctx.Err() != nil || !bytes.Contains(out, []byte(told)) {
		t.Errorf("a node that is too old started: %v: %s", err, out)
	}
}

// checkClient has a controller come over the link protocol through the balancer: it
// is known by its own address.
func (p *plant) checkClient(t *testing.T) {
	t.Helper()
	c, err := client.Open(client.Options{
		Controller: "logger", Gateway: "link://" + net.JoinHostPort(balancerHost, p.ports[2]), Token: p.token,
		TLS: &tls.Config{RootCAs: p.roots, MinVersion: tls.VersionTLS13}, Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := c.Send(ctx, penstock.Sample{Point: "flow", Value: penstock.IntValue(1)}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return c.Stats().Waiting == 0 }, "the report in the record")
	var peers []string
	for node := range p.nodes {
		var links struct {
			Controllers []struct{ Name, Peer string }
		}
		p.ask(t, node, "/v1/links?controller=logger", &links)
		for _, l := range links.Controllers {
			peers = append(peers, l.Peer)
		}
	}
	if len(peers) != 1 || !strings.HasPrefix(peers[0], "127.0.0.1:") {
		t.Errorf("the controller came from %q", peers)
	}
}

// drain stops a node in good order while others send through the balancer.
func (p *plant) drain(t *testing.T) (list []*sender) {
	t.Helper()
	list = []*sender{p.sender("keep-alive-1", false, false), p.sender("keep-alive-2", false, false), p.sender("http2", true, false), p.sender("new-1", false, true), p.sender("new-2", false, true)}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var acks acknowledgements
	var work sync.WaitGroup
	for _, s := range list {
		work.Go(func() { s.run(ctx, &acks) })
	}
	before := p.accepted(t, "b")
	testkit.Eventually(t, func() bool { return p.accepted(t, "b") > before+20 }, "requests at the node that is to stop")
	p.nodes["b"].end(t, syscall.SIGTERM)
	p.Await(t, "b", "DOWN")
	stop()
	work.Wait()
	for _, s := range list {
		for _, f := range s.failures {
			t.Error(f)
		}
		s.client.CloseIdleConnections()
	}
	return list
}
