package sourcetest

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/testkit"
)

// What a Peer's Send returns when the source has answered, and not with an
// acknowledgement. Any other error means that no answer came.
var (
	ErrRefused = errors.New("the source refused the report for good")
	ErrLater   = errors.New("the source took nothing and said to try again")
)

// A Peer is somebody else's end of the protocol: a controller, a publisher, a
// broker.
type Peer interface {
	// Send hands over one report and returns nil once the source has acknowledged
	// it. It gives up when ctx ends.
	Send(ctx context.Context, r *penstock.Report) error
	Close() error
}

// Subject is a source under test. The functions are called for every test anew.
type Subject struct {
	// New makes the source; it is called again for a restart, with the same
	// address or the same broker.
	New func(t *testing.T, env source.Env) penstock.Source
	// Peer connects to the source that runs.
	Peer func(t *testing.T) Peer
	// Garble sends what is no report in the protocol, or damaged, and returns when
	// it was sent. The bytes and the event must stand in the evidence. Nil where
	// the protocol's library keeps such input away from us.
	Garble func(t *testing.T)
	Decode Decode // nil for [Standard]
	// Mute says that the protocol has no word of refusal: what is not
	// acknowledged is silence.
	Mute bool
	// Unacknowledged says that the protocol has no acknowledgement at all: Send
	// returns when the report was written.
	Unacknowledged bool
	// Auth is what the source asks; nil accepts everybody.
	Auth source.Authenticator
}

// Run runs the suite.
func Run(t *testing.T, subject func(t *testing.T) Subject) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(*testing.T, *stand)
		acks bool // needs a protocol that acknowledges
	}{
		{"acknowledges what is durable, and only then", durableFirst, true},
		{"acknowledges a duplicate", duplicate, true},
		{"asks again for what an outage kept out", outage, true},
		{"refuses in the protocol's words and goes on", refusal, true},
		{"redelivers what a restart left undecided", restart, true},
		{"keeps what it has read through an outage", hold, false},
		{"names malformed input and goes on", garbage, false},
		{"ends while reports are undecided", stop, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := subject(t)
			if c.acks && s.Unacknowledged {
				t.Log("the protocol has no acknowledgement")
				return
			}
			c.run(t, newStand(t, s))
		})
	}
}

// The times that the suite waits. A source that keeps still for patience has not
// acknowledged; one that has to answer gets as long as a busy machine needs.
const (
	quiet    = 150 * time.Millisecond
	patience = 30 * time.Second
)

// stand is one running source with the desk behind it.
type stand struct {
	Subject
	desk *Desk
	book *evidence.Book
	ok   chan struct{}
	stop func()
}

func newStand(t *testing.T, s Subject) *stand {
	st := &stand{Subject: s, desk: NewDesk(s.Decode), book: evidence.NewBook(time.Now)}
	st.start(t)
	t.Cleanup(func() { st.stop() })
	return st
}

// Env returns an environment as the stand gives it to a source, for tests of an
// adapter's own.
func Env(book *evidence.Book, status source.Status, auth source.Authenticator) source.Env {
	if auth == nil {
		auth = everybody{}
	}
	return source.Env{
		Name: "test", Evidence: book, Auth: auth, Status: status, Listen: listen, ListenPacket: listenPacket, Bound: func(string, string) {},
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Rand: rand.Reader,
	}
}

func listen(_, address string) (net.Listener, error) { return net.Listen("tcp", address) }

func listenPacket(_, address string) (net.PacketConn, error) { return net.ListenPacket("udp", address) }

type everybody struct{}

func (everybody) Authenticate(penstock.Credential) (*penstock.Principal, error) {
	return &penstock.Principal{Credential: "test", Role: penstock.RoleController, Scope: penstock.Scope{"*"}}, nil
}

// signal is a status that tells once that the source is at work.
type signal struct {
	once sync.Once
	ok   chan struct{}
}

func (s *signal) OK()            { s.once.Do(func() { close(s.ok) }) }
func (s *signal) Failing(string) {}

// start runs the source until it says that it is at work.
func (st *stand) start(t *testing.T) {
	t.Helper()
	status := &signal{ok: make(chan struct{})}
	src := st.New(t, Env(st.book, status, st.Auth))
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	failed := make(chan error, 1)
	work.Go(func() {
		if err := src.Run(ctx, st.desk); err != nil && ctx.Err() == nil {
			failed <- err
		}
	})
	st.stop = sync.OnceFunc(func() {
		cancel()
		late := time.AfterFunc(patience, func() { panic("a source has not ended in time after it was told to") })
		defer late.Stop()
		work.Wait()
	})
	select {
	case <-status.ok:
	case err := <-failed:
		t.Fatalf("the source failed at its start: %v", err)
	case <-time.After(patience):
		t.Fatal("the source never said that it is at work")
	}
}

// report returns the nth report of a controller, each with values of its own.
func report(n uint64) *penstock.Report {
	return &penstock.Report{
		Controller: "pump-17", Identity: penstock.SequenceIdentity(1, n),
		Samples: []penstock.Sample{{Point: "flow", SourceTime: 1_700_000_000_000_000_000 + int64(n)*1e9, Value: penstock.FloatValue(float64(n) + 0.5)}},
	}
}

// sending is a report on its way.
type sending struct {
	work   sync.WaitGroup
	result chan error
}

// send sends in the background; the result comes when the peer is answered.
func send(ctx context.Context, t *testing.T, p Peer, n uint64) *sending {
	s := &sending{result: make(chan error, 1)}
	s.work.Go(func() { s.result <- p.Send(ctx, report(n)) })
	t.Cleanup(s.work.Wait)
	return s
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func durableFirst(t *testing.T, st *stand) {
	p := st.Peer(t)
	defer p.Close()
	st.desk.Close()
	sent := send(limited(t), t, p, 1)
	testkit.Eventually(t, func() bool { return st.desk.Envelopes() > 0 }, "the report at the desk")
	select {
	case err := <-sent.result:
		t.Fatalf("the source answered (%v) before the report was durable", err)
	case <-time.After(quiet):
	}
	st.desk.Open()
	if err := <-sent.result; err != nil {
		t.Fatalf("the durable report was not acknowledged: %v", err)
	}
	if got := len(st.desk.Accepted()); got != 1 {
		t.Fatalf("%d reports were accepted, not 1", got)
	}
}

func duplicate(t *testing.T, st *stand) {
	p := st.Peer(t)
	defer p.Close()
	for range 2 {
		if err := p.Send(limited(t), report(1)); err != nil {
			t.Fatalf("not acknowledged: %v", err)
		}
	}
	if got := len(st.desk.Accepted()); got != 1 {
		t.Fatalf("%d reports were accepted, not 1", got)
	}
}

func outage(t *testing.T, st *stand) {
	p := st.Peer(t)
	defer p.Close()
	st.desk.Fail(penstock.RetryLater(penstock.Full, 50*time.Millisecond, "no room"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := p.Send(ctx, report(1)); err == nil {
		t.Fatal("a report was acknowledged that the spool had no room for")
	}
	st.desk.Fail(nil)
	testkit.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		again := st.Peer(t)
		defer again.Close()
		return again.Send(ctx, report(1)) == nil
	}, "the acknowledgement after the outage")
	if got := len(st.desk.Accepted()); got != 1 {
		t.Fatalf("%d reports were accepted, not 1", got)
	}
}

// hold holds for every protocol: a source that has read a report offers it again,
// or has its sender do so.
func hold(t *testing.T, st *stand) {
	p := st.Peer(t)
	defer p.Close()
	st.desk.Fail(penstock.RetryLater(penstock.Full, 50*time.Millisecond, "no room"))
	if !st.Unacknowledged {
		st.desk.Fail(nil)
	}
	if err := p.Send(limited(t), report(1)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return st.desk.Envelopes() > 0 }, "the report at the desk")
	st.desk.Fail(nil)
	testkit.Eventually(t, func() bool { return len(st.desk.Accepted()) == 1 }, "the report after the outage")
}

func refusal(t *testing.T, st *stand) {
	p := st.Peer(t)
	defer p.Close()
	st.desk.Refuse(penstock.ReasonRange)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := p.Send(ctx, report(1)); !st.Mute && !errors.Is(err, ErrRefused) {
		t.Fatalf("the answer to a rejected report was %v, not that it is refused", err)
	}
	st.desk.Refuse("")
	q := st.Peer(t)
	defer q.Close()
	if err := q.Send(limited(t), report(2)); err != nil {
		t.Fatalf("after a refusal the next report was not acknowledged: %v", err)
	}
}

func restart(t *testing.T, st *stand) {
	p := st.Peer(t)
	st.desk.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sent := send(ctx, t, p, 1)
	testkit.Eventually(t, func() bool { return st.desk.Envelopes() > 0 }, "the report at the desk")
	st.stop()
	cancel()
	if err := <-sent.result; err == nil {
		t.Fatal("a report was acknowledged that nobody had decided about")
	}
	p.Close()
	st.desk.Open()
	st.start(t)
	again := st.Peer(t)
	defer again.Close()
	if err := again.Send(limited(t), report(1)); err != nil {
		t.Fatalf("after the restart it was not acknowledged: %v", err)
	}
	if got := len(st.desk.Accepted()); got != 1 {
		t.Fatalf("%d reports were accepted, not 1", got)
	}
}

func garbage(t *testing.T, st *stand) {
	if st.Garble == nil {
		t.Log("the protocol's library keeps malformed input away")
		return
	}
	st.Garble(t)
	st.namesBadBytes(t)
	p := st.Peer(t)
	defer p.Close()
	if err := p.Send(limited(t), report(1)); err != nil {
		t.Fatalf("after malformed input a report was not acknowledged: %v", err)
	}
}

// namesBadBytes waits until a port's page holds bytes that were bad, and why.
func (st *stand) namesBadBytes(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, func() bool {
		for _, s := range st.book.Ports() {
			page, _ := st.book.FindPort(s.Name)
			if frames := page.BadFrames(); len(frames) > 0 && len(frames[0].Bytes) > 0 && frames[0].Why != "" {
				return true
			}
		}
		return false
	}, "the bad bytes on the port's page")
}

func stop(t *testing.T, st *stand) {
	p := st.Peer(t)
	defer p.Close()
	st.desk.Close()
	defer st.desk.Open()
	ctx, cancel := context.WithCancel(t.Context())
	sent := send(ctx, t, p, 1)
	testkit.Eventually(t, func() bool { return st.desk.Envelopes() > 0 }, "the report at the desk")
	st.stop()
	cancel()
	<-sent.result
}
