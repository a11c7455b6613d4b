package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sim"
	"github.com/penstock/penstock/internal/sim/simlink"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/balancer"
)

// frontHost is where the balancer stands.
const frontHost = "127.0.2.1"

// manual is the configuration of the balancer that operators are given.
const manual = "../../docs/operations/haproxy.cfg"

// Front is an HAProxy before the gateways, with the configuration that the operator's
// manual gives. It finds out by its health checks who is there; nobody tells it but to
// keep a new gateway away until it has the credentials. The fleet knows its address and
// one token.
type Front struct {
	cluster                   *Cluster
	balancer                  *balancer.Balancer
	https, mqtt, link, health string // ports, the same at each gateway
	authority                 string // the file of its certificate
	token                     string // of the fleet
}

func newFront(c *Cluster) *Front {
	c.t.Helper()
	f := &Front{cluster: c, authority: filepath.Join(c.t.TempDir(), "ca.pem")}
	ports := balancer.FreePorts(c.t, 4)
	f.https, f.mqtt, f.link, f.health = ports[0], ports[1], ports[2], ports[3]
	c.check(os.WriteFile(f.authority, c.authority.PEM(), 0o600))
	return f
}

// open makes the fleet's credential, takes it to every gateway, and lets the fleet in.
func (f *Front) open() {
	t, nodes := f.cluster.t, f.cluster.Nodes
	t.Helper()
	f.token = strings.TrimSpace(f.ask(nodes[0], "controllers", "add", "fleet", "--scope", "*"))
	for _, n := range nodes[1:] {
		f.introduce(n)
	}
	hosts := make([]string, len(nodes))
	for i, n := range nodes {
		hosts[i], _, _ = net.SplitHostPort(n.HTTPS)
	}
	var changes []string
	for _, port := range []string{"8080", "8883", "5427"} {
		last := "    server b 10.0.0.12:" + port + "\n"
		more := ""
		for i, n := range nodes[2:] {
			more += fmt.Sprintf("    server %s %s:%s\n", n.Name, hosts[i+2], port)
		}
		changes = append(changes, last, last+more)
	}
	changes = append(changes, "10.0.0.11", hosts[0], "10.0.0.12", hosts[1], ":8080", ":"+f.https, ":8883", ":"+f.mqtt, ":5427", ":"+f.link, "port 3000", "port "+f.health)
	f.balancer = balancer.Start(t, manual, frontHost, changes...)
	f.Ready(nodes...)
}

// ask runs a command at a gateway.
func (f *Front) ask(n *Node, arguments ...string) string {
	f.cluster.t.Helper()
	c := exec.Command(n.Program, append(arguments, "--url", "https://"+n.HTTPS, "--ca", f.authority, "--token-file", filepath.Join(n.data(), "admin.token"))...)
	out, err := c.Output()
	if err != nil {
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			out = append(out, ended.Stderr...)
		}
		f.cluster.t.Fatalf("%v at %s: %v: %s", arguments, n.Name, err, out)
	}
	return string(out)
}

// introduce takes the credentials from another gateway to a new one, as the manual says.
func (f *Front) introduce(n *Node) {
	f.cluster.t.Helper()
	other := f.cluster.Nodes[0]
	if other == n {
		other = f.cluster.Nodes[1]
	}
	file := filepath.Join(f.cluster.t.TempDir(), "credentials.json")
	f.cluster.check(os.WriteFile(file, []byte(f.ask(other, "controllers", "export", "--credentials")), 0o600))
	f.ask(n, "controllers", "import", "--credentials", file)
}

// Ready waits until the balancer has found the gateways ready.
func (f *Front) Ready(nodes ...*Node) {
	f.cluster.t.Helper()
	for _, n := range nodes {
		f.balancer.Await(f.cluster.t, n.Name, "UP")
	}
}

// Replace loses a gateway with its disk. When the balancer has found that out, another
// one is set up in its place, which gets its connections when it has the credentials.
func (f *Front) Replace(n *Node) {
	t := f.cluster.t
	t.Helper()
	n.Kill()
	f.balancer.Await(t, n.Name, "DOWN")
	f.put(n, "maint")
	n.Wipe()
	f.introduce(n)
	f.put(n, "ready")
	f.Ready(n)
}

// put tells the balancer what to do with a gateway.
func (f *Front) put(n *Node, state string) {
	f.cluster.t.Helper()
	var commands []string
	for _, section := range []string{"https", "mqtt", "link"} {
		commands = append(commands, fmt.Sprintf("set server %s/%s state %s", section, n.Name, state))
	}
	if answer, err := f.balancer.Ask(strings.Join(commands, "; ")); err != nil || strings.TrimSpace(answer) != "" {
		f.cluster.t.Fatalf("HAProxy: %v: %s", err, answer)
	}
}

// Gate is how the fleet reaches the gateways through the balancer: every second
// controller over HTTPS, the others over the link protocol. As with [Way] a report counts
// as settled when it is committed.
type Gate struct {
	https, link sim.Transport

	mu   sync.Mutex // guards what follows
	calm *calm      // nil while anything may fail
}

// calm is what became of the requests that began while none may fail.
type calm struct {
	requests, done, sessions, failed int
	first                            error
}

var _ sim.Transport = (*Gate)(nil)

// NewGate returns a way in with no connection open yet.
func (f *Front) NewGate(model *sim.Model, epoch uint64) (*Gate, error) {
	roots := f.cluster.authority.Pool()
	https, err := sim.NewHTTPS(sim.HTTPSOptions{
		Endpoint: sim.Endpoint{URL: "https://" + net.JoinHostPort(frontHost, f.https), Token: f.token, Roots: roots}, Connections: 16,
	})
	if err != nil {
		return nil, err
	}
	link, err := simlink.New(simlink.Options{
		Address: net.JoinHostPort(frontHost, f.link), Name: model.Name, Epoch: epoch, Token: f.token, Roots: roots, Controllers: model.Controllers(),
	})
	if err != nil {
		return nil, err
	}
	return &Gate{https: https, link: link}, nil
}

// Send implements [sim.Transport].
func (g *Gate) Send(ctx context.Context, m sim.Message) (sim.Answer, error) {
	g.mu.Lock()
	c := g.calm
	if c != nil {
		c.requests++
	}
	g.mu.Unlock()
	t := g.https
	if overLink(m.Controller) {
		t = g.link
	}
	a, err := t.Send(ctx, m)
	if c != nil {
		g.mu.Lock()
		c.note(overLink(m.Controller), err)
		g.mu.Unlock()
	}
	return onceCommitted(a, err, m)
}

// note counts what became of a request. A session of the link protocol is ended by the
// gateway's word, and what waits in it goes out again in the next: that is no failure.
func (c *calm) note(link bool, err error) {
	c.done++
	switch {
	case err == nil:
	case link && errors.Is(err, sim.ErrUnknown):
		c.sessions++
	default:
		if c.failed++; c.first == nil {
			c.first = err
		}
	}
}

// Calm is what became of requests.
type Calm struct{ Requests, Sessions, Failed int }

// During counts the requests that begin while something is done that no request may
// notice, and what becomes of them. The error is that of the requests that failed.
func (g *Gate) During(t testing.TB, what func()) (Calm, error) {
	t.Helper()
	c := &calm{}
	g.set(c)
	what()
	g.set(nil)
	testkit.Eventually(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return c.done == c.requests
	}, "an answer to every request")
	return Calm{Requests: c.requests, Sessions: c.sessions, Failed: c.failed}, c.first
}

func (g *Gate) set(c *calm) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calm = c
}

// Close implements [sim.Transport].
func (g *Gate) Close() error { return errors.Join(g.https.Close(), g.link.Close()) }

// onceCommitted is the answer to a controller that must not lose what only one gateway
// has: what is accepted and not committed is sent again.
func onceCommitted(a sim.Answer, err error, m sim.Message) (sim.Answer, error) {
	if err == nil && a.Result != penstock.Rejected && a.Committed.Seq < m.Report.Identity.Seq {
		return sim.Answer{}, penstock.RetryLater(penstock.Unavailable, 100*time.Millisecond, "accepted, and not committed yet")
	}
	return a, err
}
