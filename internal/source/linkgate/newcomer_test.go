package linkgate_test

import (
	"context"
	"crypto/tls"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/client/carrier"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/linkgate"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/impair"
	"github.com/penstock/penstock/link"
)

// porch keeps everybody out until it opens.
type porch struct {
	open  chan struct{}
	mu    sync.Mutex
	asked map[string]int
}

func newPorch() *porch { return &porch{open: make(chan struct{}), asked: map[string]int{}} }

func (p *porch) Meet(controller string, _ uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[controller]++
	select {
	case <-p.open:
		return nil
	default:
		return penstock.RetryLater(penstock.Unavailable, 50*time.Millisecond, "the record is being asked")
	}
}

func (p *porch) Await(ctx context.Context, controller string, epoch uint64) error {
	select {
	case <-p.open:
	case <-ctx.Done():
	}
	return p.Meet(controller, epoch)
}

func (p *porch) times(controller string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[controller]
}

// refusal reads the next frame, which is to be a refusal for now.
func refusal(t *testing.T, c carrier.Carrier) link.Refusal {
	t.Helper()
	f, err := c.Receive()
	var r link.Refusal
	if err != nil || f.Kind != link.KindRefusal || r.Decode(f.Payload) != nil || r.Reason != "unavailable" || r.Retry <= 0 {
		t.Fatalf("the answer to a stranger is %v, %+v, %v", f.Kind, r, err)
	}
	return r
}

// Over UDP nobody waits: neither a hello nor data without one is taken before the
// record was asked, and whoever is refused is told when to come again.
func TestStrangersOverUDP(t *testing.T) {
	ring, desk, book, porch := newKeyring(t), sourcetest.NewDesk(nil), evidence.NewBook(time.Now), newPorch()
	at := startUDPWith(t, ring, desk, book, porch)
	c, err := carrier.DialUDP(t.Context(), at, ring.key, 7, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	hello := link.Hello{Oldest: 1, Newest: 1, Controller: "pump-17", Epoch: 1}
	send := func(frame []byte) {
		t.Helper()
		if err := c.Send(frame); err != nil {
			t.Fatal(err)
		}
	}
	send(hello.Append(nil, link.Header{}))
	if r := refusal(t, c); !r.Session {
		t.Errorf("the session goes on: %+v", r)
	}
	send(link.AppendData(nil, link.Header{}, report("pump-17", 1)))
	if r := refusal(t, c); r.Session || r.Verdict != link.Later || r.Seq != 1 {
		t.Errorf("data without a hello: %+v", r)
	}
	if len(desk.Accepted()) != 0 || book.Port("test").Counted(evidence.Refused) != 0 {
		t.Errorf("%d reports were taken, and the port is blamed %d times", len(desk.Accepted()), book.Port("test").Counted(evidence.Refused))
	}
	close(porch.open)
	send(link.AppendData(nil, link.Header{}, report("pump-17", 1)))
	if f, err := c.Receive(); err != nil || f.Kind != link.KindAck {
		t.Fatalf("the answer to data is %v, %v", f.Kind, err)
	}
	send(hello.Append(nil, link.Header{}))
	if f, err := c.Receive(); err != nil || f.Kind != link.KindWelcome {
		t.Fatalf("the answer to the hello is %v, %v", f.Kind, err)
	}
	if len(desk.Accepted()) != 1 {
		t.Errorf("accepted: %+v", desk.Accepted())
	}
}

// Over TLS the connection waits, and then both frames are answered.
func TestStrangersOverTLS(t *testing.T) {
	authority, porch, desk := testkit.NewAuthority(t), newPorch(), sourcetest.NewDesk(nil)
	var at address
	env := sourcetest.Env(evidence.NewBook(time.Now), status{}, nil)
	env.Marks, env.Bound, env.Newcomers = books{}, at.note, porch
	env.TLS = &tls.Config{Certificates: []tls.Certificate{authority.Server(t, "127.0.0.1")}, MinVersion: tls.VersionTLS13}
	s, err := linkgate.NewTCP("127.0.0.1:0", linkgate.Default(), env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.Run(ctx, desk); err != nil {
			t.Error(err)
		}
	})
	defer work.Wait()
	defer cancel()
	testkit.Eventually(t, func() bool { return at.get() != "127.0.0.1:0" }, "the listener")
	c, err := carrier.DialTLS(t.Context(), at.get(), &tls.Config{RootCAs: authority.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	hello := link.Hello{Oldest: 1, Newest: 1, Controller: "pump-17", Epoch: 1, Token: "a token"}
	if err := c.Send(link.AppendData(hello.Append(nil, link.Header{}), link.Header{}, report("pump-17", 1))); err != nil {
		t.Fatal(err)
	}
	if porch.times("pump-17") != 0 || len(desk.Accepted()) != 0 {
		t.Error("it did not wait")
	}
	close(porch.open)
	for _, want := range []link.Kind{link.KindWelcome, link.KindAck} {
		if f, err := c.Receive(); err != nil || f.Kind != want {
			t.Fatalf("the answer is %v, %v, want %v", f.Kind, err, want)
		}
	}
	if len(desk.Accepted()) != 1 {
		t.Errorf("accepted: %+v", desk.Accepted())
	}
}

// On a line a stranger has its turns, and is taken when the record has answered.
func TestStrangersOnALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		porch := newPorch()
		d := newDropWith(t, impair.Profile{}, porch, "a", "b")
		defer d.stop()
		d.controller(t, "a", 1, 3)
		time.Sleep(5 * time.Second)
		if porch.times("a") == 0 || len(d.desk.Accepted()) != 0 {
			t.Fatalf("asked %d times, %d reports were taken", porch.times("a"), len(d.desk.Accepted()))
		}
		close(porch.open)
		for end := time.Now().Add(2 * time.Minute); len(d.desk.Accepted()) < 3 && time.Now().Before(end); {
			time.Sleep(time.Second)
		}
		if got := len(d.desk.Accepted()); got != 3 {
			t.Errorf("%d reports were taken, want 3", got)
		}
	})
}
