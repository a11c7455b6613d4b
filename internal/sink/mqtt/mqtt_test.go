package mqtt_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/mqtt"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/gate"
	"github.com/penstock/penstock/internal/testkit/mosquitto"
)

func TestConformance(t *testing.T) {
	for _, qos := range []int{1, 2} {
		t.Run(fmt.Sprint("qos ", qos), func(t *testing.T) {
			sinktest.RunSink(t, func(t testing.TB) sinktest.SinkBench { return bench(t, qos) })
		})
	}
}

func bench(t testing.TB, qos int) sinktest.SinkBench {
	b := mosquitto.Start(t, "")
	g, s := gate.New(t, b.Address), subscribe(t, b.Address)
	return sinktest.SinkBench{
		Open: func(t testing.TB) penstock.Sink {
			return open(t, mqtt.Config{Server: "mqtt://" + g.Address(), QoS: qos})
		},
		Received: func(t testing.TB) (rs []*penstock.Report) {
			for _, p := range s.received(t) {
				rs = append(rs, decode(t, p))
			}
			return rs
		},
		Break:            func(testing.TB) func() { return g.Break() },
		LoseConfirmation: func(testing.TB) { g.LoseAnswer() },
		Stall:            func(testing.TB) func() { return g.Stall() },
	}
}

func TestWhatAMessageSays(t *testing.T) {
	b := mosquitto.Start(t, "")
	s := subscribe(t, b.Address)
	keyed, natural := report("pump-1", 8), report("pump-1", 9)
	keyed.Identity, natural.Identity = penstock.KeyIdentity("a key"), penstock.Identity{}
	natural.Samples = append(natural.Samples, penstock.Sample{Point: "inlet/state", SourceTime: 1e9, Value: penstock.TextValue("open"), Unit: "1", Native: 192, Status: 0x40000000})
	all := []*penstock.Report{report("pump-1", 7), keyed, natural}
	for _, payload := range []string{"report", "binary", "value"} {
		if err := open(t, mqtt.Config{Server: "mqtt://" + b.Address, Payload: payload, ClientID: payload}).Write(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	got := s.received(t)
	if len(got) != 3+3+4 {
		t.Fatalf("%d messages", len(got))
	}
	for i, p := range got[:6] {
		want, r, u := all[i%3], decode(t, p), p.Properties.User
		if p.Topic != "penstock/pump-1" || r.Identity != want.Identity || len(r.Samples) != len(want.Samples) || r.Samples[len(r.Samples)-1] != want.Samples[len(r.Samples)-1] || p.Retain {
			t.Errorf("%+v came as %+v", want, r)
		}
		if u.Get("message-id") != sink.MessageID(want) || u.Get("key") != want.Identity.Key || (u.Get("seq") == "7") != (i%3 == 0) || (u.Get("epoch") == "1") != (i%3 == 0) {
			t.Errorf("user properties %v", u)
		}
	}
	last := got[9]
	if u := last.Properties.User; last.Topic != "penstock/pump-1/inlet/state" || string(last.Payload) != "open" || u.Get("time") != "1970-01-01T00:00:01.000000000Z" || u.Get("key") != sink.SampleKey(natural, 1) || u.Get("unit") != "1" || u.Get("status") == "" {
		t.Errorf("%s %q %v", last.Topic, last.Payload, u)
	}
	if string(got[6].Payload) != "0.875" || got[6].Properties.User.Get("key") != "1/7#0" {
		t.Errorf("%q %v", got[6].Payload, got[6].Properties.User)
	}
}

// The broker keeps the newest message of a topic, whatever comes late.
func TestTheLatestIsKept(t *testing.T) {
	b := mosquitto.Start(t, "")
	w := open(t, mqtt.Config{Server: "mqtt://" + b.Address, Payload: "value", Retain: true})
	late := report("pump-1", 20)
	late.Samples[0].Flags |= penstock.Historical
	for _, r := range []*penstock.Report{report("pump-1", 1), report("pump-1", 10), report("pump-1", 9), report("pump-2", 3), late} {
		if err := w.Write(t.Context(), []*penstock.Report{r}); err != nil {
			t.Fatal(err)
		}
	}
	kept := map[string]string{}
	for _, p := range subscribe(t, b.Address).received(t) {
		kept[p.Topic] = string(p.Payload)
	}
	if kept["penstock/pump-1/flow"] != "1.25" || kept["penstock/pump-2/flow"] != "0.375" || len(kept) != 2 {
		t.Errorf("the broker keeps %v", kept)
	}
}

// What is too large for the broker is refused for good, and nothing else with it.
func TestTooLargeForTheBroker(t *testing.T) {
	b := mosquitto.Start(t, "max_packet_size 2000")
	s, w := subscribe(t, b.Address), open(t, mqtt.Config{Server: "mqtt://" + b.Address})
	rs := reports("pump-1", 1, 5)
	rs[3].Samples = append(rs[3].Samples, penstock.Sample{Point: "log", SourceTime: 1, Value: penstock.TextValue(strings.Repeat("x", 3000))})
	wild := report("pump+1", 1)
	err := w.Write(t.Context(), append(rs, wild))
	if code := penstock.CodeOf(failedWith(t, err, 3)); code != penstock.TooLarge {
		t.Errorf("code %s: %v", code, err)
	}
	if code := penstock.CodeOf(failedWith(t, err, 5)); code != penstock.Invalid {
		t.Errorf("code %s: %v", code, err)
	}
	if got := s.received(t); len(got) != 4 {
		t.Errorf("%d messages of the others arrived", len(got))
	}
}

// Connections are cut, and the broker goes and comes back, while reports are written.
func TestNothingIsLost(t *testing.T) {
	b := mosquitto.Start(t, "")
	g, s := gate.New(t, b.Address), subscribe(t, b.Address)
	w := open(t, mqtt.Config{Server: "mqtt://" + g.Address(), QoS: 2, Window: 16})
	var written uint64
	failures := 0
	var work sync.WaitGroup
	var err error
	over, end := context.WithCancel(t.Context())
	write := func() {
		n, failed := untilWritten(t.Context(), w, reports("pump-1", written+1, written+40))
		failures, written, err = failures+n, written+40, failed
	}
	work.Go(func() {
		for over.Err() == nil && err == nil {
			write()
		}
	})
	for range 10 {
		<-time.After(30 * time.Millisecond)
		g.Cut()
	}
	b.Stop()
	<-time.After(100 * time.Millisecond)
	b.Begin(t)
	end()
	if work.Wait(); err == nil {
		write()
	}
	if err != nil {
		t.Fatal(err)
	}
	if failures == 0 {
		t.Error("no write failed: the faults came to nothing")
	}
	seen := map[string]bool{}
	messages := s.received(t)
	for _, p := range messages {
		r := decode(t, p)
		if p.Properties.User.Get("message-id") != sink.MessageID(r) || r.Samples[0] != report("pump-1", r.Identity.Seq).Samples[0] {
			t.Fatalf("%s: %+v", p.Properties.User.Get("message-id"), r)
		}
		seen[sink.MessageID(r)] = true
	}
	for seq := uint64(1); seq <= written; seq++ {
		if !seen[fmt.Sprint("pump-1/1/", seq)] {
			t.Errorf("report %d did not arrive", seq)
		}
	}
	if uint64(len(seen)) != written {
		t.Errorf("%d reports arrived, not %d", len(seen), written)
	}
	t.Logf("%d writes failed; %d messages for %d reports", failures, len(messages), written)
}

// A topic that the user may not publish to is the sink's trouble, which a person mends.
// This broker ends the connection over it; what it had acknowledged is not published
// again.
func TestNotAllowed(t *testing.T) {
	acl := filepath.Join(t.TempDir(), "acl")
	allow := func(rules string) {
		if err := os.WriteFile(acl, []byte(rules+"topic readwrite #\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	allow("topic deny penstock/pump-2\n")
	b := mosquitto.Start(t, "acl_file "+acl)
	s, w := subscribe(t, b.Address), open(t, mqtt.Config{Server: "mqtt://" + b.Address})
	rs := append(reports("pump-1", 1, 3), report("pump-2", 1))
	if err := w.Write(t.Context(), rs[:3]); err != nil {
		t.Fatal(err)
	}
	// The end of the connection may overtake why it ended: then the next try tells it.
	testkit.Eventually(t, func() bool {
		var why error
		if err := w.Write(t.Context(), rs[3:]); penstock.CodeOf(err) == penstock.Internal {
			why = failedWith(t, err, 0)
		}
		return penstock.CodeOf(why) == penstock.Unavailable && strings.Contains(why.Error(), "penstock/pump-2") && strings.Contains(why.Error(), "not allowed")
	}, "the broker's word that it is not allowed")
	allow("")
	b.Reload()
	if _, err := untilWritten(t.Context(), w, rs[3:]); err != nil {
		t.Fatal(err)
	}
	if got := s.received(t); len(got) != 4 {
		t.Errorf("%d messages for 4 reports", len(got))
	}
}

// A broker that is not there, or that cannot what is asked for, is named.
func TestTheBrokerDoesNotSuit(t *testing.T) {
	b := mosquitto.Start(t, "max_qos 1\nretain_available false")
	for words, c := range map[string]mqtt.Config{
		"set qos":    {Server: "mqtt://" + b.Address, QoS: 2},
		"set retain": {Server: "mqtt://" + b.Address, Retain: true},
		"connect to": {Server: "mqtt://127.0.0.1:1"},
	} {
		if err := open(t, c).Write(t.Context(), reports("pump-1", 1, 1)); penstock.CodeOf(err) != penstock.Unavailable || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: code %s: %v", words, penstock.CodeOf(err), err)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, good := range []mqtt.Config{
		{Server: "mqtts://broker.example"},
		{Server: "mqtt://127.0.0.1", Topic: "plant/{controller}/{point}", Payload: "value", QoS: 2, Retain: true},
	} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for key, bad := range map[string]mqtt.Config{
		"server":    {Server: "mqtt://broker.example"},
		"path":      {Server: "mqtts://broker.example/x"},
		"payload":   {Server: "mqtt://127.0.0.1", Payload: "xml"},
		"{point}":   {Server: "mqtt://127.0.0.1", Topic: "plant/{point}"},
		"wildcard":  {Server: "mqtt://127.0.0.1", Topic: "plant/+/{controller}"},
		"qos":       {Server: "mqtt://127.0.0.1", QoS: 3},
		"window":    {Server: "mqtt://127.0.0.1", Window: -1},
		"keepalive": {Server: "mqtt://127.0.0.1", Keepalive: 1},
	} {
		if err := bad.Validate(); penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}
