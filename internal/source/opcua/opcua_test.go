package opcua_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/opcua"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit"
)

const base = int64(1_700_000_000_000_000_000)

// station runs a source at a fake server, and runs it again when it fails, as its
// runner does.
type station struct {
	t    *testing.T
	desk *sourcetest.Desk
	book *evidence.Book

	mu     sync.Mutex // guards everything below
	states []string
	errs   []error
}

func (s *station) OK()                { s.note("ok") }
func (s *station) Failing(why string) { s.note(why) }

func (s *station) note(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states = append(s.states, state)
}

func (s *station) oks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, state := range s.states {
		if state == "ok" {
			n++
		}
	}
	return n
}

func (s *station) failures() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.errs)
}

func operate(t *testing.T, c opcua.Config) *station {
	t.Helper()
	s := &station{t: t, desk: sourcetest.NewDesk(nil), book: evidence.NewBook(time.Now)}
	env := sourcetest.Env(s.book, s, nil)
	env.Name, env.Memory, env.Files, env.Log = "test", new(any), t.TempDir(), slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for ctx.Err() == nil {
			src, err := newSource(c, env)
			if err != nil {
				t.Error(err)
				return
			}
			if err := src.Run(ctx, s.desk); err != nil {
				s.mu.Lock()
				s.errs = append(s.errs, err)
				s.mu.Unlock()
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		work.Wait()
		if t.Failed() {
			t.Logf("the failures: %v, the states: %q, the flow: %v", s.failures(), s.states, s.samples("flow"))
		}
	})
	testkit.Eventually(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.states) > 0 }, "the source at work")
	return s
}

// samples returns all samples of a point, as they came.
func (s *station) samples(point string) (found []penstock.Sample) {
	for _, r := range s.desk.Accepted() {
		for _, sample := range r.Samples {
			if sample.Point == point {
				found = append(found, sample)
			}
		}
	}
	return found
}

// floats waits until the point has the values, each at least once, and returns
// the number of samples.
func (s *station) floats(want ...float64) int {
	s.t.Helper()
	var got []penstock.Sample
	testkit.Eventually(s.t, func() bool {
		got = s.samples("flow")
		for _, w := range want {
			if !slices.ContainsFunc(got, func(g penstock.Sample) bool { return g.Value == penstock.FloatValue(w) }) {
				return false
			}
		}
		return true
	}, "the values")
	return len(got)
}

func (s *station) port(e evidence.Event) uint64 { return s.book.Port("test").Counted(e) }
func (s *station) pump(e evidence.Event) uint64 { return s.book.Controller("pump-17").Counted(e) }

func TestAMissingMessageIsAskedForAgain(t *testing.T) {
	f := newFake(t)
	s := operate(t, settings(f.endpoint()))
	f.change(sent, flowNode, value(1.0, base))
	late := f.change(delayed, flowNode, value(2.0, base+1))
	f.change(sent, flowNode, value(3.0, base+2))
	if n := s.floats(1, 2, 3); n != 3 {
		t.Errorf("%d samples are stored, not 3", n)
	}
	var order []float64
	for _, sample := range s.samples("flow") {
		order = append(order, sample.Value.Float())
	}
	if !slices.Equal(order, []float64{1, 2, 3}) {
		t.Errorf("they came as %v", order)
	}
	f.keepalive()
	testkit.Eventually(t, func() bool { f.keepalive(); return f.acknowledged(late) }, "the acknowledgement of the message that was fetched")
	if g := s.port(evidence.Gap); g != 0 {
		t.Errorf("%d gaps were counted for a message that was recovered", g)
	}
}

func TestAKeepaliveTellsOfAMissingMessage(t *testing.T) {
	f := newFake(t)
	s := operate(t, settings(f.endpoint()))
	f.change(delayed, flowNode, value(2.0, base+1))
	f.keepalive()
	s.floats(2)
}

func TestALostMessageIsAGapAndAllIsReadAnew(t *testing.T) {
	f := newFake(t)
	s := operate(t, settings(f.endpoint()))
	f.with(func() { f.values[flowNode] = value(7.0, base+5) })
	f.change(dropped, flowNode, value(2.0, base))
	f.change(dropped, flowNode, value(3.0, base+1))
	f.change(sent, flowNode, value(4.0, base+2))
	s.floats(4, 7)
	if s.port(evidence.Gap) != 2 || s.pump(evidence.Gap) != 2 {
		t.Errorf("gaps: %d on the port, %d on the controller, not 2", s.port(evidence.Gap), s.pump(evidence.Gap))
	}
	for _, sample := range s.samples("flow") {
		if v := sample.Value.Float(); v != 4 && v != 7 {
			t.Errorf("a value %v was invented", v)
		}
	}
}

// What the server holds for us survives the connection: nothing is lost, and what
// was not acknowledged comes once.
func TestALostConnectionLosesNothing(t *testing.T) {
	f := newFake(t)
	s := operate(t, settings(f.endpoint()))
	f.change(sent, flowNode, value(1.0, base))
	s.floats(1)
	s.desk.Close()
	undecided := f.change(sent, flowNode, value(2.0, base+1))
	testkit.Eventually(t, func() bool { return s.desk.Envelopes() == 2 }, "the second value at the desk")
	f.cut()
	f.change(delayed, flowNode, value(3.0, base+2))
	f.change(delayed, flowNode, value(4.0, base+3))
	testkit.Eventually(t, func() bool { return s.oks() >= 2 }, "the source at work again")
	if f.acknowledged(undecided) {
		t.Error("a message was acknowledged that nobody had decided about")
	}
	s.desk.Open()
	if n := s.floats(1, 2, 3, 4); n != 4 {
		t.Errorf("%d samples are stored, not 4", n)
	}
	f.with(func() {
		if f.created != 1 {
			t.Errorf("%d subscriptions were made: the first was not taken over", f.created)
		}
	})
	if s.port(evidence.Gap) != 0 || s.port(evidence.Lost) != 1 || s.port(evidence.Connected) != 2 || s.pump(evidence.Lost) != 1 {
		t.Errorf("gaps %d, lost %d, connected %d", s.port(evidence.Gap), s.port(evidence.Lost), s.port(evidence.Connected))
	}
	testkit.Eventually(t, func() bool { f.keepalive(); return f.acknowledged(undecided) }, "the acknowledgement")
}

// A server that has started anew knows nothing of us.
func TestAForgottenSubscriptionIsMadeAnewAndCounted(t *testing.T) {
	f := newFake(t)
	s := operate(t, settings(f.endpoint()))
	f.change(sent, flowNode, value(1.0, base))
	s.floats(1)
	f.with(func() { clear(f.subs) })
	f.cut()
	testkit.Eventually(t, func() bool { return s.oks() >= 2 }, "the source at work again")
	f.change(sent, flowNode, value(2.0, base+1))
	s.floats(2)
	if s.port(evidence.Gap) != 1 || s.pump(evidence.Gap) != 1 {
		t.Errorf("%d gaps, not 1", s.port(evidence.Gap))
	}
}

// The session answers and the subscription is dead: as bad as no connection.
func TestASilentSubscriptionIsAFailure(t *testing.T) {
	f := newFake(t)
	c := settings(f.endpoint())
	c.Keepalive, c.Timeout = config.Duration(100*time.Millisecond), config.Duration(300*time.Millisecond)
	s := operate(t, c)
	testkit.Eventually(t, func() bool { return len(s.failures()) > 0 }, "the failure")
	if err := s.failures()[0]; penstock.CodeOf(err) != penstock.Unavailable || !strings.Contains(err.Error(), "silent") {
		t.Errorf("the failure is %v", err)
	}
	if s.port(evidence.Timeout) == 0 || s.pump(evidence.Timeout) == 0 {
		t.Error("no timeout was counted")
	}
}

func TestOneSilentSubscriptionAmongOthersIsAFailure(t *testing.T) {
	f := newFake(t)
	c := settings(f.endpoint())
	c.Keepalive, c.Timeout = config.Duration(100*time.Millisecond), config.Duration(300*time.Millisecond)
	c.Groups[0].Name = "fast"
	c.Groups = append(c.Groups, opcua.Group{
		Name: "dead", Publish: config.Duration(50 * time.Millisecond),
		Nodes: []opcua.Node{{Node: "ns=1;s=level", Controller: "tank-2", Point: "level"}},
	})
	s := operate(t, c)
	at := base
	testkit.Eventually(t, func() bool {
		at++
		f.with(func() {
			for _, sub := range f.subs {
				if handle, here := sub.handles[flowNode]; here {
					f.tell(sub, sent, &ua.DataChangeNotification{DiagnosticInfos: []*ua.DiagnosticInfo{},
						MonitoredItems: []*ua.MonitoredItemNotification{{ClientHandle: handle, Value: value(1.0, at)}}})
				}
			}
		})
		return len(s.failures()) > 0
	}, "the failure")
	if err := s.failures()[0]; !strings.Contains(err.Error(), `"dead" is silent`) {
		t.Errorf("the failure is %v", err)
	}
}

func TestTheEndOfASubscriptionIsToldAndSurvived(t *testing.T) {
	f := newFake(t)
	s := operate(t, settings(f.endpoint()))
	f.with(func() {
		for _, sub := range f.subs {
			f.tell(sub, sent, &ua.StatusChangeNotification{Status: ua.StatusBadTimeout, DiagnosticInfo: &ua.DiagnosticInfo{}})
		}
	})
	testkit.Eventually(t, func() bool { return s.oks() >= 2 }, "the source at work again")
	f.with(func() {
		if f.created != 2 {
			t.Errorf("%d subscriptions were made, not 2", f.created)
		}
	})
	if s.port(evidence.Gap) != 1 {
		t.Errorf("%d gaps, not 1", s.port(evidence.Gap))
	}
}

func TestStatusAndTimesAreKept(t *testing.T) {
	f := newFake(t)
	s := operate(t, settings(f.endpoint()))
	at := time.Unix(0, base)
	overflowed := value(1.0, base)
	overflowed.EncodingMask |= ua.DataValueStatusCode
	overflowed.Status = 0x00000480
	bad := value(2.0, base+100)
	bad.EncodingMask |= ua.DataValueStatusCode
	bad.Status = ua.StatusBadSensorFailure
	server := &ua.DataValue{EncodingMask: ua.DataValueValue | ua.DataValueServerTimestamp, Value: ua.MustVariant(3.0), ServerTimestamp: at.Add(time.Second)}
	timeless := &ua.DataValue{EncodingMask: ua.DataValueValue, Value: ua.MustVariant(4.0)}
	null := &ua.DataValue{EncodingMask: ua.DataValueSourceTimestamp, SourceTimestamp: at.Add(2 * time.Second)}
	f.change(sent, flowNode, overflowed, bad, server, timeless, null)
	var got []penstock.Sample
	testkit.Eventually(t, func() bool { got = s.samples("flow"); return len(got) == 5 }, "the samples")
	if got[0].Status != 0x480 || got[0].SourceTime != base || got[0].Flags != 0 {
		t.Errorf("the overflow bit: %+v", got[0])
	}
	if s.pump(evidence.Gap) != 1 {
		t.Errorf("%d gaps for the overflow", s.pump(evidence.Gap))
	}
	if got[1].Value.Kind() != penstock.None || got[1].Status != penstock.Status(ua.StatusBadSensorFailure) {
		t.Errorf("the bad one: %+v", got[1])
	}
	if got[2].SourceTime != at.Add(time.Second).UnixNano() || got[2].Flags != 0 {
		t.Errorf("the server's time: %+v", got[2])
	}
	if got[3].Flags != penstock.GatewayClock || time.Since(time.Unix(0, got[3].SourceTime)).Abs() > time.Minute {
		t.Errorf("the gateway's time: %+v", got[3])
	}
	if got[4].Status != penstock.BadWaitingForInitialData || got[4].Value.Kind() != penstock.None {
		t.Errorf("no value: %+v", got[4])
	}
}

func TestNodesThatAreNotWatchedAreTold(t *testing.T) {
	f := newFake(t)
	f.with(func() { f.unknown["ns=1;s=gone"] = true })
	c := settings(f.endpoint())
	c.Groups[0].Queue = 7
	c.Groups[0].Nodes = append(c.Groups[0].Nodes, opcua.Node{Node: "ns=1;s=gone", Controller: "pump-17", Point: "gone"})
	s := operate(t, c)
	testkit.Eventually(t, func() bool { return len(s.samples("gone")) == 1 }, "the sample without a value")
	if got := s.samples("gone")[0]; got.Status != penstock.Status(ua.StatusBadNodeIDUnknown) || got.Flags != penstock.GatewayClock {
		t.Errorf("it is %+v", got)
	}
	s.mu.Lock()
	if state := s.states[0]; !strings.Contains(state, "ns=1;s=gone") || !strings.Contains(state, "1 of 2") {
		t.Errorf("the state is %q", state)
	}
	s.mu.Unlock()
	f.change(sent, flowNode, value(1.0, base))
	s.floats(1)
	f.with(func() {
		if f.queue != 7 {
			t.Errorf("a queue of %d was asked for", f.queue)
		}
	})
}

// The number of a namespace is the server's, and may be another at the next
// connection.
func TestNamespacesAreFoundByTheirURI(t *testing.T) {
	f := newFake(t)
	f.with(func() {
		f.values["i=2255"] = value([]string{"http://opcfoundation.org/UA/", "urn:maker;100%"}, base)
		f.unknown["ns=65535;s=level"] = true
	})
	c := settings(f.endpoint())
	c.Groups[0].Nodes = []opcua.Node{
		{Node: "nsu=urn:maker%3B100%25;s=flow", Controller: "pump-17", Point: "flow"},
		{Node: "nsu=urn:other;s=level", Controller: "pump-17", Point: "level"},
	}
	s := operate(t, c)
	f.change(sent, "ns=1;s=flow", value(1.0, base))
	s.floats(1)
	testkit.Eventually(t, func() bool { return len(s.samples("level")) == 1 }, "the sample without a value")
	s.mu.Lock()
	if state := s.states[0]; !strings.Contains(state, "nsu=urn:other;s=level") {
		t.Errorf("the state is %q", state)
	}
	s.mu.Unlock()
	f.with(func() {
		clear(f.subs)
		f.values["i=2255"] = value([]string{"http://opcfoundation.org/UA/", "urn:new", "urn:maker;100%"}, base)
	})
	f.cut()
	testkit.Eventually(t, func() bool {
		there := false
		f.with(func() {
			for _, sub := range f.subs {
				_, there = sub.handles["ns=2;s=flow"]
			}
		})
		return there
	}, "the node at its new number")
}

func TestAServerWithoutNamespacesIsToldOf(t *testing.T) {
	f := newFake(t)
	c := settings(f.endpoint())
	c.Groups[0].Nodes[0].Node = "nsu=urn:maker;s=flow"
	src, err := opcua.New(c, sourcetest.Env(evidence.NewBook(time.Now), &station{}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Run(t.Context(), sourcetest.NewDesk(nil)); penstock.CodeOf(err) != penstock.Unsupported || !strings.Contains(err.Error(), "nsu=") {
		t.Errorf("the error is %v", err)
	}
}

func TestTheUserIsShown(t *testing.T) {
	f := newFake(t)
	c := settings(f.endpoint())
	c.User, c.Password = "gateway", config.NewSecret("open sesame")
	operate(t, c)
	f.with(func() {
		token, ok := f.token.(*ua.UserNameIdentityToken)
		if !ok || token.UserName != "gateway" || string(token.Password) != "open sesame" || token.PolicyID != "name" {
			t.Errorf("the token is %+v", f.token)
		}
	})
}

func TestUnreachable(t *testing.T) {
	f := newFake(t)
	f.listener.Close()
	src, err := opcua.New(settings(f.endpoint()), sourcetest.Env(evidence.NewBook(time.Now), &station{}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Run(t.Context(), sourcetest.NewDesk(nil)); penstock.CodeOf(err) != penstock.Unavailable {
		t.Errorf("the error is %v", err)
	}
}

func TestAnEndedContextIsNoError(t *testing.T) {
	f := newFake(t)
	f.with(func() { f.mute = true })
	src, err := opcua.New(settings(f.endpoint()), sourcetest.Env(evidence.NewBook(time.Now), &station{}, nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := src.Run(ctx, sourcetest.NewDesk(nil)); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}
