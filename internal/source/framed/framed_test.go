package framed_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/checksum"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/framing"
	"github.com/penstock/penstock/internal/serialport"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/framed"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/link"
)

// What the devices of these tests are told.
const (
	accepted = 0x06
	later    = 0x15
	refused  = 0x18
	damaged  = 0x1A
)

// config is how they speak: a length of two bytes, a report in binary, a CRC-32.
func config() framed.Config {
	return framed.Config{
		Framing: &framing.Config{
			Start: "\x68", Length: &framing.Length{At: 1, Size: 2, Adds: 7}, Checksum: &framing.Checksum{Name: "crc-32"}, Max: 4096,
		},
		Mapping: "reports", Controllers: []string{"*"}, Gap: 50 * time.Millisecond,
		Answers: framed.Answers{
			Accepted: &framed.Answer{Send: "\x06"}, Later: &framed.Answer{Send: "\x15"},
			Refused: &framed.Answer{Send: "\x18"}, Damaged: &framed.Answer{Send: "\x1A"},
		},
	}
}

// frame returns a report as a device sends it.
func frame(r *penstock.Report) []byte {
	body := link.AppendReport(nil, r)
	b := append([]byte{0x68, byte(len(body) >> 8), byte(len(body))}, body...)
	crc, _ := checksum.Find("crc-32")
	return crc.Append(b, b, checksum.LowFirst)
}

// decode stands for the mapping: it takes away what the framing left.
func decode(e *penstock.Envelope) ([]penstock.Report, error) {
	if e.ContentType != "reports" || e.Principal == nil || e.Principal.Role != penstock.RoleController {
		return nil, penstock.Errorf(penstock.Internal, "the envelope is %+v", e)
	}
	var r penstock.Report
	_, err := new(link.Decoder).Decode(e.Body[3:], &r)
	return []penstock.Report{r}, err
}

// device is a peer on a stream or on datagrams.
type device struct {
	io.ReadWriteCloser
	deadline func(time.Time) error
}

func (d *device) Send(ctx context.Context, r *penstock.Report) error {
	if end, ok := ctx.Deadline(); ok {
		if err := d.deadline(end); err != nil {
			return err
		}
	}
	defer context.AfterFunc(ctx, func() { _ = d.deadline(time.Unix(1, 0)) })()
	if _, err := d.Write(frame(r)); err != nil {
		return err
	}
	reply := make([]byte, 1)
	if _, err := d.Read(reply); err != nil {
		return err
	}
	switch reply[0] {
	case accepted:
		return nil
	case refused:
		return sourcetest.ErrRefused
	case later:
		return sourcetest.ErrLater
	}
	return errors.New("an answer that means nothing")
}

func dial(t *testing.T, network, address string) *device {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return &device{conn, conn.SetDeadline}
}

// freeAddress returns an address that nobody listens on.
func freeAddress(t *testing.T, network string) string {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().String()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// garbled is a frame of which one bit is another.
func garbled() []byte {
	b := frame(&penstock.Report{Controller: "c", Identity: penstock.SequenceIdentity(1, 1)})
	b[6] ^= 1
	return b
}

func TestListen(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Subject {
		c := config()
		c.Listen = freeAddress(t, "tcp")
		return subject(c, "tcp", c.Listen)
	})
}

func TestUDP(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Subject {
		c := config()
		c.UDP = freeAddress(t, "udp")
		return subject(c, "udp", c.UDP)
	})
}

func subject(c framed.Config, network, address string) sourcetest.Subject {
	return sourcetest.Subject{
		New:  func(t *testing.T, env source.Env) penstock.Source { return newSource(t, c, env) },
		Peer: func(t *testing.T) sourcetest.Peer { return dial(t, network, address) },
		Garble: func(t *testing.T) {
			d := dial(t, network, address)
			defer d.Close()
			write(t, d, garbled())
			wantReply(t, d, damaged)
		},
		Decode: decode,
	}
}

func newSource(t *testing.T, c framed.Config, env source.Env) penstock.Source {
	t.Helper()
	s, err := framed.New(c, env)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, w io.Writer, b []byte) {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
}

func wantReply(t *testing.T, d *device, want ...byte) {
	t.Helper()
	if err := d.deadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(d, got); err != nil || string(got) != string(want) {
		t.Fatalf("the answer is % x, not % x: %v", got, want, err)
	}
}

// switchboard joins the two ends of a serial line that outlives the source.
type switchboard struct{ a, b string }

func newLine(t *testing.T) switchboard {
	t.Helper()
	dir, err := os.MkdirTemp("", "line") // the test's own has its name in it, and socat takes commas for its options
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := switchboard{filepath.Join(dir, "a"), filepath.Join(dir, "b")}
	program := exec.Command("socat", "pty,raw,echo=0,link="+s.a, "pty,raw,echo=0,link="+s.b)
	if err := program.Start(); err != nil {
		t.Fatalf("socat is needed for serial lines: %v", err)
	}
	t.Cleanup(func() { program.Process.Kill(); program.Wait() })
	testkit.Eventually(t, func() bool {
		_, err := os.Stat(s.a)
		_, err2 := os.Stat(s.b)
		return err == nil && err2 == nil
	}, "the line")
	return s
}

func (s switchboard) device(t *testing.T) *device {
	t.Helper()
	port, err := serialport.Open(serialport.Config{Device: s.b, Baud: 115200})
	if err != nil {
		t.Fatal(err)
	}
	return &device{port, func(at time.Time) error {
		return errors.Join(port.SetReadDeadline(at), port.SetWriteDeadline(at))
	}}
}

// The other end of a serial line is one device: it stays while its peers come and
// go.
type shared struct{ *device }

func (shared) Close() error { return nil }

func TestSerial(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Subject {
		line := newLine(t)
		c := config()
		c.Serial = &serialport.Config{Device: line.a, Baud: 115200}
		d := line.device(t)
		t.Cleanup(func() { d.Close() })
		return sourcetest.Subject{
			New:    func(t *testing.T, env source.Env) penstock.Source { return newSource(t, c, env) },
			Peer:   func(*testing.T) sourcetest.Peer { return shared{d} },
			Decode: decode,
			Garble: func(t *testing.T) {
				write(t, d, garbled())
				wantReply(t, d, damaged)
			},
		}
	})
}

// stand runs a source with a desk until the test ends.
type stand struct {
	desk *sourcetest.Desk
	book *evidence.Book
	done chan error
}

type ready struct {
	once sync.Once
	ok   chan struct{}
}

func (r *ready) OK()            { r.once.Do(func() { close(r.ok) }) }
func (r *ready) Failing(string) {}

func run(t *testing.T, c framed.Config) *stand {
	t.Helper()
	st := &stand{desk: sourcetest.NewDesk(decode), book: evidence.NewBook(time.Now), done: make(chan error, 1)}
	status := &ready{ok: make(chan struct{})}
	s := newSource(t, c, sourcetest.Env(st.book, status, nil))
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { st.done <- s.Run(ctx, st.desk) })
	t.Cleanup(func() { cancel(); work.Wait() })
	select {
	case <-status.ok:
	case err := <-st.done:
		t.Fatal(err)
	}
	return st
}

func report(n uint64) *penstock.Report {
	return &penstock.Report{
		Controller: "pump-17", Identity: penstock.SequenceIdentity(1, n),
		Samples: []penstock.Sample{{Point: "flow", SourceTime: int64(n), Value: penstock.FloatValue(float64(n))}},
	}
}

// Without a word for "later", the source itself tries again, and the device waits
// in TCP's own buffers.
func TestAStreamWithoutAnswersIsHeldBack(t *testing.T) {
	c := config()
	c.Listen, c.Answers = freeAddress(t, "tcp"), framed.Answers{}
	st := run(t, c)
	st.desk.Fail(penstock.RetryLater(penstock.Full, 10*time.Millisecond, "no room"))
	d := dial(t, "tcp", c.Listen)
	defer d.Close()
	write(t, d, slices.Concat(frame(report(1)), frame(report(2)), frame(report(3)))) // in one segment, most likely
	testkit.Eventually(t, func() bool { return st.desk.Envelopes() > 2 }, "the source's own tries")
	st.desk.Fail(nil)
	testkit.Eventually(t, func() bool { return len(st.desk.Accepted()) == 3 }, "all of them, in their order")
	for i, r := range st.desk.Accepted() {
		if r.Identity.Seq != uint64(i+1) {
			t.Errorf("report %d came at place %d", r.Identity.Seq, i)
		}
	}
}

// Frames that come together are answered each in its turn, the damaged ones among
// them.
func TestAnswersInOrder(t *testing.T) {
	c := config()
	c.Answers.Accepted = &framed.Answer{Send: "A", CopyAt: 1, CopySize: 2, Then: "\n", Checksum: "sum8"}
	c.Listen = freeAddress(t, "tcp")
	st := run(t, c)
	d := dial(t, "tcp", c.Listen)
	defer d.Close()
	one := frame(report(1))
	write(t, d, append(append(append([]byte{}, one...), garbled()...), frame(report(2))...))
	size := one[1:3]
	reply := []byte{'A', size[0], size[1], '\n', 'A' + size[0] + size[1] + '\n'}
	wantReply(t, d, append(append(append([]byte{}, reply...), damaged), reply...)...)
	page, _ := st.book.FindPort("test")
	if page.Counted(evidence.Received) != 2 || page.Counted(evidence.Checksum) != 1 {
		t.Errorf("%+v", page.Summary())
	}
	if bad := page.BadFrames(); len(bad) != 1 || !strings.HasPrefix(bad[0].Why, "127.0.0.1:") {
		t.Errorf("the evidence does not say who sent a damaged frame: %+v", bad)
	}
	if controller, ok := st.book.FindController("pump-17"); !ok || controller.Counted(evidence.Received) != 2 || controller.Counted(evidence.Checksum) != 0 {
		t.Error("the controller's page is wrong")
	}
}

// Who sends anything but frames is hung up on.
func TestNoiseEndsAConnection(t *testing.T) {
	c := config()
	c.Listen = freeAddress(t, "tcp")
	run(t, c)
	noisy := dial(t, "tcp", c.Listen)
	defer noisy.Close()
	// The peer may be gone before all was written.
	_, _ = noisy.Write([]byte(strings.Repeat("x", 200<<10)))
	wantEnd(t, noisy)
}

// Who keeps still is hung up on, and leaves its place to others.
func TestSilenceEndsAConnection(t *testing.T) {
	c := config()
	c.Listen, c.Silence, c.Connections = freeAddress(t, "tcp"), 100*time.Millisecond, 1
	st := run(t, c)
	silent := dial(t, "tcp", c.Listen)
	defer silent.Close()
	wantEnd(t, silent)
	testkit.Eventually(t, func() bool {
		page, _ := st.book.FindPort("test")
		return page.Counted(evidence.Lost) == 1
	}, "the end of the connection")
	next := dial(t, "tcp", c.Listen)
	defer next.Close()
	if err := next.Send(t.Context(), report(1)); err != nil {
		t.Fatal(err)
	}
}

// When all places are taken, whoever brought no frame for longest makes room for a
// device that comes; those that report keep theirs.
func TestASilentConnectionMakesRoom(t *testing.T) {
	c := config()
	c.Listen, c.Silence, c.Connections = freeAddress(t, "tcp"), 4*time.Second, 2
	st := run(t, c)
	silent, live := dial(t, "tcp", c.Listen), dial(t, "tcp", c.Listen)
	defer silent.Close()
	defer live.Close()
	counted := func(e evidence.Event) uint64 {
		page, _ := st.book.FindPort("test")
		return page.Counted(e)
	}
	testkit.Eventually(t, func() bool { return counted(evidence.Connected) == 2 }, "both connections")
	early := dial(t, "tcp", c.Listen)
	defer early.Close()
	wantReply(t, early, later)
	wantEnd(t, early)
	if counted(evidence.Refused) != 1 {
		t.Errorf("a refused connection is counted %d times", counted(evidence.Refused))
	}
	var next *device
	testkit.Eventually(t, func() bool {
		if err := live.Send(t.Context(), report(1)); err != nil {
			t.Fatal(err)
		}
		next = dial(t, "tcp", c.Listen)
		return next.Send(t.Context(), report(2)) == nil || next.Close() != nil
	}, "a place for a device that comes later")
	defer next.Close()
	wantEnd(t, silent)
	if counted(evidence.Timeout) != 1 {
		t.Errorf("the connection that made room is counted %d times", counted(evidence.Timeout))
	}
	if err := live.Send(t.Context(), report(3)); err != nil {
		t.Errorf("the device that reports lost its place: %v", err)
	}
}

// What finds no room is told so, and counted: in the kernel's buffer nobody would
// count it.
func TestDatagramsBeyondTheBoundAreCounted(t *testing.T) {
	c := config()
	c.UDP, c.Framing = freeAddress(t, "udp"), nil
	st := run(t, c)
	st.desk.Close()
	d := dial(t, "udp", c.UDP)
	defer d.Close()
	page, _ := st.book.FindPort("test")
	body := append([]byte("abc"), link.AppendReport(nil, report(1))...)
	const waiting = 1024
	for n := range uint64(waiting) { // one after another, for loopback loses what comes too fast
		write(t, d, body)
		testkit.Eventually(t, func() bool { return page.Counted(evidence.Received) > n }, "the datagram")
	}
	write(t, d, body)
	wantReply(t, d, later)
	if got := page.Counted(evidence.Overrun); got != 1 {
		t.Errorf("%d datagrams are counted as overrun", got)
	}
	st.desk.Open()
	for range 100 { // of the rest some may be lost: they all come at once
		wantReply(t, d, accepted)
	}
}

func wantEnd(t *testing.T, d *device) {
	t.Helper()
	if err := d.deadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection did not end: %v", err)
	}
}

// A source that connects fails when its device does, and is started again by its
// runner.
func TestConnect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := config()
	c.Connect = l.Addr().String()
	st := run(t, c)
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	d := &device{conn, conn.SetDeadline}
	if err := d.Send(t.Context(), report(1)); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := <-st.done; err == nil {
		t.Error("the source ended well with its device gone")
	}
	st.done <- nil
}

func TestDatagramIsAFrame(t *testing.T) {
	c := config()
	c.UDP, c.Framing = freeAddress(t, "udp"), nil
	st := run(t, c)
	d := dial(t, "udp", c.UDP)
	defer d.Close()
	write(t, d, append([]byte("abc"), link.AppendReport(nil, report(1))...))
	wantReply(t, d, accepted)
	if len(st.desk.Accepted()) != 1 {
		t.Error("nothing was accepted")
	}
}

func TestMistakes(t *testing.T) {
	for want, change := range map[string]func(*framed.Config){
		"exactly one of":            func(*framed.Config) {},
		"2 of them do":              func(c *framed.Config) { c.Listen, c.UDP = ":1", ":2" },
		"listen: ":                  func(c *framed.Config) { c.Listen = "4001" },
		"mapping: ":                 func(c *framed.Config) { c.Listen, c.Mapping = ":1", "" },
		"controllers: ":             func(c *framed.Config) { c.Listen, c.Controllers = ":1", nil },
		"framing: is missing":       func(c *framed.Config) { c.Listen, c.Framing = ":1", nil },
		"connections: ":             func(c *framed.Config) { c.Listen, c.Connections = ":1", -1 },
		"silence: ":                 func(c *framed.Config) { c.Listen, c.Silence = ":1", -1 },
		"answers.accepted.send: ":   func(c *framed.Config) { c.Listen, c.Answers.Accepted = ":1", &framed.Answer{} },
		"answers.later.checksum: ":  func(c *framed.Config) { c.Listen, c.Answers.Later = ":1", &framed.Answer{Send: "x", Checksum: "y"} },
		"answers.damaged.order: ":   func(c *framed.Config) { c.Listen, c.Answers.Damaged = ":1", &framed.Answer{Send: "x", Order: "y"} },
		"answers.refused.send: an ": func(c *framed.Config) { c.Listen, c.Answers.Refused = ":1", &framed.Answer{CopySize: 300} },
	} {
		c := config()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %q", err, want)
		}
	}
}
