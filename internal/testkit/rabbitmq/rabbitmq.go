// Package rabbitmq runs a RabbitMQ for tests: the one of the machine's package, on
// loopback, with all its files in a directory of the test.
package rabbitmq

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/penstock/penstock/internal/testkit"
)

// Server is a RabbitMQ of its own. It takes seconds to start, so the tests of a
// package share one.
type Server struct {
	// Address is where it listens for AMQP.
	Address string
	// MQTT is where it listens for MQTT, of version 3.1.1 alone; empty without its
	// plugin.
	MQTT   string
	dir    string
	epmd   *exec.Cmd
	server *exec.Cmd
	output *os.File
	env    []string
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// Start starts RabbitMQ and Erlang's name service in a directory of the
// test, on loopback, with little memory.
func Start(t testing.TB) *Server {
	t.Helper()
	return start(t, "", "")
}

// StartMQTT is [Start] with the plugin for MQTT.
func StartMQTT(t testing.TB) *Server {
	t.Helper()
	address := "127.0.0.1:" + freePort(t)
	r := start(t, "rabbitmq_mqtt", "mqtt.listeners.tcp.1 = "+address+"\n")
	r.MQTT = address
	return r
}

func start(t testing.TB, plugins, settings string) *Server {
	t.Helper()
	dir, port, names := t.TempDir(), freePort(t), freePort(t)
	r := &Server{dir: dir, Address: "127.0.0.1:" + port}
	files := map[string]string{
		"rabbitmq.conf": "listeners.tcp.1 = " + r.Address + "\nvm_memory_high_watermark.absolute = 512MiB\n" +
			"disk_free_limit.absolute = 50MB\nlog.console = true\nlog.console.level = warning\nlog.file = false\n" + settings,
		"plugins": "[" + plugins + "].",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.env = append(os.Environ(),
		"HOME="+dir, "ERL_EPMD_PORT="+names, "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME=penstock"+port+"@localhost", "RABBITMQ_DIST_PORT="+freePort(t),
		"RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq.conf"), "RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "plugins"),
		"RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "db"), "RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"),
		"RABBITMQ_GENERATED_CONFIG_DIR="+filepath.Join(dir, "gen"), "RABBITMQ_ADVANCED_CONFIG_FILE="+filepath.Join(dir, "none"),
		"RABBITMQ_PID_FILE="+filepath.Join(dir, "pid"),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
	)
	output, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	r.output = output
	r.epmd = r.command("epmd", "-port", names, "-address", "127.0.0.1")
	if err := r.epmd.Start(); err != nil {
		t.Fatalf("the tests need RabbitMQ: %v", err)
	}
	t.Cleanup(func() {
		r.Kill()
		_ = r.epmd.Process.Kill()
		_ = r.epmd.Wait()
		output.Close()
	})
	testkit.Eventually(t, func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+names)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, "Erlang's name service")
	r.Begin(t)
	return r
}

func (r *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = r.env, r.output, r.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the server is a shell with a child
	return cmd
}

// Begin starts it again after [Server.Kill].
func (r *Server) Begin(t testing.TB) {
	t.Helper()
	r.server = r.command("/usr/lib/rabbitmq/bin/rabbitmq-server")
	if err := r.server.Start(); err != nil {
		t.Fatalf("the tests need RabbitMQ: %v", err)
	}
	defer func() {
		if t.Failed() {
			said, _ := os.ReadFile(r.output.Name())
			t.Logf("RabbitMQ said: %s", said)
		}
	}()
	up := func() bool {
		conn, err := amqp091.Dial(r.URL())
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	for range 6 { // a busy machine needs longer than one patience
		if testkit.Within(up) {
			return
		}
	}
	t.Fatal("RabbitMQ did not come up")
}

// Kill ends RabbitMQ as a power cut would.
func (r *Server) Kill() {
	_ = syscall.Kill(-r.server.Process.Pid, syscall.SIGKILL)
	_ = r.server.Wait()
}

// URL returns where it listens, with user and password.
func (r *Server) URL() string { return "amqp://guest:guest@" + r.Address + "/" }

// Channel opens a channel of the test's own, with confirms.
func (r *Server) Channel(t testing.TB) *amqp091.Channel {
	t.Helper()
	conn, err := amqp091.Dial(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	channel, err := conn.Channel()
	if err == nil {
		err = channel.Confirm(false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

// Queue makes a quorum queue with the name of the test.
func (r *Server) Queue(t testing.TB, arguments amqp091.Table) string {
	t.Helper()
	if arguments == nil {
		arguments = amqp091.Table{}
	}
	arguments["x-queue-type"] = "quorum"
	name := t.Name()
	if _, err := r.Channel(t).QueueDeclare(name, true, false, false, false, arguments); err != nil {
		t.Fatal(err)
	}
	return name
}

// Publish publishes messages to the queue, or the exchange, and waits for their
// confirms.
func Publish(ctx context.Context, channel *amqp091.Channel, exchange, key string, messages ...amqp091.Publishing) error {
	var confirms []*amqp091.DeferredConfirmation
	for _, m := range messages {
		m.DeliveryMode = amqp091.Persistent
		c, err := channel.PublishWithDeferredConfirmWithContext(ctx, exchange, key, true, false, m)
		if err != nil {
			return err
		}
		confirms = append(confirms, c)
	}
	for _, c := range confirms {
		if ok, err := c.WaitContext(ctx); err != nil || !ok {
			return fmt.Errorf("not confirmed: %w", err)
		}
	}
	return nil
}

// Control runs rabbitmqctl, and returns what it printed.
func (r *Server) Control(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command("/usr/lib/rabbitmq/bin/rabbitmqctl", args...)
	cmd.Env = r.env
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("rabbitmqctl %v: %v\n%s", args, err, said)
	}
	return string(said)
}
