// Package balancer runs an HAProxy for tests: the one of the machine's package, on
// loopback, with the configuration that the operator's manual gives.
package balancer

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/penstock/penstock/internal/testkit"
)

// Balancer is an HAProxy of its own.
type Balancer struct {
	Host    string // where it listens, and connects from
	socket  string
	process *exec.Cmd
	log     bytes.Buffer // whole once the process has ended
}

// Start starts HAProxy with the configuration of the file, in which each text on the
// left of changes has become the one on the right. It listens at host, and its socket
// is in a directory of the test. It ends with the test.
func Start(t testing.TB, file, host string, changes ...string) *Balancer {
	t.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		program = "/usr/sbin/haproxy"
	}
	b := &Balancer{Host: host, socket: filepath.Join(t.TempDir(), "admin.sock")}
	config := filepath.Join(filepath.Dir(b.socket), "haproxy.cfg")
	if err := os.WriteFile(config, b.adapt(t, file, changes), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "-c", "-f", config).CombinedOutput(); err != nil {
		t.Fatalf("the tests need HAProxy (make tools), and it takes its configuration: %v: %s", err, out)
	}
	b.process = exec.Command(program, "-db", "-f", config)
	b.process.Stdout, b.process.Stderr = &b.log, &b.log
	if err := b.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = b.process.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = b.process.Wait()
		if t.Failed() {
			t.Logf("HAProxy: %s", &b.log)
		}
	})
	return b
}

// adapt makes of the configuration of a machine one that runs beside others.
func (b *Balancer) adapt(t testing.TB, file string, changes []string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{`(?m)^ +(user|group) .*\n`, `(?m)^ +log .*\n`, `(?m)^ +option tcplog\n`, `(?m)^ +maxconn .*\n`} {
		text = regexp.MustCompile(own).ReplaceAll(text, nil)
	}
	changes = append(changes, "/run/haproxy/admin.sock", b.socket, "bind :", "bind "+b.Host+":", "    mode tcp\n", "    mode tcp\n    source "+b.Host+"\n")
	for i := 0; i < len(changes); i += 2 { // one after the other: an address has a port in it
		if !bytes.Contains(text, []byte(changes[i])) {
			t.Fatalf("%s does not have %q", file, changes[i])
		}
		text = bytes.ReplaceAll(text, []byte(changes[i]), []byte(changes[i+1]))
	}
	return text
}

// Ask sends a command to the socket for who administers it, and returns the answer.
func (b *Balancer) Ask(command string) (string, error) {
	c, err := net.Dial("unix", b.socket)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := fmt.Fprintln(c, command); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

// Await waits until a server has the state, as UP or DOWN, in every section.
func (b *Balancer) Await(t testing.TB, server, state string) {
	t.Helper()
	testkit.Eventually(t, func() bool {
		answer, err := b.Ask("show stat")
		if err != nil {
			return false
		}
		seen := 0
		for lines := bufio.NewScanner(strings.NewReader(answer)); lines.Scan(); {
			fields := strings.Split(lines.Text(), ",")
			if len(fields) < 18 || fields[1] != server {
				continue
			}
			if seen++; fields[17] != state {
				return false
			}
		}
		return seen > 0
	}, "HAProxy to have the server "+server+" "+state)
}

// FreePorts returns n ports that nobody has on loopback now.
func FreePorts(t testing.TB, n int) (ports []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports
}
