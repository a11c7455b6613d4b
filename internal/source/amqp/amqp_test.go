package amqp_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/amqp"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/rabbitmq"
	"github.com/penstock/penstock/internal/topic"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// TestRabbitMQ runs all that needs a broker, with one.
func TestRabbitMQ(t *testing.T) {
	r := rabbitmq.Start(t)
	t.Run("conformance", func(t *testing.T) { conformance(t, r) })
	t.Run("values and headers", func(t *testing.T) { values(t, r) })
	t.Run("refused goes to the dead letters", func(t *testing.T) { deadLetters(t, r) })
	t.Run("the queue is deleted", func(t *testing.T) { deleted(t, r) })
	t.Run("nothing is lost and nothing twice", func(t *testing.T) { nothingLost(t, r) }) // kills the broker
}

func configOf(p *tap, queue string) amqp.Config {
	return amqp.Config{Server: "amqp://" + p.address(), User: "guest", Password: config.NewSecret("guest"), Controllers: []string{"*"}, Queue: queue}
}

func conformance(t *testing.T, r *rabbitmq.Server) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Subject {
		p, queue, channel := newTap(t, r.Address), r.Queue(t, nil), r.Channel(t)
		return sourcetest.Subject{
			New: func(t *testing.T, env source.Env) penstock.Source {
				s, err := amqp.New(configOf(p, queue), env)
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
			Peer: func(*testing.T) sourcetest.Peer { return peer{channel, queue, p} },
			Garble: func(t *testing.T) {
				if err := rabbitmq.Publish(t.Context(), channel, "", queue, amqp091.Publishing{Body: []byte("{not a report")}); err != nil {
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

	mu    sync.Mutex
	lines []string
}

func (s *station) OK() { s.Failing("ok") }
func (s *station) Failing(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, why)
}

// told tells whether a status had the words in it.
func (s *station) told(words string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.lines, func(l string) bool { return strings.Contains(l, words) })
}

func run(t testing.TB, c amqp.Config) *station {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s := &station{desk: sourcetest.NewDesk(nil), book: evidence.NewBook(time.Now)}
	set := source.NewSet(source.Options{
		Env: sourcetest.Env(s.book, s, nil), Handler: s.desk,
		Status: func(string) (source.Status, func()) { return s, func() {} },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = set.Run(ctx) })
	t.Cleanup(func() { cancel(); work.Wait() })
	set.Apply([]source.Spec{{Name: "town", Config: &c, New: func(env source.Env) (penstock.Source, error) { return amqp.New(c, env) }}})
	testkit.Eventually(t, func() bool { return s.told("ok") }, "the source at work")
	return s
}

func (s *station) counted(e evidence.Event) uint64 { return s.book.Port("town").Counted(e) }

func reports(t testing.TB, from, to int) (all []amqp091.Publishing) {
	t.Helper()
	for n := from; n <= to; n++ {
		body, err := reportjson.AppendReport(nil, &penstock.Report{
			Controller: "pump-17", Identity: penstock.SequenceIdentity(1, uint64(n)),
			Samples: []penstock.Sample{{Point: "flow", SourceTime: int64(n) * 1e9, Value: penstock.FloatValue(float64(n) / 2)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, amqp091.Publishing{Body: body})
	}
	return all
}

// want checks that exactly the reports 1 to n were accepted.
func (s *station) want(t testing.TB, n int) {
	t.Helper()
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

// Acknowledgements are lost with their connection, the node takes nothing for a
// while, and the broker is killed and comes back.
func nothingLost(t *testing.T, r *rabbitmq.Server) {
	p, queue := newTap(t, r.Address), r.Queue(t, amqp091.Table{"x-delivery-limit": 5})
	s := run(t, configOf(p, queue))
	send := func(from, to int) {
		t.Helper()
		if err := rabbitmq.Publish(t.Context(), r.Channel(t), "", queue, reports(t, from, to)...); err != nil {
			t.Fatal(err)
		}
	}
	send(1, 500)
	s.want(t, 500)

	p.swallow(true)
	send(501, 600)
	testkit.Eventually(t, func() bool { return s.counted(evidence.Lost) > 0 }, "the loss of the connection")
	p.swallow(false)
	send(601, 800)
	s.want(t, 800)

	s.desk.Fail(penstock.RetryLater(penstock.Full, 10*time.Millisecond, "no room"))
	send(801, 900)
	testkit.Eventually(t, func() bool { return s.told("no room") }, "the word that there is no room")
	r.Kill()
	r.Begin(t)
	s.desk.Fail(nil)
	send(901, 1000)
	s.want(t, 1000)
}

func values(t *testing.T, r *rabbitmq.Server) {
	channel := r.Channel(t)
	if err := channel.ExchangeDeclare("field", "topic", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	p := newTap(t, r.Address)
	c := configOf(p, "values")
	c.Declare, c.Exchange, c.Bind = true, "field", []string{"plant.#"}
	c.Controllers, c.MessageID = []string{"pump-*"}, true
	c.Topics = []topic.Route{{Topic: "plant.{controller}.{point...}", Payload: topic.Value}}
	s := run(t, c)
	for _, m := range []struct {
		key     string
		message amqp091.Publishing
	}{
		{"plant.pump-1.inlet.flow", amqp091.Publishing{Body: []byte("12.5"), Headers: amqp091.Table{"epoch": int64(1), "seq": "7"}}},
		{"plant.pump-1.inlet.flow", amqp091.Publishing{Body: []byte("12.5"), Headers: amqp091.Table{"epoch": int64(1), "seq": "7"}}},
		{"plant.pump-2.level", amqp091.Publishing{Body: []byte("3"), MessageId: "m-1"}},
		{"plant.pump-2.level", amqp091.Publishing{Body: []byte("3"), MessageId: "m-1"}},
		{"plant.pump-2.level", amqp091.Publishing{Body: []byte("3"), MessageId: "m-1", Headers: amqp091.Table{"key": "own"}}},
		{"plant.pump-3.level", amqp091.Publishing{Body: []byte("full")}},
		{"plant.valve.level", amqp091.Publishing{Body: []byte("1")}},
		{"plant.pump-5.level", amqp091.Publishing{Body: []byte("5")}},
	} {
		if err := rabbitmq.Publish(t.Context(), channel, "field", m.key, m.message); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, func() bool { return p.total() == 8 }, "all acknowledgements")
	var got []string
	for _, r := range s.desk.Accepted() {
		got = append(got, fmt.Sprint(r.Controller, " ", r.Identity, " ", r.Samples[0].Point, "=", r.Samples[0].Value))
	}
	want := []string{"pump-1 1/7 inlet.flow=12.5", "pump-2 key:m-1 level=3", "pump-2 key:own level=3", "pump-5 natural level=5"}
	if !slices.Equal(got, want) {
		t.Errorf("accepted %q", got)
	}
	if s.counted(evidence.Malformed) != 1 || s.counted(evidence.Refused) != 1 || s.counted(evidence.Received) != 8 {
		t.Errorf("counts %v", s.book.Port("town").Summary().Counts)
	}
}

func deadLetters(t *testing.T, r *rabbitmq.Server) {
	channel := r.Channel(t)
	if err := channel.ExchangeDeclare("dead", "fanout", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := channel.QueueDeclare("grave", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := channel.QueueBind("grave", "", "dead", false, nil); err != nil {
		t.Fatal(err)
	}
	c := configOf(newTap(t, r.Address), "living")
	c.Declare, c.DeadLetter = true, "dead"
	c.Topics, c.MaxMessage = []topic.Route{{Topic: "living"}}, 64<<10
	s := run(t, c)
	good := reports(t, 1, 3)
	bad, large := amqp091.Publishing{Body: []byte("{poison")}, amqp091.Publishing{Body: append([]byte("begin"), make([]byte, 6<<20-5)...)}
	if err := rabbitmq.Publish(t.Context(), channel, "", "living", good[0], bad, good[1], large, good[2]); err != nil {
		t.Fatal(err)
	}
	s.want(t, 3)
	testkit.Eventually(t, func() bool {
		q, err := channel.QueueDeclarePassive("grave", true, false, false, false, nil)
		return err == nil && q.Messages == 2
	}, "the poisoned and the large message among the dead letters")
	if page := s.book.Port("town"); page.Counted(evidence.Refused) != 1 || page.Counted(evidence.Malformed) != 1 {
		t.Errorf("counts %v", page.Summary().Counts)
	}
	refusals := s.desk.Refusals()
	if len(refusals) != 1 || penstock.CodeOf(refusals[0]) != penstock.TooLarge || !strings.Contains(refusals[0].Error(), "6291456 bytes, above max_message (65536)") {
		t.Errorf("the pipeline was to book %v", refusals)
	}
	for _, f := range s.book.Port("town").BadFrames() {
		if f.Event == evidence.Refused && (string(f.Bytes) != "begin"+strings.Repeat("\x00", evidence.MaxFrame-5) || !strings.Contains(f.Why, "living: ") || !strings.Contains(f.Why, "max_message")) {
			t.Errorf("the bad frame is %q: %s", f.Bytes, f.Why)
		}
	}
	d, ok, err := channel.Get("grave", true)
	if err != nil || !ok || string(d.Body) != "{poison" {
		t.Errorf("the dead letter is %q, %v", d.Body, err)
	}
}

func deleted(t *testing.T, r *rabbitmq.Server) {
	s := run(t, configOf(newTap(t, r.Address), r.Queue(t, nil)))
	if _, err := r.Channel(t).QueueDelete(t.Name(), false, false, false); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return s.told("was deleted") }, "the word that the queue is gone")
	testkit.Eventually(t, func() bool { return s.told("NOT_FOUND") }, "the broker's word that there is no such queue")
}

func TestConfigIsChecked(t *testing.T) {
	good := amqp.Config{Server: "amqps://broker", Controllers: []string{"*"}, Queue: "q"}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for key, spoil := range map[string]func(c *amqp.Config){
		"server":            func(c *amqp.Config) { c.Server = "http://broker" },
		"plain_text":        func(c *amqp.Config) { c.Server = "amqp://broker" },
		"keys of their own": func(c *amqp.Config) { c.Server = "amqps://me:secret@broker" },
		"controllers":       func(c *amqp.Config) { c.Controllers = nil },
		"queue":             func(c *amqp.Config) { c.Queue = "" },
		"declare":           func(c *amqp.Config) { c.Bind = []string{"#"} },
		"exchange and bind": func(c *amqp.Config) { c.Declare, c.Bind = true, []string{"#"} },
		"topics":            func(c *amqp.Config) { c.Topics = []topic.Route{{Topic: "a.{b"}} },
		"comes over MQTT":   func(c *amqp.Config) { c.Topics = []topic.Route{{Topic: "#", Payload: topic.Sparkplug}} },
		"prefetch":          func(c *amqp.Config) { c.Prefetch = 70000 },
		"max_message":       func(c *amqp.Config) { c.MaxMessage = 100 },
		"heartbeat":         func(c *amqp.Config) { c.Heartbeat = config.Duration(time.Hour) },
	} {
		c := good
		spoil(&c)
		if err := c.Validate(); penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", key, err)
		}
	}
}
