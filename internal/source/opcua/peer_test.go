package opcua_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/opcua"
	"github.com/penstock/penstock/internal/source/opcua/scan"
	"github.com/penstock/penstock/internal/source/opcua/session"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit"
)

// peer is a server of another make: node-opcua.
type peer struct {
	t       *testing.T
	modules string
	port    int
	dir     string // its keys

	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	const folder = "testdata/peers/node-opcua"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, modules: testkit.NPM(t, folder), port: l.Addr().(*net.TCPAddr).Port, dir: t.TempDir()}
	l.Close()
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *peer) start() {
	p.t.Helper()
	p.cmd = exec.Command("node", "testdata/peers/node-opcua/server.js", fmt.Sprint(p.port), p.dir)
	p.cmd.Env = append(os.Environ(), "NODE_PATH="+p.modules)
	var complaints bytes.Buffer
	p.cmd.Stderr = &complaints
	in, err := p.cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.in, p.lines = in, bufio.NewScanner(out)
	p.await("ready", &complaints)
}

func (p *peer) await(word string, complaints *bytes.Buffer) {
	p.t.Helper()
	for p.lines.Scan() {
		if p.lines.Text() == word {
			return
		}
	}
	_ = p.cmd.Wait() // so that all of its complaints are there
	p.t.Fatalf("the server ended without saying %q: %s", word, complaints)
}

// kill ends the server as a power cut would.
func (p *peer) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *peer) tell(format string, args ...any) {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.in, format+"\n", args...); err != nil {
		p.t.Fatal(err)
	}
	p.await("ok", &bytes.Buffer{})
}

// set gives the flow the value n, at a time of its own.
func (p *peer) set(n int) { p.t.Helper(); p.tell("set Flow %d %d", n, 1_700_000_000_000+n) }

// wire stands between a source and a server, so that the connection can be cut.
type wire struct {
	listener net.Listener
	target   string
	work     sync.WaitGroup

	mu    sync.Mutex // guards everything below
	conns []net.Conn
	down  bool
}

func newWire(t *testing.T, target string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l, target: target}
	w.work.Go(w.accept)
	t.Cleanup(func() {
		l.Close()
		w.cut(true)
		w.work.Wait()
	})
	return w
}

func (w *wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		far, err := net.Dial("tcp", w.target)
		if err != nil || w.down {
			near.Close()
			if far != nil {
				far.Close()
			}
			w.mu.Unlock()
			continue
		}
		w.conns = append(w.conns, near, far)
		w.mu.Unlock()
		w.work.Go(func() { pass(near, far) })
		w.work.Go(func() { pass(far, near) })
	}
}

func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from) // it ends when the wire is cut
	to.Close()
	from.Close()
}

// cut breaks all connections; down keeps new ones from being made.
func (w *wire) cut(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

// once fails when a value came with two times, or a time with two values, and
// returns how many there are.
func once(t *testing.T, s *station) int {
	t.Helper()
	byTime := map[int64]penstock.Value{}
	for _, sample := range s.samples("flow") {
		if v, seen := byTime[sample.SourceTime]; seen && v != sample.Value {
			t.Errorf("%v and %v have the same time", v, sample.Value)
		}
		byTime[sample.SourceTime] = sample.Value
	}
	return len(byTime)
}

// Signed and encrypted, with a user: what changes while the connection is cut
// comes after it; what changes while the server is dead is gone and counted.
func TestNodeOPCUA(t *testing.T) {
	p := newPeer(t)
	w := newWire(t, fmt.Sprintf("127.0.0.1:%d", p.port))
	c := settings("opc.tcp://" + w.listener.Addr().String())
	c.Security = session.Security{Trust: "first"}
	c.User, c.Password = "gateway", config.NewSecret("open sesame")
	c.Keepalive, c.Timeout = config.Duration(time.Second), config.Duration(10*time.Second)
	c.Groups[0].EveryChange = true
	c.Groups[0].Nodes[0].Node = "ns=1;s=Flow"
	c.Groups[0].Nodes = append(c.Groups[0].Nodes, opcua.Node{Node: "ns=1;s=Words", Controller: "pump-17", Point: "word", Index: new(uint32)})
	s := operate(t, c)
	s.floats(0)
	for n := 1; n <= 5; n++ {
		p.set(n)
	}
	s.floats(1, 2, 3, 4, 5)
	if got := s.samples("word"); len(got) == 0 || got[0].Value != penstock.UintValue(7) {
		t.Errorf("the first of the array is %v", got)
	}
	p.tell("bad Flow 1700000000006")
	testkit.Eventually(t, func() bool {
		got := s.samples("flow")
		last := got[len(got)-1]
		return last.Status.String() == "BadSensorFailure" && last.Value.Kind() == penstock.None
	}, "the bad status")

	w.cut(true)
	for n := 10; n <= 20; n++ {
		p.set(n)
	}
	w.cut(false)
	var want []float64
	for n := 10; n <= 20; n++ {
		want = append(want, float64(n))
	}
	s.floats(want...)
	if n := once(t, s); n != 18 {
		t.Errorf("%d samples differ, not 18", n)
	}
	if g := s.port(evidence.Gap); g != 0 {
		t.Errorf("%d gaps, though the server kept everything", g)
	}

	p.kill()
	p.start()
	testkit.Eventually(t, func() bool { return s.port(evidence.Connected) >= 3 && s.port(evidence.Gap) == 1 }, "the new session, and the gap")
	p.set(40)
	s.floats(40)
	if n := once(t, s); n != 19 {
		t.Errorf("%d samples differ, not 19", n)
	}
}

func TestNodeOPCUARefusals(t *testing.T) {
	p := newPeer(t)
	for name, c := range map[string]struct {
		change func(*opcua.Config)
		code   penstock.Code
		text   string
	}{
		"another certificate": {func(c *opcua.Config) { c.Security.Trust = "sha256:" + strings.Repeat("ab", 32) }, penstock.Unauthenticated, "and not sha256:abab"},
		"a wrong password": {func(c *opcua.Config) {
			c.User, c.Password = "gateway", config.NewSecret("wrong")
		}, penstock.Unauthenticated, "does not let us in"},
		"a policy it lacks": {func(c *opcua.Config) {
			c.Security.Policy, c.Security.Trust = "Aes128_Sha256_RsaOaep", "first"
			c.Security.Mode = "None"
		}, penstock.Invalid, "security.mode"},
	} {
		t.Run(name, func(t *testing.T) {
			config := settings(fmt.Sprintf("opc.tcp://127.0.0.1:%d", p.port))
			config.Security = session.Security{Trust: "first"}
			c.change(&config)
			env := sourcetest.Env(evidence.NewBook(time.Now), &station{}, nil)
			env.Files = t.TempDir()
			src, err := opcua.New(config, env)
			if err == nil {
				err = src.Run(t.Context(), sourcetest.NewDesk(nil))
			}
			if penstock.CodeOf(err) != c.code || !strings.Contains(fmt.Sprint(err), c.text) {
				t.Errorf("the error is %v (%v)", err, penstock.CodeOf(err))
			}
		})
	}
	t.Run("scan", func(t *testing.T) { scanPeer(t, p) })
}

func scanPeer(t *testing.T, p *peer) {
	env := sourcetest.Env(evidence.NewBook(time.Now), &station{}, nil)
	env.Files = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	found, err := scan.Run(ctx, scan.Options{
		Session: session.Settings{Endpoint: fmt.Sprintf("opc.tcp://127.0.0.1:%d", p.port), Timeout: 20 * time.Second}, Root: "i=85", Depth: 8, Max: 100,
	}, env)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := found.Write(&out, ""); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`trust: "sha256:`,
		`- {node: "ns=1;s=Flow", controller: "Pump17", point: "Flow", unit: "bar"} # float64`,
		`- {node: "ns=1;s=Running", controller: "Pump17", point: "Drive/Running"} # bool`,
		`- {node: "ns=1;s=Words", controller: "Pump17", point: "Drive/Words", index: 0} # an array of 3`,
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("the scan did not write %s:\n%s", line, &out)
		}
	}
}
