package amqp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/internal/testkit"
)

// rabbit is the RabbitMQ that all tests of the package share. It takes seconds to
// start, so they do not get one each.
type rabbit struct {
	dir     string
	address string
	epmd    *exec.Cmd
	server  *exec.Cmd
	output  *os.File
	env     []string
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

// startRabbit starts RabbitMQ and Erlang's name service in a directory of the
// test, on loopback, with little memory.
func startRabbit(t *testing.T) *rabbit {
	t.Helper()
	dir, port, names := t.TempDir(), freePort(t), freePort(t)
	r := &rabbit{dir: dir, address: "127.0.0.1:" + port}
	files := map[string]string{
		"rabbitmq.conf": "listeners.tcp.1 = " + r.address + "\nvm_memory_high_watermark.absolute = 512MiB\n" +
			"disk_free_limit.absolute = 50MB\nlog.console = true\nlog.console.level = warning\nlog.file = false\n",
		"plugins": "[].",
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
		r.kill()
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
	r.start(t)
	return r
}

func (r *rabbit) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = r.env, r.output, r.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the server is a shell with a child
	return cmd
}

func (r *rabbit) start(t *testing.T) {
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
		conn, err := amqp091.Dial(r.url())
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	for range 3 { // a busy machine needs longer than one patience
		if testkit.Within(up) {
			return
		}
	}
	t.Fatal("RabbitMQ did not come up")
}

// kill ends RabbitMQ as a power cut would.
func (r *rabbit) kill() {
	_ = syscall.Kill(-r.server.Process.Pid, syscall.SIGKILL)
	_ = r.server.Wait()
}

func (r *rabbit) url() string { return "amqp://guest:guest@" + r.address + "/" }

// channel opens a channel of the test's own, with confirms.
func (r *rabbit) channel(t testing.TB) *amqp091.Channel {
	t.Helper()
	conn, err := amqp091.Dial(r.url())
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

// queue makes a quorum queue of a fresh name.
func (r *rabbit) queue(t testing.TB, arguments amqp091.Table) string {
	t.Helper()
	if arguments == nil {
		arguments = amqp091.Table{}
	}
	arguments["x-queue-type"] = "quorum"
	name := t.Name()
	if _, err := r.channel(t).QueueDeclare(name, true, false, false, false, arguments); err != nil {
		t.Fatal(err)
	}
	return name
}

// publish publishes messages to the queue, or the exchange, and waits for their
// confirms.
func publish(ctx context.Context, channel *amqp091.Channel, exchange, key string, messages ...amqp091.Publishing) error {
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

// peer publishes reports and sees in the tap what became of them.
type peer struct {
	channel *amqp091.Channel
	queue   string
	tap     *tap
}

func (p peer) Send(ctx context.Context, r *penstock.Report) error {
	body, err := reportjson.AppendReport(nil, r)
	if err != nil {
		return err
	}
	before := p.tap.count(string(body))
	if err := publish(ctx, p.channel, "", p.queue, amqp091.Publishing{Body: body}); err != nil {
		return err
	}
	return p.tap.wait(ctx, string(body), before+1)
}

func (p peer) Close() error { return nil }

// tap stands between the source and the broker, and sees which messages the
// source acknowledges.
type tap struct {
	listener net.Listener
	to       string
	work     sync.WaitGroup

	mu    sync.Mutex
	acks  map[string]int // by body
	conns map[net.Conn]bool
	news  chan struct{} // closed and replaced at every acknowledgement
	mute  bool          // acknowledgements go no further
}

func newTap(t testing.TB, to string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{listener: l, to: to, acks: map[string]int{}, conns: map[net.Conn]bool{}, news: make(chan struct{})}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.work.Wait()
	})
	return p
}

func (p *tap) address() string { return p.listener.Addr().String() }

func (p *tap) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", p.to)
		if err != nil {
			c.Close()
			continue
		}
		p.mu.Lock()
		p.conns[c], p.conns[up] = true, true
		p.mu.Unlock()
		s := &session{tap: p, open: map[uint64]string{}}
		p.work.Go(func() { s.copy(up, c, 8, s.fromSource) }) // the protocol's header comes first
		p.work.Go(func() { s.copy(c, up, 0, s.fromBroker) })
	}
}

// swallow makes acknowledgements disappear, and the connection with them.
func (p *tap) swallow(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = on
}

func (p *tap) count(body string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acks[body]
}

func (p *tap) total() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, count := range p.acks {
		n += count
	}
	return n
}

func (p *tap) wait(ctx context.Context, body string, count int) error {
	for {
		p.mu.Lock()
		enough, news := p.acks[body] >= count, p.news
		p.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// session is one connection through the tap.
type session struct {
	tap  *tap
	tag  uint64 // of the message that is being delivered
	body []byte
	size uint64
	open map[uint64]string // bodies by delivery tag; the tap's lock guards it
}

var errSwallowed = errors.New("the acknowledgement was swallowed")

// copy hands on frame by frame what look does not object to.
func (s *session) copy(to, from net.Conn, header int64, look func(kind byte, payload []byte) error) {
	defer to.Close()
	defer from.Close()
	if _, err := io.CopyN(to, from, header); err != nil {
		return
	}
	for {
		frame := make([]byte, 7)
		if _, err := io.ReadFull(from, frame); err != nil {
			return
		}
		frame = append(frame, make([]byte, binary.BigEndian.Uint32(frame[3:])+1)...)
		if _, err := io.ReadFull(from, frame[7:]); err != nil {
			return
		}
		if look(frame[0], frame[7:len(frame)-1]) != nil {
			return
		}
		if _, err := to.Write(frame); err != nil {
			return
		}
	}
}

const (
	frameMethod, frameHeader, frameBody = 1, 2, 3

	basicDeliver = 60<<16 | 60
	basicAck     = 60<<16 | 80
)

func (s *session) fromBroker(kind byte, payload []byte) error {
	switch {
	case kind == frameMethod && binary.BigEndian.Uint32(payload) == basicDeliver:
		s.tag = binary.BigEndian.Uint64(payload[5+payload[4]:])
		s.body = nil
	case kind == frameHeader:
		s.size = binary.BigEndian.Uint64(payload[4:])
	case kind == frameBody:
		s.body = append(s.body, payload...)
		if uint64(len(s.body)) == s.size {
			s.tap.mu.Lock()
			s.open[s.tag] = string(s.body)
			s.tap.mu.Unlock()
		}
	}
	return nil
}

func (s *session) fromSource(kind byte, payload []byte) error {
	if kind != frameMethod || binary.BigEndian.Uint32(payload) != basicAck {
		return nil
	}
	p := s.tap
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mute {
		return errSwallowed
	}
	through, multiple := binary.BigEndian.Uint64(payload[4:]), payload[12] == 1
	for tag, body := range s.open {
		if tag == through || multiple && tag < through {
			p.acks[body]++
			delete(s.open, tag)
		}
	}
	close(p.news)
	p.news = make(chan struct{})
	return nil
}
