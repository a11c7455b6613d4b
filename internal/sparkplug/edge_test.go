package sparkplug_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/sparkplug"
)

func newEdge(t testing.TB) *sparkplug.Edge {
	t.Helper()
	e, err := sparkplug.NewEdge("north", "gw", 6)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// hear has the host hear what the edge node says, and returns the reports of data.
func (p *plant) hear(commands []sparkplug.Command) (data []penstock.Report) {
	p.t.Helper()
	for _, c := range commands {
		got := p.sendTo(c.Topic, c.Payload)
		for _, e := range p.last.Events {
			if !strings.HasSuffix(e.Why, "was born") {
				p.t.Errorf("%s: %s", c.Topic, e.Why)
			}
		}
		if strings.Contains(c.Topic, "DATA") {
			data = append(data, got...)
		}
	}
	return data
}

func told(t testing.TB, e *sparkplug.Edge, r *penstock.Report) []sparkplug.Command {
	t.Helper()
	out, err := e.Report(noon, r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func reportOf(controller string, samples ...penstock.Sample) *penstock.Report {
	return &penstock.Report{Controller: controller, Samples: samples}
}

func at(seconds int, point string, v penstock.Value) penstock.Sample {
	return penstock.Sample{Point: point, SourceTime: int64(ms(seconds)) * 1e6, Value: v}
}

// What an edge node says of reports, a host reads as the same samples, whatever is asked
// again and however often the connection breaks.
func TestWhatTheEdgeSaysTheHostReads(t *testing.T) {
	value := map[string]*rapid.Generator[penstock.Value]{
		"f": rapid.Map(rapid.Float64(), penstock.FloatValue), "i": rapid.Map(rapid.Int64(), penstock.IntValue), "u": rapid.Map(rapid.Uint64(), penstock.UintValue),
		"b": rapid.Map(rapid.Bool(), penstock.BoolValue), "t": rapid.Map(rapid.StringN(0, 8, 40), penstock.TextValue), "in/f": rapid.Just(penstock.Value{}),
	}
	points := []string{"f", "i", "u", "b", "t", "in/f"}
	rapid.Check(t, func(rt *rapid.T) {
		e, p := newEdge(t), newPlant(t, sparkplug.Config{Device: "{device}"})
		e.Connect(noon)
		p.hear(e.Births(noon))
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0:
				p.hear(e.Births(noon))
				continue
			case 1:
				will := e.Connect(noon)
				p.sendTo(will.Topic, will.Payload) // too early, and of no session that is known
				p.hear(e.Births(noon))
				continue
			}
			r := reportOf(rapid.SampledFrom([]string{"pump-1", "tank 2"}).Draw(rt, "controller"))
			for range rapid.IntRange(1, 5).Draw(rt, "samples") {
				point := rapid.SampledFrom(points).Draw(rt, "point")
				s := at(rapid.IntRange(0, 1e6).Draw(rt, "time"), point, value[point].Draw(rt, "value"))
				s.Unit = map[bool]string{true: "m3/h"}[point == "f"]
				if s.Value.Kind() == penstock.None || rapid.IntRange(0, 4).Draw(rt, "fails") == 0 {
					s.Value, s.Status = penstock.Value{}, penstock.Bad
				}
				if rapid.Bool().Draw(rt, "historical") {
					s.Flags = penstock.Historical
				}
				r.Samples = append(r.Samples, s)
			}
			got := p.hear(told(t, e, r))
			if len(got) != 1 || got[0].Controller != r.Controller || len(got[0].Samples) != len(r.Samples) {
				rt.Fatalf("%+v came as %s", r, show(got))
			}
			for i, s := range got[0].Samples {
				want := r.Samples[i]
				want.Unit = "" // units are told with births, which the host does not look at
				if s.Native = 0; s != want {
					rt.Fatalf("%+v came as %+v", want, s)
				}
			}
		}
	})
}

func TestTheEdgeOfSparkplug(t *testing.T) {
	e, p := newEdge(t), newPlant(t, sparkplug.Config{})
	will := e.Connect(noon)
	births := e.Births(noon)
	if will.Topic != "spBv1.0/north/NDEATH/gw" || len(births) != 1 || births[0].Topic != "spBv1.0/north/NBIRTH/gw" {
		t.Fatalf("%+v, %+v", will, births)
	}
	p.hear(births)
	first := told(t, e, reportOf("pump", at(1, "flow", penstock.IntValue(12))))
	if len(first) != 2 || first[0].Topic != "spBv1.0/north/DBIRTH/gw/pump" || first[1].Topic != "spBv1.0/north/DDATA/gw/pump" {
		t.Fatalf("%+v", first)
	}
	p.want(p.hear(first), "north:gw:pump flow=12@1")
	again := told(t, e, reportOf("pump", at(2, "flow", penstock.IntValue(13))))
	if len(again) != 1 {
		t.Errorf("nothing is new: %+v", again)
	}
	p.want(p.hear(again), "north:gw:pump flow=13@2")
	// A whole number becomes a fraction, which is told, and stays one.
	wider := told(t, e, reportOf("pump", at(3, "flow", penstock.FloatValue(13.5))))
	p.want(p.hear(wider), "north:gw:pump flow=13.5@3")
	whole := told(t, e, reportOf("pump", at(4, "flow", penstock.IntValue(14))))
	p.want(p.hear(whole), "north:gw:pump flow=14@4")
	if len(wider) != 2 || len(whole) != 1 {
		t.Errorf("%d and %d messages", len(wider), len(whole))
	}
	// What is late is no newer than what is known: a birth tells the newest.
	late := at(2, "flow", penstock.FloatValue(1))
	late.Flags = penstock.Historical
	uncertain := at(5, "level", penstock.FloatValue(math.Inf(1)))
	uncertain.Status = penstock.Uncertain
	p.hear(told(t, e, reportOf("pump", late, uncertain)))
	births = e.Births(noon)
	p.want(p.sendTo(births[0].Topic, births[0].Payload), "")
	p.want(p.sendTo(births[1].Topic, births[1].Payload), "north:gw:pump flow=14@4 level=+Inf@5/UncertainNoCommunicationLastUsableValue")
	if got := p.sendTo(will.Topic, will.Payload); len(got) != 1 || p.count(evidence.Lost) == 0 {
		t.Errorf("the death gave %s", show(got))
	}
}

func TestTheEdgeIsAskedForBirths(t *testing.T) {
	e, p := newEdge(t), newPlant(t, sparkplug.Config{Rebirth: []string{"*"}})
	p.send("NDATA", message(ms(0), 1, alias(1).double(1)))
	asked := p.last.Commands[0]
	if asked.Topic != e.Commands() || !e.WantsRebirth(asked.Topic, asked.Payload) {
		t.Errorf("%s is not understood", asked.Topic)
	}
	for _, other := range []sparkplug.Command{
		{Topic: asked.Topic + "/x", Payload: asked.Payload}, {Topic: asked.Topic, Payload: []byte("x")},
		{Topic: asked.Topic, Payload: message(ms(0), -1, named("Node Control/Rebirth", tBool).varint(fBool, 0))},
		{Topic: asked.Topic, Payload: message(ms(0), -1, named("Node Control/Reboot", tBool).varint(fBool, 1))},
	} {
		if e.WantsRebirth(other.Topic, other.Payload) {
			t.Errorf("%s %x asks for births", other.Topic, other.Payload)
		}
	}
}

// What is too large is refused and changes nothing; names that are no level of a topic
// are refused.
func TestTheEdgeRefuses(t *testing.T) {
	e, p := newEdge(t), newPlant(t, sparkplug.Config{})
	e.Connect(noon)
	p.hear(e.Births(noon))
	p.hear(told(t, e, reportOf("pump", at(1, "state", penstock.TextValue("ok")))))
	e.Limit(300)
	large := reportOf("pump", at(2, "state", penstock.TextValue(strings.Repeat("x", 300))))
	if _, err := e.Report(noon, large); penstock.CodeOf(err) != penstock.TooLarge {
		t.Errorf("too large: %v", err)
	}
	for _, c := range []string{"a/b", "a+", "#", ""} {
		if _, err := e.Report(noon, reportOf(c, at(1, "x", penstock.Value{}))); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("controller %q: %v", c, err)
		}
		if _, err := sparkplug.NewEdge(c, "gw", 0); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("group %q: %v", c, err)
		}
		if _, err := sparkplug.NewEdge("north", c, 0); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("node %q: %v", c, err)
		}
	}
	if births := e.Births(noon); len(births) != 1 {
		t.Errorf("a birth that is too large is told: %d", len(births))
	}
	e.Limit(0)
	p.hear(e.Births(noon))
	p.want(p.hear(told(t, e, reportOf("pump", at(3, "state", penstock.TextValue("ok"))))), "north:gw:pump state=ok@3")
}

// A large report makes several messages, and a birth beside them.
func TestTheEdgeDividesReports(t *testing.T) {
	e, p := newEdge(t), newPlant(t, sparkplug.Config{})
	e.Connect(noon)
	p.hear(e.Births(noon))
	r := reportOf("pump")
	for i := range 12_000 {
		r.Samples = append(r.Samples, at(i, fmt.Sprint("p", i), penstock.IntValue(int64(i))))
	}
	out := told(t, e, r)
	total := 0
	for _, part := range p.hear(out) {
		total += len(part.Samples)
	}
	if len(out) != 4 || total != 12_000 {
		t.Errorf("%d messages with %d samples", len(out), total)
	}
}

// Another implementation reads what the edge node writes.
func TestTheNPMPackageReadsTheEdge(t *testing.T) {
	e := newEdge(t)
	will := e.Connect(noon)
	late := at(-5, "flow", penstock.FloatValue(1.5))
	late.Flags, late.Unit = penstock.Historical, "m3/h"
	none := at(1, "flow", penstock.Value{})
	none.Status, none.Unit = penstock.BadTimeout, "m3/h"
	said := append([]sparkplug.Command{will}, e.Births(noon)...)
	said = append(said, told(t, e, reportOf("pump", late, none, at(1, "n", penstock.IntValue(-7)), at(1, "u", penstock.UintValue(8)), at(1, "b", penstock.BoolValue(true)), at(1, "t", penstock.TextValue("grün"))))...)
	type metric struct {
		Name         string
		Alias        *int
		Type         string
		Value        any
		Timestamp    int64
		IsHistorical bool
		Properties   map[string]struct{ Value any }
	}
	type payload struct {
		Timestamp int64
		Seq       *int
		Metrics   []metric
	}
	read := make([]payload, len(said))
	for i, c := range said {
		if err := json.Unmarshal([]byte(node(t, "decode", hex.EncodeToString(c.Payload))), &read[i]); err != nil {
			t.Fatal(err)
		}
	}
	death, birth, device, data := read[0], read[1], read[2], read[3]
	if death.Seq != nil || len(death.Metrics) != 1 || death.Metrics[0].Name != "bdSeq" || death.Metrics[0].Value != 7. {
		t.Errorf("the death: %+v", death)
	}
	if *birth.Seq != 0 || *device.Seq != 1 || *data.Seq != 2 || birth.Timestamp != noon.UnixMilli() {
		t.Errorf("numbers %d, %d, %d at %d", *birth.Seq, *device.Seq, *data.Seq, birth.Timestamp)
	}
	text := func(ms []metric) (list []string) {
		for _, m := range ms {
			list = append(list, fmt.Sprintf("%s %s %v %d %v %v", m.Name, m.Type, m.Value, m.Timestamp-noon.UnixMilli(), m.IsHistorical, len(m.Properties)))
		}
		return list
	}
	if got, want := text(birth.Metrics), []string{"bdSeq Int64 7 0 false 0", "Node Control/Rebirth Boolean false 0 false 0"}; !slices.Equal(got, want) {
		t.Errorf("the birth of the node: %q", got)
	}
	if got, want := text(device.Metrics), []string{"flow Double <nil> 1000 false 2", "n Int64 -7 1000 false 0", "u UInt64 8 1000 false 0", "b Boolean true 1000 false 0", "t String grün 1000 false 0"}; !slices.Equal(got, want) {
		t.Errorf("the birth of the device: %q", got)
	}
	if q := device.Metrics[0].Properties; q["Quality"].Value != 0. || q["engUnit"].Value != "m3/h" {
		t.Errorf("the properties: %+v", q)
	}
	if len(data.Metrics) != 6 || !data.Metrics[0].IsHistorical || *data.Metrics[0].Alias != *device.Metrics[0].Alias || data.Metrics[0].Timestamp != noon.Add(-5*time.Second).UnixMilli() {
		t.Errorf("the data: %+v", data.Metrics)
	}
}
