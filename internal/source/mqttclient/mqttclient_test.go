package mqttclient_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/mqttclient"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/topic"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func configOf(b *broker, routes ...topic.Route) mqttclient.Config {
	return mqttclient.Config{Server: "mqtt://" + b.tap.address(), Controllers: []string{"*"}, Topics: routes}
}

func TestConformance(t *testing.T)      { conformance(t, "") }
func TestConformanceIn311(t *testing.T) { conformance(t, mqttclient.Version311) }

func conformance(t *testing.T, version string) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) sourcetest.Subject {
		b := startBroker(t, "")
		return sourcetest.Subject{
			New: func(t *testing.T, env source.Env) penstock.Source {
				c := configOf(b, topic.Route{Topic: "plant/report"})
				c.Version = version
				s, err := mqttclient.New(c, env)
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
			Peer: func(*testing.T) sourcetest.Peer { return peer{b} },
			Garble: func(t *testing.T) {
				if err := b.publish(t.Context(), "plant/report", []byte("{not a report")); err != nil {
					t.Fatal(err)
				}
			},
			Mute: true,
		}
	})
}

// station runs a source with a restart after every failure, as the node does.
type station struct {
	desk *sourcetest.Desk
	book *evidence.Book
	log  *statuses
	set  *source.Set
}

type statuses struct {
	mu    sync.Mutex
	lines []string
}

func (s *statuses) OK() { s.Failing("ok") }
func (s *statuses) Failing(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, why)
}

// told tells whether a status had the words in it.
func (s *statuses) told(words string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.lines, func(l string) bool { return strings.Contains(l, words) })
}

func (s *statuses) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

// run starts a source and waits until it is at work.
func run(t testing.TB, c mqttclient.Config) *station {
	t.Helper()
	s := begin(t, c)
	testkit.Eventually(t, func() bool { return s.log.told("ok") }, "the source at work")
	return s
}

func begin(t testing.TB, c mqttclient.Config) *station {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s := &station{desk: sourcetest.NewDesk(nil), book: evidence.NewBook(time.Now), log: &statuses{}}
	s.set = source.NewSet(source.Options{
		Env: sourcetest.Env(s.book, s.log, nil), Handler: s.desk,
		Status: func(string) (source.Status, func()) { return s.log, func() {} },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = s.set.Run(ctx) })
	t.Cleanup(func() { cancel(); work.Wait() })
	s.set.Apply([]source.Spec{{Name: "town", Config: &c, New: func(env source.Env) (penstock.Source, error) { return mqttclient.New(c, env) }}})
	return s
}

func (s *station) counted(e evidence.Event) uint64 { return s.book.Port("town").Counted(e) }

func lines(t testing.TB, from, to int) (all []string) {
	t.Helper()
	for n := from; n <= to; n++ {
		r := penstock.Report{
			Controller: "pump-17", Identity: penstock.SequenceIdentity(1, uint64(n)),
			Samples: []penstock.Sample{{Point: "flow", SourceTime: int64(n) * 1e9, Value: penstock.FloatValue(float64(n) / 2)}},
		}
		line, err := reportjson.AppendReport(nil, &r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(line))
	}
	return all
}

// want checks that exactly the reports 1 to n were accepted.
func (s *station) want(t testing.TB, n int) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("%d reports were accepted; counts %v; statuses %q", len(s.desk.Accepted()), s.book.Port("town").Summary().Counts, s.log.all())
		}
	}()
	testkit.Eventually(t, func() bool { return len(s.desk.Accepted()) >= n }, fmt.Sprint(n, " reports"))
	seen := map[uint64]bool{}
	for _, r := range s.desk.Accepted() {
		if seen[r.Identity.Seq] {
			t.Errorf("report %d was accepted twice", r.Identity.Seq)
		}
		seen[r.Identity.Seq] = true
	}
	if len(seen) != n {
		t.Errorf("%d reports were accepted, not %d", len(seen), n)
	}
}

// The broker goes down and comes back, the connection breaks with
// acknowledgements on their way, and the node takes nothing for a while.
func TestNothingIsLostAndNothingTwice(t *testing.T) {
	for _, version := range []string{mqttclient.Version5, mqttclient.Version311} {
		t.Run(version, func(t *testing.T) { nothingLost(t, version) })
	}
}

func nothingLost(t *testing.T, version string) {
	t.Parallel()
	b := startBroker(t, "")
	c := configOf(b, topic.Route{Topic: "plant/+/report"})
	c.Version = version
	s := run(t, c)
	publish := func(from, to int) {
		t.Helper()
		if err := b.publishLines(t.Context(), "plant/a/report", lines(t, from, to)); err != nil {
			t.Fatal(err)
		}
	}
	publish(1, 500)
	s.want(t, 500)

	b.tap.swallow(true) // accepted, and the acknowledgement is lost with its connection
	publish(501, 600)
	testkit.Eventually(t, func() bool { return s.counted(evidence.Lost) > 0 }, "the loss of the connection")
	b.tap.swallow(false)
	publish(601, 800)
	s.want(t, 800)

	s.desk.Fail(penstock.RetryLater(penstock.Full, 10*time.Millisecond, "no room"))
	publish(801, 900)
	testkit.Eventually(t, func() bool { return s.log.told("no room") }, "the word that there is no room")
	b.Stop()
	b.tap.cut()
	s.desk.Fail(nil)
	b.Begin(t)
	publish(901, 1000)
	s.want(t, 1000)
	testkit.Eventually(t, func() bool { return s.counted(evidence.Connected) >= 3 }, "the third connection")
}

// A plain value gets its controller and point from the topic, its identity from
// the user properties.
func TestValuesAndProperties(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	c := configOf(b, topic.Route{Topic: "plant/{controller}/{point...}", Payload: topic.Value})
	c.Controllers = []string{"pump-*"}
	s := run(t, c)
	for _, m := range [][]string{
		{"plant/pump-1/inlet/flow", "12.5", "epoch", "1", "seq", "7"},
		{"plant/pump-1/inlet/flow", "12.5", "epoch", "1", "seq", "7"},
		{"plant/pump-2/level", "3", "key", "k1"},
		{"plant/pump-3/level", "full"}, // no number
		{"plant/valve-1/level", "3"},   // not its to speak for
		{"plant/pump-*/level", "3"},    // would be a pattern
		{"plant/pump-4/level", "4", "epoch", "one", "seq", "1"},
		{"plant/pump-5/level", "5"},
	} {
		if err := b.publish(t.Context(), m[0], []byte(m[1]), m[2:]...); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, func() bool { return b.tap.total() == 8 }, "all acknowledgements")
	var got []string
	for _, r := range s.desk.Accepted() {
		got = append(got, fmt.Sprint(r.Controller, " ", r.Identity, " ", r.Samples[0].Point, "=", r.Samples[0].Value))
	}
	want := []string{"pump-1 1/7 inlet/flow=12.5", "pump-2 key:k1 level=3", "pump-5 natural level=5"}
	if !slices.Equal(got, want) {
		t.Errorf("accepted %q", got)
	}
	if s.counted(evidence.Malformed) != 2 || s.counted(evidence.Refused) != 2 || s.counted(evidence.Received) != 8 {
		t.Errorf("counts %v", s.book.Port("town").Summary().Counts)
	}
	if n := s.book.Controller("pump-1").Counted(evidence.Received); n != 2 {
		t.Errorf("%d messages on the page of pump-1", n)
	}
}

// Two gateways of one group get each message once, together.
func TestSharedSubscriptions(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	first, second := configOf(b, topic.Route{Topic: "plant/+/report"}), configOf(b, topic.Route{Topic: "plant/+/report"})
	first.ClientID, first.Share = "one", "gateways"
	second.ClientID, second.Share = "two", "gateways"
	s1, s2 := run(t, first), run(t, second)
	if err := b.publishLines(t.Context(), "plant/a/report", lines(t, 1, 200)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return len(s1.desk.Accepted())+len(s2.desk.Accepted()) == 200 }, "all reports")
	if len(s1.desk.Accepted()) == 0 || len(s2.desk.Accepted()) == 0 || b.tap.total() > 200 {
		t.Errorf("%d and %d reports", len(s1.desk.Accepted()), len(s2.desk.Accepted()))
	}
}

// Retained messages are old: they come only when they are asked for.
func TestRetainedMessages(t *testing.T) {
	t.Parallel()
	for i, wanted := range []bool{false, true, false, true} {
		b := startBroker(t, "")
		if err := b.publishRetained(t.Context(), "plant/pump-1/level", "1"); err != nil {
			t.Fatal(err)
		}
		c := configOf(b, topic.Route{Topic: "plant/{controller}/{point}", Payload: topic.Value})
		c.Retained, c.Version = wanted, []string{mqttclient.Version5, mqttclient.Version311}[i/2]
		s := run(t, c)
		if err := b.publish(t.Context(), "plant/pump-2/level", []byte("2")); err != nil {
			t.Fatal(err)
		}
		want := map[bool]int{false: 1, true: 2}[wanted]
		// In 3.1.1 a broker sends them in any case, and again after each break: then they
		// are acknowledged, and not taken.
		breaks := map[bool]int{false: 0, true: 1}[c.Version == mqttclient.Version311]
		testkit.Eventually(t, func() bool { return b.tap.total() >= max(want, 2*breaks) }, "the acknowledgements")
		for range breaks {
			b.tap.cut()
			testkit.Eventually(t, func() bool { return b.tap.total() >= 3 }, "the retained message again")
		}
		if got := s.desk.Accepted(); len(got) != want || got[len(got)-1].Controller != "pump-2" {
			t.Errorf("retained %v: %+v", wanted, got)
		}
	}
}

func (b *broker) publishRetained(ctx context.Context, name, payload string) error {
	return b.client(ctx, "-t", name, "-m", payload, "-q", "1", "-r")
}
