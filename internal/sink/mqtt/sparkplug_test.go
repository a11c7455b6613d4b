package mqtt_test

import (
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/mqtt"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/sparkplug"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/gate"
	"github.com/penstock/penstock/internal/testkit/mosquitto"
)

// plant is what a host application makes of the messages of a subscriber.
type plant struct {
	births map[string]int // by topic
	deaths int
	data   []*penstock.Report  // without what births say
	asks   []sparkplug.Command // for births
	faults []string
}

// hosted returns what a host application makes of all that was published.
func hosted(t testing.TB, ps []*paho.Publish) *plant {
	t.Helper()
	h, err := sparkplug.NewHost(sparkplug.Config{Device: "{device}", Rebirth: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	p := &plant{births: map[string]int{}}
	for i, m := range ps {
		if m.QoS != 0 && !strings.Contains(m.Topic, "NDEATH") && !strings.Contains(m.Topic, "NCMD") || m.Retain {
			t.Errorf("%s has QoS %d, kept: %t", m.Topic, m.QoS, m.Retain)
		}
		out := h.Step(time.Now(), sparkplug.Message{Token: uint64(i), Topic: m.Topic, Payload: slices.Clone(m.Payload)})
		p.asks = append(p.asks, out.Commands...)
		for _, e := range out.Events {
			if e.Count > 0 && !strings.HasSuffix(e.Why, "was born") {
				p.faults = append(p.faults, m.Topic+": "+e.Why)
			}
		}
		switch {
		case strings.Contains(m.Topic, "BIRTH"):
			p.births[m.Topic]++
		case strings.Contains(m.Topic, "NDEATH"):
			p.deaths++
		case strings.Contains(m.Topic, "DATA"):
			for _, d := range out.Decided {
				for k := range d.Reports {
					p.data = append(p.data, &d.Reports[k])
				}
			}
		}
	}
	return p
}

func edge(address string) mqtt.Config {
	return mqtt.Config{Server: "mqtt://" + address, Sparkplug: &mqtt.Sparkplug{Group: "north", Node: "gw"}}
}

// The protocol carries no identity but point and time, from which the suite's reports
// are told.
func TestSparkplugConformance(t *testing.T) {
	sinktest.RunSink(t, func(t testing.TB) sinktest.SinkBench {
		b := mosquitto.Start(t, "")
		g, s := gate.New(t, b.Address), subscribe(t, b.Address)
		return sinktest.SinkBench{
			Open: func(t testing.TB) penstock.Sink { return open(t, edge(g.Address())) },
			Received: func(t testing.TB) []*penstock.Report {
				rs := hosted(t, s.received(t)).data
				for _, r := range rs {
					switch r.Controller {
					case "meter":
						r.Identity = penstock.KeyIdentity("a key")
					case "sensor":
					default:
						text, _ := strings.CutPrefix(r.Samples[1].Value.Text(), "s")
						seq, err := strconv.ParseUint(text, 10, 64)
						if err != nil {
							t.Fatalf("%+v", r)
						}
						r.Identity = penstock.SequenceIdentity(1, seq)
					}
				}
				return rs
			},
			Break:            func(testing.TB) func() { return g.Break() },
			LoseConfirmation: func(testing.TB) { g.LoseAnswer() },
			Stall:            func(testing.TB) func() { return g.Stall() },
		}
	})
}

// A session begins with births and ends with a death; after a broken connection the next
// one tells all devices anew, and an application that asks is told as well.
func TestSparkplugSessions(t *testing.T) {
	b := mosquitto.Start(t, "")
	g, s := gate.New(t, b.Address), subscribe(t, b.Address)
	w := open(t, edge(g.Address()))
	rs := append(reports("pump-1", 1, 3), reports("pump-2", 1, 2)...)
	rs[4].Samples[0].Flags = penstock.Historical
	if err := w.Write(t.Context(), rs); err != nil {
		t.Fatal(err)
	}
	first := hosted(t, s.received(t))
	const nodeBirth, birth1, birth2 = "spBv1.0/north/NBIRTH/gw", "spBv1.0/north/DBIRTH/gw/pump-1", "spBv1.0/north/DBIRTH/gw/pump-2"
	if first.births[nodeBirth] != 1 || first.births[birth1] != 1 || first.births[birth2] != 1 || first.deaths != 0 || len(first.data) != 5 || len(first.faults) != 0 {
		t.Errorf("the first session: %+v", first)
	}
	for i, r := range first.data {
		if r.Samples[0] != rs[i].Samples[0] {
			t.Errorf("%+v came as %+v", rs[i], r)
		}
	}
	// An application asks for births.
	command := &paho.Publish{Topic: "spBv1.0/north/NCMD/gw", Payload: rebirth(t)}
	if _, err := s.client().Publish(t.Context(), command); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return hosted(t, s.received(t)).births[birth2] == 2 }, "the births that were asked for")
	// The connection breaks: the broker tells the death, and the next session all devices.
	g.Cut()
	testkit.Eventually(t, func() bool { return hosted(t, s.received(t)).deaths == 1 }, "the death")
	if _, err := untilWritten(t.Context(), w, reports("pump-1", 4, 4)); err != nil {
		t.Fatal(err)
	}
	// The sink ends: the broker tells the death, too.
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return hosted(t, s.received(t)).deaths == 2 }, "the second death")
	last := hosted(t, s.received(t))
	if last.births[nodeBirth] != 3 || last.births[birth1] != 3 || len(last.data) != 6 {
		t.Errorf("both sessions: %+v", last)
	}
	for _, f := range last.faults {
		if !strings.Contains(f, "died") {
			t.Error(f)
		}
	}
}

// The sessions are counted from 0, on over a restart of the gateway, from 255 to 0, and
// whatever stands in the file. Each birth has the number that the will before it has.
func TestSparkplugSessionsAreCounted(t *testing.T) {
	b := mosquitto.Start(t, "")
	s, files := subscribe(t, b.Address), t.TempDir()
	session := func(written uint64) {
		t.Helper()
		w := openIn(t, edge(b.Address), files)
		if err := w.Write(t.Context(), reports("pump-1", written, written)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, func() bool { return hosted(t, s.received(t)).deaths == int(written) }, "the death")
	}
	file := filepath.Join(files, "mqtt", "broker.bdseq")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	session(1)
	session(2)
	put("254\n")
	session(3)
	session(4)
	put("none")
	session(5)
	var births, deaths []uint64
	for _, p := range s.received(t) {
		switch {
		case strings.Contains(p.Topic, "NBIRTH"):
			births = append(births, sessionOf(t, p.Payload))
		case strings.Contains(p.Topic, "NDEATH"):
			deaths = append(deaths, sessionOf(t, p.Payload))
		}
	}
	if want := []uint64{0, 1, 255, 0, 0}; !slices.Equal(births, want) || !slices.Equal(deaths, want) {
		t.Errorf("births %d, deaths %d", births, deaths)
	}
}

// sessionOf returns the number of the session in a birth or death of the edge node.
func sessionOf(t testing.TB, payload []byte) uint64 {
	t.Helper()
	const metrics, name, datatype, value, int64Type = 2, 1, 4, 11, 4
	for field, b := range fields(t, payload) {
		if field != metrics {
			continue
		}
		found := map[protowire.Number][]byte{}
		for field, b := range fields(t, b) {
			found[field] = b
		}
		if string(found[name]) != "bdSeq" {
			continue
		}
		if of, _ := protowire.ConsumeVarint(found[datatype]); of != int64Type {
			t.Errorf("bdSeq has the datatype %d, not Int64", of)
		}
		n, _ := protowire.ConsumeVarint(found[value])
		return n
	}
	t.Fatalf("%x has no bdSeq", payload)
	return 0
}

// fields returns the fields of a message of protobuf: of those with a length what is in
// them, of the others the number as it stands there.
func fields(t testing.TB, b []byte) iter.Seq2[protowire.Number, []byte] {
	return func(yield func(protowire.Number, []byte) bool) {
		for len(b) > 0 {
			number, kind, n := protowire.ConsumeTag(b)
			if n < 0 {
				t.Fatal(protowire.ParseError(n))
			}
			b = b[n:]
			if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
				t.Fatal(protowire.ParseError(n))
			}
			content := b[:n]
			if kind == protowire.BytesType {
				content, _ = protowire.ConsumeBytes(content)
			}
			if b = b[n:]; !yield(number, content) {
				return
			}
		}
	}
}

// rebirth returns the command that asks for births.
func rebirth(t testing.TB) []byte {
	t.Helper()
	h, err := sparkplug.NewHost(sparkplug.Config{Rebirth: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	out := h.Step(time.Now(), sparkplug.Message{Topic: "spBv1.0/north/NDATA/gw", Payload: []byte{0x18, 5}})
	if len(out.Commands) != 1 {
		t.Fatalf("%+v", out)
	}
	return out.Commands[0].Payload
}

// While births are asked for all the time, each report arrives, in messages without a gap.
func TestSparkplugBirthsBetweenData(t *testing.T) {
	b := mosquitto.Start(t, "")
	s, w := subscribe(t, b.Address), open(t, edge(b.Address))
	var asking sync.WaitGroup
	stop := make(chan struct{})
	command := rebirth(t)
	asking.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if c := s.client(); c != nil {
				_, _ = c.Publish(t.Context(), &paho.Publish{Topic: "spBv1.0/north/NCMD/gw", Payload: command}) // the broker may be down
			}
		}
	})
	const batches = 60
	for i := range uint64(batches) {
		if _, err := untilWritten(t.Context(), w, reports("pump-1", 10*i+1, 10*i+10)); err != nil {
			t.Fatal(err)
		}
		<-time.After(20 * time.Millisecond)
	}
	close(stop)
	asking.Wait()
	got := hosted(t, s.received(t))
	seen := map[int64]int{}
	for _, r := range got.data {
		seen[r.Samples[0].SourceTime]++
	}
	if len(seen) != 10*batches || len(got.data) != 10*batches || len(got.faults) != 0 || got.births["spBv1.0/north/NBIRTH/gw"] < 2 {
		t.Errorf("%d reports arrived, %d of them twice, with %d births: %q", len(seen), len(got.data)-len(seen), got.births["spBv1.0/north/NBIRTH/gw"], got.faults)
	}
}

// A broker with a bound of its own gets no message beyond it, and the others go on.
func TestSparkplugTooLarge(t *testing.T) {
	b := mosquitto.Start(t, "max_packet_size 4000")
	s, w := subscribe(t, b.Address), open(t, edge(b.Address))
	rs := reports("pump-1", 1, 3)
	rs[1].Samples[0].Value = penstock.TextValue(strings.Repeat("x", 5000))
	rs[1].Controller = "pump-2"
	err := w.Write(t.Context(), append(rs, report("a+b", 1)))
	if code := penstock.CodeOf(failedWith(t, err, 1)); code != penstock.TooLarge {
		t.Errorf("too large: code %s", code)
	}
	if code := penstock.CodeOf(failedWith(t, err, 3)); code != penstock.Invalid {
		t.Errorf("no device: code %s", code)
	}
	if got := hosted(t, s.received(t)); len(got.data) != 2 || len(got.faults) != 0 {
		t.Errorf("%d reports arrived: %q", len(got.data), got.faults)
	}
}

func TestSparkplugConfig(t *testing.T) {
	good := edge("127.0.0.1")
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for key, change := range map[string]func(*mqtt.Config){
		"leave them out": func(c *mqtt.Config) { c.QoS = 1 },
		"group":          func(c *mqtt.Config) { c.Sparkplug = &mqtt.Sparkplug{Node: "gw"} },
		"node":           func(c *mqtt.Config) { c.Sparkplug = &mqtt.Sparkplug{Group: "north", Node: "g/w"} },
	} {
		c := edge("127.0.0.1")
		change(&c)
		if err := c.Validate(); penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}
