package linkgate_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/client/carrier"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/linkgate"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/link"
)

type status struct{}

func (status) OK()            {}
func (status) Failing(string) {}

// startUDP runs a UDP listener and returns where it listens.
func startUDP(t *testing.T, ring *keyring, desk *sourcetest.Desk, book *evidence.Book) string {
	t.Helper()
	return startUDPWith(t, ring, desk, book, nil)
}

// startUDPWith is startUDP with what asks the record about newcomers, nil for nothing.
func startUDPWith(t *testing.T, ring *keyring, desk *sourcetest.Desk, book *evidence.Book, newcomers source.Newcomers) string {
	t.Helper()
	var at address
	env := sourcetest.Env(book, status{}, nil)
	env.Keys, env.Marks, env.Bound, env.Newcomers = ring, books{}, at.note, newcomers
	s, err := linkgate.NewUDP("127.0.0.1:0", linkgate.Default(), env)
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
	t.Cleanup(func() { cancel(); work.Wait() })
	testkit.Eventually(t, func() bool { return at.get() != "127.0.0.1:0" }, "the listener")
	return at.get()
}

func report(controller string, seq uint64) []byte {
	return link.AppendReport(nil, &penstock.Report{
		Controller: controller, Identity: penstock.SequenceIdentity(1, seq),
		Samples: []penstock.Sample{{Point: "flow", SourceTime: 1, Value: penstock.FloatValue(1)}},
	})
}

// A key speaks for the controllers of its scope and for nobody else, whether it
// says hello first or not, and no more once it is revoked.
func TestKeyAndScope(t *testing.T) {
	ring, desk, book := newKeyring(t), sourcetest.NewDesk(nil), evidence.NewBook(time.Now)
	at := startUDP(t, ring, desk, book)
	c, err := carrier.DialUDP(t.Context(), at, ring.key, 7, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send := func(frame []byte) {
		t.Helper()
		if err := c.Send(frame); err != nil {
			t.Fatal(err)
		}
	}
	refused := func() uint64 { return book.Port("test").Counted(evidence.Refused) }
	send(link.AppendData(nil, link.Header{}, report("tank-3", 1)))
	testkit.Eventually(t, func() bool { return refused() == 1 }, "the refusal of another's report")
	hello := link.Hello{Oldest: 1, Newest: 1, Controller: "tank-3", Epoch: 1}
	send(hello.Append(nil, link.Header{}))
	f, err := c.Receive()
	var r link.Refusal
	if err != nil || f.Kind != link.KindRefusal || r.Decode(f.Payload) != nil || r.Reason != "forbidden" {
		t.Fatalf("the answer to another's hello is %v, %+v, %v", f.Kind, r, err)
	}
	send(link.AppendData(nil, link.Header{}, report("pump-17", 1))) // no hello is needed
	if f, err = c.Receive(); err != nil || f.Kind != link.KindAck {
		t.Fatalf("the answer to data is %v, %v", f.Kind, err)
	}
	ring.revoke()
	before := refused()
	send(link.AppendData(nil, link.Header{}, report("pump-17", 2)))
	testkit.Eventually(t, func() bool { return refused() > before }, "the refusal of a revoked key")
	if got := desk.Accepted(); len(got) != 1 || got[0].Controller != "pump-17" {
		t.Errorf("accepted: %+v", got)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	if err := linkgate.Default().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*linkgate.Config){
		"window":      func(c *linkgate.Config) { c.Window = 1 },
		"heartbeat":   func(c *linkgate.Config) { c.Heartbeat = 0 },
		"connections": func(c *linkgate.Config) { c.Connections = 0 },
		"sessions":    func(c *linkgate.Config) { c.Sessions = 1 << 20 },
		"admit":       func(c *linkgate.Config) { c.Admit = -1 },
		"datagram":    func(c *linkgate.Config) { c.Datagram = config.Size(100) },
	} {
		c := linkgate.Default()
		change(&c)
		if err := c.Validate(); penstock.CodeOf(err) != penstock.Invalid || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
