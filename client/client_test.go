package client_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/client"
	"github.com/penstock/penstock/client/carrier"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/linkgate"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/impair"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const keyText = "0123456789abcdef:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

// gateway is a listener of the link protocol with a desk behind it.
type gateway struct {
	desk    *sourcetest.Desk
	book    *evidence.Book
	client  *tls.Config
	server  *tls.Config
	mu      sync.Mutex // guards everything below
	address string
	frozen  bool // the record settles nothing
	run     sync.WaitGroup
	cancel  context.CancelFunc
}

func newGateway(t *testing.T) *gateway {
	authority := testkit.NewAuthority(t)
	return &gateway{
		desk: sourcetest.NewDesk(nil), book: evidence.NewBook(time.Now),
		client: &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS13},
		server: &tls.Config{Certificates: []tls.Certificate{authority.Server(t, "127.0.0.1")}, MinVersion: tls.VersionTLS13},
	}
}

// Marks implements source.Books: the record has all that the desk accepted
// without a gap.
func (g *gateway) Marks(_ string, epoch uint64) source.Marks {
	var m source.Marks
	have := map[uint64]bool{}
	for _, r := range g.desk.Accepted() {
		m.LastEpoch = max(m.LastEpoch, r.Identity.Epoch)
		if r.Identity.Epoch == epoch {
			have[r.Identity.Seq] = true
		}
	}
	for have[m.Accepted+1] {
		m.Accepted++
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.frozen {
		m.Committed = m.Accepted
	}
	return m
}

// Key implements source.Keys.
func (g *gateway) Key(uint64) ([]byte, *penstock.Principal, error) {
	key, err := carrier.ParseKey(keyText)
	return key.Secret, &penstock.Principal{Credential: "key", Role: penstock.RoleController, Scope: penstock.Scope{"*"}}, err
}

func (g *gateway) OK()            {}
func (g *gateway) Failing(string) {}

// start runs the listener, at the address of the last time.
func (g *gateway) start(t *testing.T, udp bool) {
	t.Helper()
	env := sourcetest.Env(g.book, g, nil)
	env.TLS, env.Keys, env.Marks = g.server, g, g
	bound := make(chan string, 1)
	env.Bound = func(_, address string) { bound <- address }
	at := config.Address("127.0.0.1:0")
	if g.address != "" {
		at = config.Address(g.address)
	}
	settings := linkgate.Default()
	var s penstock.Source
	var err error
	if udp {
		s, err = linkgate.NewUDP(at, settings, env)
	} else {
		s, err = linkgate.NewTCP(at, settings, env)
	}
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, g.cancel = context.WithCancel(context.Background())
	g.run.Go(func() {
		if err := s.Run(ctx, g.desk); err != nil {
			t.Error(err)
		}
	})
	g.address = <-bound
	t.Cleanup(g.stop)
}

func (g *gateway) stop() {
	g.cancel()
	g.run.Wait()
}

func (g *gateway) options(t *testing.T, url string) client.Options {
	return client.Options{
		Controller: "pump-17", Gateway: url, Token: "a token", Key: keyText, TLS: g.client, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
	}
}

func open(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func sample(v int) penstock.Sample {
	return penstock.Sample{Point: "flow", SourceTime: int64(v) + 1, Value: penstock.IntValue(int64(v))}
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// mustHaveOnce sees that the desk accepted the values 0 to n-1, each once.
func (g *gateway) mustHaveOnce(t *testing.T, n int) {
	t.Helper()
	seen := map[int64]int{}
	for _, r := range g.desk.Accepted() {
		for _, s := range r.Samples {
			seen[s.Value.Int()]++
		}
	}
	for v := range n {
		if seen[int64(v)] != 1 {
			t.Errorf("value %d is there %d times", v, seen[int64(v)])
		}
	}
	if len(seen) != n {
		t.Errorf("%d values are there, not %d", len(seen), n)
	}
}

// settled waits until the outbox is empty.
func settled(t *testing.T, c *client.Client) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(90 * time.Second); c.Stats().Waiting > 0; <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("the outbox is not empty: %+v", c.Stats())
		}
	}
}

func TestDelivers(t *testing.T) {
	for _, scheme := range []string{"link", "link+udp"} {
		t.Run(scheme, func(t *testing.T) {
			g := newGateway(t)
			g.start(t, scheme == "link+udp")
			o := g.options(t, scheme+"://"+g.address)
			c := open(t, o)
			for v := range 20 {
				if err := c.Send(limited(t), sample(v)); err != nil {
					t.Fatal(err)
				}
			}
			g.mustHaveOnce(t, 20)
			settled(t, c)
			if s := c.Stats(); !s.Connected || s.Committed.Seq != 20 || s.Accepted != s.Committed {
				t.Errorf("%+v", s)
			}
			if _, err := client.Open(o); penstock.CodeOf(err) != penstock.Conflict {
				t.Errorf("a second client on the same outbox: %v", err)
			}
		})
	}
}

func TestKeepsThroughOutages(t *testing.T) {
	g := newGateway(t)
	g.start(t, false)
	o := g.options(t, "link://"+g.address)
	c := open(t, o)
	if err := c.Send(limited(t), sample(0)); err != nil {
		t.Fatal(err)
	}
	g.stop()
	for v := 1; v < 50; v++ {
		if _, err := c.Offer(sample(v)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := c.Send(ctx, sample(50)); err == nil {
		t.Fatal("a report was delivered to a gateway that is down")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, o) // the program was restarted too
	g.start(t, false)
	settled(t, c)
	g.mustHaveOnce(t, 51)
}

// What was accepted and is not committed stays in the outbox, for another gateway
// may have to get it.
func TestForgetsOnlyWhatIsCommitted(t *testing.T) {
	g := newGateway(t)
	g.frozen = true
	g.start(t, false)
	o := g.options(t, "link://"+g.address)
	c := open(t, o)
	for v := range 10 {
		if err := c.Send(limited(t), sample(v)); err != nil {
			t.Fatal(err)
		}
	}
	if s := c.Stats(); s.Waiting != 10 || s.Accepted.Seq != 10 || s.Committed.Seq != 0 {
		t.Fatalf("%+v", s)
	}
	c.Close()
	other := newGateway(t) // the first is lost for ever
	other.start(t, false)
	o.Gateway, o.TLS = "link://"+other.address, other.client
	c = open(t, o)
	settled(t, c)
	other.mustHaveOnce(t, 10)
}

func TestRefusalsAreTold(t *testing.T) {
	g := newGateway(t)
	g.start(t, false)
	o := g.options(t, "link://"+g.address)
	told := make(chan penstock.Reason, 1)
	o.Refused = func(_ penstock.Identity, reason penstock.Reason, _ string) { told <- reason }
	c := open(t, o)
	g.desk.Refuse(penstock.ReasonRange)
	err := c.Send(limited(t), sample(1))
	if penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), "range") {
		t.Fatalf("the refusal came as %v", err)
	}
	if reason := <-told; reason != penstock.ReasonRange {
		t.Errorf("reason %s", reason)
	}
	g.desk.Refuse("")
	if err := c.Send(limited(t), sample(2)); err != nil {
		t.Fatal(err)
	}
}

// An old copy of an outbox gives out numbers that the gateway knows: what is in it
// goes under new ones.
func TestAnOldCopyOfAnOutboxGetsNewNumbers(t *testing.T) {
	g := newGateway(t)
	g.start(t, false)
	o := g.options(t, "link://"+g.address)
	c := open(t, o)
	if err := c.Send(limited(t), sample(0)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	c = open(t, o)
	for v := 1; v < 5; v++ {
		if err := c.Send(limited(t), sample(v)); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	o.Dir = copied
	c = open(t, o)
	if err := c.Send(limited(t), sample(5)); err != nil {
		t.Fatal(err)
	}
	settled(t, c)
	seen := map[int64]bool{}
	for _, r := range g.desk.Accepted() {
		seen[r.Samples[0].Value.Int()] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d values are there, not 6", len(seen))
	}
}

// TestBadNetworks sends through what radios do to datagrams.
func TestBadNetworks(t *testing.T) {
	reports := 300
	delay, jitter := 10*time.Millisecond, 10*time.Millisecond
	if os.Getenv("PENSTOCK_TORTURE") != "" {
		reports, delay, jitter = 5000, 200*time.Millisecond, 200*time.Millisecond
	}
	for _, loss := range []float64{0, 0.05, 0.1, 0.3} {
		t.Run(fmt.Sprint("loss ", loss), func(t *testing.T) {
			t.Parallel()
			g := newGateway(t)
			g.start(t, true)
			way, err := impair.NewUDP(g.address, impair.Profile{
				Loss: loss, Duplicate: 0.1, Reorder: 0.1, Corrupt: 0.01, Delay: delay, Jitter: jitter, Seed: 42,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(way.Close)
			c := open(t, g.options(t, "link+udp://"+way.Addr()))
			began := time.Now()
			for v := range reports {
				if _, err := c.Offer(sample(v)); err != nil {
					t.Fatal(err)
				}
				if v == reports/2 {
					way.Rebind()
				}
			}
			settled(t, c)
			g.mustHaveOnce(t, reports)
			up, down := way.Counts()
			t.Logf("%d reports in %v; up %+v, down %+v", reports, time.Since(began).Round(time.Millisecond), up, down)
		})
	}
}
