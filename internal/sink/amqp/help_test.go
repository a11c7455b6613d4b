package amqp_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/amqp"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/rabbitmq"
	"github.com/penstock/penstock/link"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// toQueue is the configuration that publishes to the test's queue.
func toQueue(t testing.TB, address string) amqp.Config {
	return amqp.Config{Server: "amqp://" + address, User: "guest", Password: config.NewSecret("guest"), Queue: t.Name(), Declare: true}
}

// byTopic is the configuration that publishes by topic, to a queue of the test.
func byTopic(t testing.TB, address string) amqp.Config {
	c := toQueue(t, address)
	c.Exchange, c.RoutingKey, c.Bind = "amq.topic", t.Name()+".{controller}", []string{t.Name() + ".#"}
	return c
}

func open(t testing.TB, c amqp.Config) *amqp.Sink {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := amqp.New(c, sink.Env{Name: "broker", Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func report(controller string, seq uint64) *penstock.Report {
	at := int64(1795327200e9) + int64(seq)*1e9
	return &penstock.Report{
		Controller: controller, Identity: penstock.SequenceIdentity(1, seq), Source: "test", ReceivedTime: at, AcceptedTime: at,
		Samples: []penstock.Sample{{Point: "flow", SourceTime: at, Value: penstock.FloatValue(float64(seq) / 8)}},
	}
}

func reports(controller string, first, last uint64) (rs []*penstock.Report) {
	for seq := first; seq <= last; seq++ {
		rs = append(rs, report(controller, seq))
	}
	return rs
}

// untilWritten is tryUntilWritten for the test's own goroutine.
func untilWritten(t testing.TB, s penstock.Sink, rs []*penstock.Report) (failures int) {
	t.Helper()
	failures, err := tryUntilWritten(t.Context(), s, rs)
	if err != nil {
		t.Fatal(err)
	}
	return failures
}

// tryUntilWritten writes as the runner does: again what failed, until it went well. It
// returns how often it failed.
func tryUntilWritten(ctx context.Context, s penstock.Sink, rs []*penstock.Report) (failures int, err error) {
	for end := time.Now().Add(2 * time.Minute); ; failures++ {
		within, cancel := context.WithTimeout(ctx, 20*time.Second)
		err := s.Write(within, rs)
		cancel()
		if err == nil {
			return failures, nil
		}
		var each *penstock.WriteError
		if errors.As(err, &each) {
			var left []*penstock.Report
			for i, r := range rs {
				if each.Failed[i] != nil {
					left = append(left, r)
				}
			}
			rs = left
		} else if !penstock.CodeOf(err).Temporary() {
			return failures, err
		}
		if time.Now().After(end) {
			return failures, fmt.Errorf("it does not come back: %w", err)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// consume takes all messages of a queue.
func consume(t testing.TB, r *rabbitmq.Server, queue string) (messages []amqp091.Delivery) {
	t.Helper()
	channel := r.Channel(t)
	for {
		d, more, err := channel.Get(queue, true)
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return messages
		}
		messages = append(messages, d)
	}
}

// decode returns the report of a message.
func decode(t testing.TB, d amqp091.Delivery) *penstock.Report {
	t.Helper()
	if d.ContentType == link.MediaType {
		var decoder link.Decoder
		r := &penstock.Report{}
		if _, err := decoder.Decode(d.Body, r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	var decoder reportjson.Decoder
	rs, err := decoder.Decode(d.Body, nil)
	if err != nil || len(rs) != 1 {
		t.Fatalf("%s: %v", d.Body, err)
	}
	return &rs[0]
}

// exactly checks that a consumer that drops what has an id that it saw before gets
// the reports 1 to n of the controller, each once and with its own content.
func exactly(t testing.TB, messages []amqp091.Delivery, controller string, n uint64) {
	t.Helper()
	seen := map[string]bool{}
	for _, d := range messages {
		r := decode(t, d)
		if id := fmt.Sprintf("%s/%d/%d", controller, r.Identity.Epoch, r.Identity.Seq); d.MessageId != id || r.Controller != controller {
			t.Fatalf("the message of %s %s has the id %s", r.Controller, r.Identity, d.MessageId)
		}
		if want := report(controller, r.Identity.Seq); r.Samples[0] != want.Samples[0] {
			t.Fatalf("%s: %+v came as %+v", d.MessageId, want.Samples[0], r.Samples[0])
		}
		seen[d.MessageId] = true
	}
	for seq := uint64(1); seq <= n; seq++ {
		if id := fmt.Sprintf("%s/1/%d", controller, seq); !seen[id] {
			t.Errorf("%s did not arrive", id)
		}
	}
	if uint64(len(seen)) != n {
		t.Errorf("%d reports arrived, not %d", len(seen), n)
	}
	t.Logf("%d messages for %d reports", len(messages), n)
}

// failedWith returns the error of the report at an index.
func failedWith(t testing.TB, err error, i int) error {
	t.Helper()
	var each *penstock.WriteError
	if !errors.As(err, &each) || each.Failed[i] == nil {
		t.Fatalf("report %d has not failed: %v", i, err)
	}
	return each.Failed[i]
}
