// Package mosquitto runs a Mosquitto for tests: the one of the machine's package, on
// loopback, with all its files in a directory of the test.
package mosquitto

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/penstock/penstock/internal/testkit"
)

// Broker is a Mosquitto of its own.
type Broker struct {
	// Address is where it listens for MQTT.
	Address string
	dir     string
	extra   string // lines of its configuration
	process *exec.Cmd
}

// Start starts a broker with further lines of its configuration. It ends with the
// test.
func Start(t testing.TB, extra string) *Broker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	b := &Broker{Address: l.Addr().String(), dir: t.TempDir(), extra: extra}
	b.Begin(t)
	t.Cleanup(b.Stop)
	return b
}

// Begin starts it again after [Broker.Stop].
func (b *Broker) Begin(t testing.TB) {
	t.Helper()
	_, port, _ := net.SplitHostPort(b.Address)
	config := fmt.Sprintf("user root\nlistener %s 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\nmax_queued_messages 0\n%s\n", port, b.dir, b.extra)
	file := filepath.Join(b.dir, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto"
	}
	b.process = exec.Command(program, "-c", file)
	b.process.Stderr = new(bytes.Buffer)
	if err := b.process.Start(); err != nil {
		t.Fatalf("the tests need Mosquitto: %v", err)
	}
	testkit.Eventually(t, func() bool {
		c, err := net.Dial("tcp", b.Address)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, "Mosquitto")
}

// Stop ends it, and has it save its sessions.
func (b *Broker) Stop() {
	_ = b.process.Process.Signal(syscall.SIGTERM)
	_ = b.process.Wait()
}

// Reload has it read its files again.
func (b *Broker) Reload() { _ = b.process.Process.Signal(syscall.SIGHUP) }
