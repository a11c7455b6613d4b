package amqp_test

import (
	"math"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/sink/amqp"
)

func TestConfig(t *testing.T) {
	for _, good := range []amqp.Config{
		{Server: "amqps://rabbit.example/scada", Queue: "readings"},
		{Server: "amqps://rabbit.example", Queue: "readings", Declare: true},
		{Server: "amqp://127.0.0.1", Exchange: "field"},
		{Server: "amqp://127.0.0.1", Exchange: "field", RoutingKey: "plant.{controller}.{source}"},
		{Server: "amqp://127.0.0.1", Exchange: "field", Queue: "readings", Declare: true, Bind: []string{"plant.#"}},
		{Server: "amqp://rabbit.example", PlainText: true, Queue: "readings", Payload: "binary", Window: 65535},
	} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for key, bad := range map[string]amqp.Config{
		"server":      {Server: "amqp://rabbit.example", Queue: "q"},
		"exchange":    {Server: "amqp://127.0.0.1"},
		"routing_key": {Server: "amqp://127.0.0.1", Queue: "q", RoutingKey: "{controller}"},
		"queue":       {Server: "amqp://127.0.0.1", Exchange: "e", Queue: "q"},
		"declare":     {Server: "amqp://127.0.0.1", Exchange: "e", Declare: true},
		"bind":        {Server: "amqp://127.0.0.1", Exchange: "e", Bind: []string{"#"}},
		"{point}":     {Server: "amqp://127.0.0.1", Exchange: "e", RoutingKey: "{point}"},
		"payload":     {Server: "amqp://127.0.0.1", Queue: "q", Payload: "xml"},
		"window":      {Server: "amqp://127.0.0.1", Queue: "q", Window: 65536},
		"max_message": {Server: "amqp://127.0.0.1", Queue: "q", MaxMessage: 100},
		"heartbeat":   {Server: "amqp://127.0.0.1", Queue: "q", Heartbeat: config.Duration(1)},
	} {
		if err := bad.Validate(); penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// What can never be a message is refused for good, before the broker sees it.
func TestWhatCannotBeAMessage(t *testing.T) {
	c := toQueue(t, "127.0.0.1:1")
	c.Queue, c.Declare, c.Exchange, c.RoutingKey, c.MaxMessage = "", false, "field", "{controller}.{controller}", 1<<10
	why, err := amqp.Refusals(c, []*penstock.Report{
		report("pump-1", 1),
		{Controller: "pump-1", Identity: penstock.SequenceIdentity(1, 2), Samples: []penstock.Sample{{Point: "flow", Value: penstock.FloatValue(math.Inf(1))}}},
		{Controller: "pump-1", Identity: penstock.SequenceIdentity(1, 3), Samples: []penstock.Sample{{Point: "log", Value: penstock.TextValue(strings.Repeat("x", 1<<10))}}},
		{Controller: strings.Repeat("p", penstock.MaxName), Identity: penstock.SequenceIdentity(1, 4), Samples: report("", 1).Samples},
	})
	if err != nil || why[0] != nil {
		t.Fatal(err, why)
	}
	for i, code := range map[int]penstock.Code{1: penstock.Invalid, 2: penstock.TooLarge, 3: penstock.Invalid} {
		if penstock.CodeOf(why[i]) != code {
			t.Errorf("report %d: code %s: %v", i, penstock.CodeOf(why[i]), why[i])
		}
	}
}
