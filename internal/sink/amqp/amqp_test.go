package amqp_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/amqp"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/gate"
	"github.com/penstock/penstock/internal/testkit/rabbitmq"
)

// TestRabbitMQ runs all that needs a broker, with one.
func TestRabbitMQ(t *testing.T) {
	r := rabbitmq.Start(t)
	t.Run("conformance", func(t *testing.T) { sinktest.RunSink(t, func(t testing.TB) sinktest.SinkBench { return bench(t, r) }) })
	t.Run("a message says who it is", func(t *testing.T) { message(t, r) })
	t.Run("a binding is deleted", func(t *testing.T) { unbound(t, r) })
	t.Run("what is not there is named", func(t *testing.T) { missing(t, r) })
	t.Run("a full queue refuses for now", func(t *testing.T) { full(t, r) })
	t.Run("a message is too large for the broker", func(t *testing.T) { tooLarge(t, r) })
	t.Run("the broker holds publishers back", func(t *testing.T) { heldBack(t, r) })
	t.Run("nothing is lost and nothing twice", func(t *testing.T) { nothingLost(t, r) }) // kills the broker
}

func bench(t testing.TB, r *rabbitmq.Server) sinktest.SinkBench {
	r.Queue(t, nil)
	g, c := gate.New(t, r.Address), byTopic(t, "")
	c.Server = "amqp://" + g.Address()
	var arrived []*penstock.Report
	return sinktest.SinkBench{
		Open: func(t testing.TB) penstock.Sink { return open(t, c) },
		Received: func(t testing.TB) []*penstock.Report {
			for _, d := range consume(t, r, c.Queue) {
				arrived = append(arrived, decode(t, d))
			}
			return arrived
		},
		Break:            func(testing.TB) func() { return g.Break() },
		LoseConfirmation: func(testing.TB) { g.LoseAnswer() },
		Stall:            func(testing.TB) func() { return g.Stall() },
		Nack: func(t testing.TB) func() {
			channel, queue := r.Channel(t), fullQueue(t, r)
			if err := channel.QueueBind(queue, t.Name()+".nacked", "amq.topic", false, nil); err != nil {
				t.Fatal(err)
			}
			return func() {
				if _, err := channel.QueueDelete(queue, false, false, false); err != nil {
					t.Fatal(err)
				}
			}
		},
	}
}

// fullQueue returns a queue that takes nothing more.
func fullQueue(t testing.TB, r *rabbitmq.Server) string {
	t.Helper()
	channel, queue := r.Channel(t), t.Name()+" full"
	if _, err := channel.QueueDeclare(queue, true, false, false, false, amqp091.Table{"x-max-length": int64(1), "x-overflow": "reject-publish"}); err != nil {
		t.Fatal(err)
	}
	if err := rabbitmq.Publish(t.Context(), channel, "", queue, amqp091.Publishing{}); err != nil {
		t.Fatal(err)
	}
	return queue
}

func message(t *testing.T, r *rabbitmq.Server) {
	for _, payload := range []string{"report", "binary"} {
		t.Run(payload, func(t *testing.T) {
			c := toQueue(t, r.Address)
			c.Payload = payload
			keyed, natural := report("pump-1", 8), report("pump-1", 9)
			keyed.Identity, natural.Identity = penstock.KeyIdentity("a key"), penstock.Identity{}
			natural.Samples[0].Unit, natural.Samples[0].Status, natural.Samples[0].Native = "m3/h", penstock.Status(0x40000000), 192
			natural.Samples[0].Flags = penstock.Historical
			all := []*penstock.Report{report("pump-1", 7), keyed, natural}
			if err := open(t, c).Write(t.Context(), all); err != nil {
				t.Fatal(err)
			}
			got := consume(t, r, c.Queue)
			if len(got) != 3 {
				t.Fatalf("%d messages", len(got))
			}
			for i, d := range got {
				m := decode(t, d)
				if m.Controller != "pump-1" || m.Identity != all[i].Identity || m.Samples[0] != all[i].Samples[0] {
					t.Errorf("%+v came as %+v", all[i], m)
				}
				if d.MessageId != sink.MessageID(all[i]) || d.DeliveryMode != amqp091.Persistent || d.Headers["controller"] != "pump-1" || !d.Timestamp.Equal(time.Unix(all[i].ReceivedTime/1e9, 0)) {
					t.Errorf("%+v", d)
				}
			}
			if h := got[0].Headers; h["epoch"] != int64(1) || h["seq"] != int64(7) || got[1].Headers["key"] != "a key" || got[2].Headers["key"] != nil || got[2].Headers["seq"] != nil {
				t.Errorf("headers %v, %v, %v", h, got[1].Headers, got[2].Headers)
			}
		})
	}
}

// A report for which there is no queue any more has not arrived, though the broker
// confirms its message; those of other keys have.
func unbound(t *testing.T, r *rabbitmq.Server) {
	c := byTopic(t, r.Address)
	c.Bind = []string{t.Name() + ".pump-1", t.Name() + ".pump-2"}
	c.Window = 3
	s, channel := open(t, c), r.Channel(t)
	untilWritten(t, s, []*penstock.Report{report("pump-1", 1), report("pump-2", 1)})
	if err := channel.QueueUnbind(c.Queue, c.Bind[1], c.Exchange, nil); err != nil {
		t.Fatal(err)
	}
	var mixed []*penstock.Report
	for seq := uint64(2); seq <= 20; seq++ {
		mixed = append(mixed, report("pump-1", seq), report("pump-2", seq))
	}
	err := s.Write(t.Context(), mixed)
	var each *penstock.WriteError
	if !errors.As(err, &each) || len(each.Failed) != 19 {
		t.Fatalf("%v", err)
	}
	for i, err := range each.Failed {
		if mixed[i].Controller != "pump-2" || penstock.CodeOf(err) != penstock.Unavailable ||
			!strings.Contains(err.Error(), "exchange amq.topic") || !strings.Contains(err.Error(), "routing key "+c.Bind[1]) {
			t.Errorf("%s: %v (code %s)", mixed[i].Controller, err, penstock.CodeOf(err))
		}
	}
	if err := channel.QueueBind(c.Queue, c.Bind[1], c.Exchange, false, nil); err != nil {
		t.Fatal(err)
	}
	if untilWritten(t, s, reports("pump-2", 2, 20)) != 0 {
		t.Error("it was returned although it is bound again")
	}
	var first, second []amqp091.Delivery
	for _, d := range consume(t, r, c.Queue) {
		if decode(t, d).Controller == "pump-1" {
			first = append(first, d)
		} else {
			second = append(second, d)
		}
	}
	exactly(t, first, "pump-1", 20)
	exactly(t, second, "pump-2", 20)
	if len(first)+len(second) != 40 {
		t.Errorf("%d messages: what was confirmed was published again", len(first)+len(second))
	}
}

func missing(t *testing.T, r *rabbitmq.Server) {
	c := toQueue(t, r.Address)
	c.Declare = false
	if err := failedWith(t, open(t, c).Write(t.Context(), reports("pump-1", 1, 3)), 2); penstock.CodeOf(err) != penstock.Unavailable || !strings.Contains(err.Error(), "no queue "+c.Queue) {
		t.Errorf("without its queue: %v", err)
	}
	c.Exchange, c.Queue = "not there", ""
	if err := failedWith(t, open(t, c).Write(t.Context(), reports("pump-1", 1, 3)), 2); penstock.CodeOf(err) != penstock.Unavailable || !strings.Contains(err.Error(), "not there") {
		t.Errorf("without its exchange: %v", err)
	}
	for words, change := range map[string]func(*amqp.Config){
		"virtual host other": func(c *amqp.Config) { c.Server += "/other" },
		"virtual host /":     func(c *amqp.Config) { c.User = "nobody" },
		"connect to":         func(c *amqp.Config) { c.Server = "amqp://127.0.0.1:1" },
	} {
		c := toQueue(t, r.Address)
		change(&c)
		if err := open(t, c).Write(t.Context(), reports("pump-1", 1, 1)); penstock.CodeOf(err) != penstock.Unavailable || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
	}
}

func full(t *testing.T, r *rabbitmq.Server) {
	c := toQueue(t, r.Address)
	c.Queue, c.Declare = fullQueue(t, r), false
	s := open(t, c)
	for range 2 {
		if err := failedWith(t, s.Write(t.Context(), reports("pump-1", 1, 1)), 0); penstock.CodeOf(err) != penstock.Unavailable || !strings.Contains(err.Error(), "full") {
			t.Errorf("%v", err)
		}
	}
	consume(t, r, c.Queue)
	untilWritten(t, s, reports("pump-1", 1, 1))
	exactly(t, consume(t, r, c.Queue), "pump-1", 1)
}

// The broker ends the channel over a message that is too large for it, and does not
// say which one: alone it is known.
func tooLarge(t *testing.T, r *rabbitmq.Server) {
	r.Control(t, "eval", "application:set_env(rabbit, max_message_size, 10000).")
	defer r.Control(t, "eval", "application:set_env(rabbit, max_message_size, 134217728).")
	s := open(t, toQueue(t, r.Address))
	rs := reports("pump-1", 1, 5)
	rs[3].Samples = append(rs[3].Samples, penstock.Sample{Point: "log", SourceTime: 1, Value: penstock.TextValue(strings.Repeat("x", 20000))})
	if err := s.Write(t.Context(), rs); penstock.CodeOf(err) != penstock.TooLarge {
		t.Errorf("all: code %s: %v", penstock.CodeOf(err), err)
	}
	if err := failedWith(t, s.Write(t.Context(), rs[3:4]), 0); penstock.CodeOf(err) != penstock.TooLarge {
		t.Errorf("alone: code %s: %v", penstock.CodeOf(err), err)
	}
	untilWritten(t, s, rs[:3])
}

func heldBack(t *testing.T, r *rabbitmq.Server) {
	s := open(t, toQueue(t, r.Address))
	untilWritten(t, s, reports("pump-1", 1, 10))
	r.Control(t, "set_vm_memory_high_watermark", "absolute", "1MB")
	mended := false
	mend := func() {
		if !mended {
			r.Control(t, "set_vm_memory_high_watermark", "absolute", "512MB")
		}
		mended = true
	}
	defer mend()
	testkit.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		err := s.Write(ctx, reports("pump-1", 11, 20))
		return err != nil && strings.Contains(failedWith(t, err, 9).Error(), "holds publishers back")
	}, "the broker holds publishers back")
	mend()
	untilWritten(t, s, reports("pump-1", 11, 20))
	exactly(t, consume(t, r, t.Name()), "pump-1", 20)
}

// Connections are cut, closed by the server, and lost with the broker while reports
// are written.
func nothingLost(t *testing.T, r *rabbitmq.Server) {
	g := gate.New(t, r.Address)
	s := open(t, toQueue(t, g.Address()))
	var written uint64
	failures := 0
	write := func() error {
		const batch = 40
		n, err := tryUntilWritten(t.Context(), s, reports("pump-1", written+1, written+batch))
		failures += n
		written += batch
		return err
	}
	during := func(fault func()) {
		t.Helper()
		var work sync.WaitGroup
		var err error
		over, end := context.WithCancel(t.Context())
		work.Go(func() {
			for err == nil && over.Err() == nil {
				err = write()
			}
		})
		fault()
		end()
		if work.Wait(); err == nil {
			err = write()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	during(func() {
		for range 5 {
			g.Cut()
			<-time.After(20 * time.Millisecond)
		}
	})
	during(func() { r.Control(t, "close_all_connections", "a test") })
	during(func() { r.Kill(); r.Begin(t) })
	if failures == 0 {
		t.Error("no write failed: the faults came to nothing")
	}
	t.Log(failures, "writes failed")
	exactly(t, consume(t, r, t.Name()), "pump-1", written)
}
