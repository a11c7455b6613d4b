package topic_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/topic"
	"github.com/penstock/penstock/link"
)

func TestPatternMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, topic string
		want           []string // nil for no match
	}{
		{"plant/{controller}/{point...}", "plant/pump-17/inlet/flow", []string{"pump-17", "inlet/flow"}},
		{"plant/{controller}/{point...}", "plant/pump-17/flow", []string{"pump-17", "flow"}},
		{"plant/{controller}/{point...}", "plant/pump-17/", nil},
		{"plant/{controller}/{point...}", "plant/pump-17", nil},
		{"plant/{controller}/{point}", "plant/pump-17/inlet/flow", nil},
		{"plant/{controller}/{point}", "plant/pump-17", nil},
		{"plant/{controller}", "plant/", []string{""}},
		{"+/{controller}/report", "a/b/report", []string{"b"}},
		{"+/{controller}/report", "$SYS/b/report", nil},
		{"{all...}", "$SYS/b", nil},
		{"$SYS/{all...}", "$SYS/b", []string{"b"}},
		{"plant/#", "plant", []string{}},
		{"plant/#", "plant/a/b", []string{}},
		{"plant/#", "plants", nil},
		{"#", "a", []string{}},
		{"a//{x}", "a//b", []string{"b"}},
	} {
		p, err := topic.ParsePattern(c.pattern, topic.MQTT)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := p.Match(c.topic)
		if ok != (c.want != nil) || ok && !slices.Equal(got, c.want) {
			t.Errorf("%s against %s: %q, %v", c.pattern, c.topic, got, ok)
		}
	}
}

func TestFilterIsTheBrokers(t *testing.T) {
	for _, c := range []struct {
		text, filter string
		dialect      topic.Dialect
	}{
		{"plant/{controller}/{point...}", "plant/+/#", topic.MQTT},
		{"+/x/{point}", "+/x/+", topic.MQTT},
		{"#", "#", topic.MQTT},
		{"plant.{controller}.{point...}", "plant.*.#", topic.AMQP},
	} {
		p, err := topic.ParsePattern(c.text, c.dialect)
		if err != nil || p.Filter() != c.filter {
			t.Errorf("%s: %q, %v", c.text, p.Filter(), err)
		}
	}
}

func TestPatternRefuses(t *testing.T) {
	for _, text := range []string{
		"", "a/#/b", "{a...}/b", "a/{b}c", "a/{}", "a/{B}", "a/b+", "a/{a}/{a}", "a/}", strings.Repeat("a/", 40), "x/{a}{b}",
	} {
		if _, err := topic.ParsePattern(text, topic.MQTT); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Every topic that a pattern matches comes under its filter, level by level, and
// the names give back the topic.
func TestMatchAgreesWithTheFilter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"", "a", "b", "pump", "$x"})
		levels := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "+", "{n0}", "{n1}"}), 1, 4).Draw(t, "pattern")
		if rapid.Bool().Draw(t, "open") {
			levels = append(levels, rapid.SampledFrom([]string{"#", "{rest...}"}).Draw(t, "rest"))
		}
		text := strings.Join(levels, "/")
		p, err := topic.ParsePattern(text, topic.MQTT)
		if err != nil {
			return // a name stood twice
		}
		name := strings.Join(rapid.SliceOfN(word, 1, 6).Draw(t, "topic"), "/")
		values, ok := p.Match(name)
		if want := matchesFilter(p.Filter(), name); ok && !want || !ok && want && !strings.Contains(text, "...") {
			t.Fatalf("%s (%s) against %s: %v", text, p.Filter(), name, ok)
		}
		if ok && len(values) != len(p.Names()) {
			t.Fatalf("%d values for %d names", len(values), len(p.Names()))
		}
	})
}

// matchesFilter is the rule of MQTT 5, section 4.7, written another way.
func matchesFilter(filter, name string) bool {
	fs, ns := strings.Split(filter, "/"), strings.Split(name, "/")
	if (fs[0] == "+" || fs[0] == "#") && strings.HasPrefix(name, "$") {
		return false
	}
	for i, f := range fs {
		if f == "#" {
			return len(ns) >= i
		}
		if i >= len(ns) || f != "+" && f != ns[i] {
			return false
		}
	}
	return len(fs) == len(ns)
}

func TestTemplateNeverJoinsTwoIntoOne(t *testing.T) {
	names := []string{"group", "node"}
	tpl, err := topic.ParseTemplate("{group}:{node}", names...)
	if err != nil {
		t.Fatal(err)
	}
	part := rapid.StringMatching(`[a:%3A25]{0,5}`)
	seen := map[string][2]string{}
	rapid.Check(t, func(t *rapid.T) {
		pair := [2]string{part.Draw(t, "group"), part.Draw(t, "node")}
		name := tpl.Expand(names, pair[:])
		if other, ok := seen[name]; ok && other != pair {
			t.Fatalf("%q and %q are both %q", other, pair, name)
		}
		seen[name] = pair
	})
	single, _ := topic.ParseTemplate("{group}", names...)
	if got := single.Expand(names, []string{"aa:bb", ""}); got != "aa:bb" {
		t.Errorf("a lone part became %q", got)
	}
	for _, bad := range []string{"{other}", "{group", "group}", "{}"} {
		if _, err := topic.ParseTemplate(bad, names...); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func router(t testing.TB, routes ...topic.Route) *topic.Router {
	t.Helper()
	r, err := topic.NewRouter(routes, topic.MQTT)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestValuesBecomeReports(t *testing.T) {
	for _, c := range []struct {
		kind, payload string
		want          penstock.Value
		status        penstock.Status
		code          penstock.Code // when refused
	}{
		{"", "12", penstock.FloatValue(12), penstock.Good, 0},
		{"", " -1.5e3\n", penstock.FloatValue(-1500), penstock.Good, 0},
		{"", "-0", penstock.FloatValue(math.Copysign(0, -1)), penstock.Good, 0},
		{"float64", "NaN", penstock.Value{}, penstock.Bad, 0},
		{"float64", "null", penstock.Value{}, penstock.Bad, 0},
		{"float64", "inf", penstock.Value{}, 0, penstock.Invalid},
		{"float64", "1e999", penstock.Value{}, 0, penstock.Invalid},
		{"float64", "0x10", penstock.Value{}, 0, penstock.Invalid},
		{"float64", "", penstock.Value{}, 0, penstock.Invalid},
		{"float64", strings.Repeat("1", 100), penstock.Value{}, 0, penstock.Invalid},
		{"int64", "-9223372036854775808", penstock.IntValue(math.MinInt64), penstock.Good, 0},
		{"int64", "1.0", penstock.Value{}, 0, penstock.Invalid},
		{"uint64", "18446744073709551615", penstock.UintValue(math.MaxUint64), penstock.Good, 0},
		{"uint64", "-1", penstock.Value{}, 0, penstock.Invalid},
		{"bool", "ON", penstock.BoolValue(true), penstock.Good, 0},
		{"bool", "0", penstock.BoolValue(false), penstock.Good, 0},
		{"bool", "nan", penstock.Value{}, 0, penstock.Invalid},
		{"text", "null", penstock.TextValue("null"), penstock.Good, 0},
		{"text", "\xff", penstock.Value{}, 0, penstock.Invalid},
		{"text", strings.Repeat("x", penstock.MaxText+1), penstock.Value{}, 0, penstock.TooLarge},
	} {
		r := router(t, topic.Route{Topic: "{controller}/{point...}", Payload: topic.Value, Type: c.kind})
		m, _ := r.Match("pump-17/inlet/flow")
		e, err := m.Envelope([]byte(c.payload), topic.Beside{}, 42)
		if c.code != 0 {
			if penstock.CodeOf(err) != c.code {
				t.Errorf("%s %.20q: %v", c.kind, c.payload, err)
			}
			continue
		}
		if err != nil || e.ContentType != link.MediaType || e.ReceivedTime != 42 {
			t.Fatalf("%s %.20q: %+v, %v", c.kind, c.payload, e, err)
		}
		got := decode(t, e.Body)
		want := penstock.Sample{Point: "inlet/flow", SourceTime: 42, Value: c.want, Status: c.status, Flags: penstock.GatewayClock}
		if got.Controller != "pump-17" || len(got.Samples) != 1 || got.Samples[0] != want {
			t.Errorf("%s %.20q: %+v", c.kind, c.payload, got)
		}
	}
}

func decode(t testing.TB, body []byte) penstock.Report {
	t.Helper()
	var d link.Decoder
	var r penstock.Report
	if _, err := d.Decode(body, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestIdentityBesideThePayload(t *testing.T) {
	r := router(t, topic.Route{Topic: "v/{controller}/{point}", Payload: topic.Value}, topic.Route{Topic: "r/#"}, topic.Route{Topic: "b/#", Payload: topic.Binary}, topic.Route{Topic: "m/#", Payload: "lora"})
	value, _ := r.Match("v/a/b")
	for _, c := range []struct {
		beside topic.Beside
		want   penstock.Identity
		key    string
	}{
		{topic.Beside{}, penstock.Identity{}, ""},
		{topic.Beside{Epoch: "3", Seq: "17"}, penstock.SequenceIdentity(3, 17), "3/17"},
		{topic.Beside{Key: "k"}, penstock.KeyIdentity("k"), "k"},
	} {
		e, err := value.Envelope([]byte("1"), c.beside, 1)
		if err != nil || e.Key != "" || decode(t, e.Body).Identity != c.want {
			t.Errorf("%+v: %+v, %v", c.beside, e, err)
		}
		for name, contentType := range map[string]string{"r/x": "application/json", "b/x": link.MediaType, "m/x": "lora"} {
			m, ok := r.Match(name)
			e, err := m.Envelope([]byte("{}"), c.beside, 1)
			if !ok || err != nil || e.Key != c.key || e.ContentType != contentType || string(e.Body) != "{}" {
				t.Errorf("%s with %+v: %+v, %v", name, c.beside, e, err)
			}
		}
	}
	for _, bad := range []topic.Beside{{Epoch: "1"}, {Seq: "1"}, {Epoch: "1", Seq: "0"}, {Epoch: "x", Seq: "1"}, {Key: strings.Repeat("k", 256)}} {
		if _, err := value.Envelope([]byte("1"), bad, 1); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestRouterRefuses(t *testing.T) {
	for _, c := range []topic.Route{
		{Topic: "a/{controller}", Payload: topic.Value},
		{Topic: "a/#", Payload: topic.Value},
		{Topic: "a/{x}", Payload: topic.Value, Controller: "{y}", Point: "p"},
		{Topic: "a/{x}", Type: "int64"},
		{Topic: "a/{controller}/{point}", Payload: topic.Value, Type: "integer"},
		{Topic: "a/{controller}/{point}", Payload: topic.Value, Type: "none"},
		{Topic: "a/{controller", Payload: topic.Value},
	} {
		_, err := topic.NewRouter([]topic.Route{c}, topic.MQTT)
		if penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), c.Topic) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestFirstRouteHolds(t *testing.T) {
	r := router(t,
		topic.Route{Topic: "plant/{site}/{unit}/{point}", Payload: topic.Value, Controller: "{site}:{unit}", Type: "bool"},
		topic.Route{Topic: "plant/#"}, topic.Route{Topic: "spBv1.0/#", Payload: topic.Sparkplug}, topic.Route{Topic: "l/#", Payload: "lora"}, topic.Route{Topic: "m/#", Payload: "lora"})
	m, ok := r.Match("plant/north/p1/run")
	if !ok || m.Controller != "north:p1" || m.Point != "run" || m.Payload != topic.Value {
		t.Errorf("%+v, %v", m, ok)
	}
	if m, ok := r.Match("plant/north"); !ok || m.Payload != topic.Reports || m.Controller != "" {
		t.Errorf("%+v, %v", m, ok)
	}
	if _, ok := r.Match("other"); ok {
		t.Error("a topic without a route was taken")
	}
	if !slices.Equal(r.Filters(), []string{"plant/+/+/+", "plant/#", "spBv1.0/#", "l/#", "m/#"}) || !slices.Equal(r.Mappings(), []string{"lora"}) || !r.Has(topic.Sparkplug) || r.Has(topic.Binary) {
		t.Errorf("%q %q", r.Filters(), r.Mappings())
	}
}

func TestScopeIsTheTopics(t *testing.T) {
	r := router(t, topic.Route{Topic: "{controller}/report"}, topic.Route{Topic: "all"})
	all := penstock.Scope{"pump-*"}
	for _, c := range []struct {
		topic string
		want  penstock.Scope
	}{{"pump-1/report", penstock.Scope{"pump-1"}}, {"all", all}, {"valve-1/report", nil}, {"pump-*/report", nil}} {
		m, _ := r.Match(c.topic)
		got, err := m.Scope(all)
		if !slices.Equal(got, c.want) || (c.want == nil) != (penstock.CodeOf(err) == penstock.Forbidden && err != nil) {
			t.Errorf("%s: %v, %v", c.topic, got, err)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("plant/{controller}/{point...}", "plant/a/b/c", []byte("12.5"), "1", "2", "")
	f.Add("{a}/+/#", "a/b/c", []byte("null"), "", "", "k")
	f.Fuzz(func(t *testing.T, pattern, name string, payload []byte, epoch, seq, key string) {
		r, err := topic.NewRouter([]topic.Route{{Topic: pattern, Payload: topic.Value, Type: "text"}}, topic.MQTT)
		if err != nil {
			r, err = topic.NewRouter([]topic.Route{{Topic: pattern}}, topic.MQTT)
		}
		if err != nil {
			return
		}
		m, ok := r.Match(name)
		if !ok {
			return
		}
		e, err := m.Envelope(payload, topic.Beside{Epoch: epoch, Seq: seq, Key: key}, 1)
		if err == nil && m.Payload == topic.Value {
			if r := decode(t, e.Body); r.Controller != m.Controller {
				t.Fatalf("%q became %q", m.Controller, r.Controller)
			}
		}
	})
}
