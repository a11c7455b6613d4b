package sim_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sim"
)

func newModel(t testing.TB, o sim.ModelOptions) *sim.Model {
	t.Helper()
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	}
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	m, err := sim.NewModel(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A time says which report it belongs to, whatever the fleet.
func TestTimesNameTheirReports(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(t, sim.ModelOptions{
			Seed: rapid.Uint64().Draw(rt, "seed"), Controllers: 100,
			Interval: time.Duration(rapid.Int64Range(1, 60_000).Draw(rt, "interval")) * time.Millisecond,
		})
		controller := rapid.IntRange(0, 99).Draw(rt, "controller")
		seq := rapid.Uint64Range(1, 1_000_000).Draw(rt, "seq")
		at := m.SourceTime(controller, seq)
		if got, ok := m.SeqAt(controller, at); !ok || got != seq {
			rt.Fatalf("the time of report %d belongs to report %d, %v", seq, got, ok)
		}
		if _, ok := m.SeqAt(controller, at+1); ok {
			rt.Fatalf("a nanosecond later there is a report too")
		}
		if next := m.SourceTime(controller, seq+1); next <= at {
			rt.Fatalf("report %d is at %d, the one after it at %d", seq, at, next)
		}
	})
}

// Every report keeps the rules of the domain, and is the same every time.
func TestReportsKeepTheRules(t *testing.T) {
	names := map[string]bool{}
	kinds := map[penstock.Kind]int{}
	var bad, uncertain, negativeZero, large int
	m := newModel(t, sim.ModelOptions{Seed: 7, Controllers: 300, Speed: 60})
	first := map[string]penstock.Kind{}
	for c := range m.Controllers() {
		if err := penstock.CheckControllerName(m.Name(c)); err != nil {
			t.Error(err)
		}
		if names[m.Name(c)] {
			t.Errorf("two controllers are called %s", m.Name(c))
		}
		names[m.Name(c)] = true
		for _, seq := range []uint64{1, 2, 600, 1441, 5000} {
			var r, again penstock.Report
			m.Report(&r, c, seq)
			m.Report(&again, c, seq)
			for i, s := range r.Samples {
				if s != again.Samples[i] {
					t.Fatalf("%s report %d is not the same twice", m.Name(c), seq)
				}
				if (s.Value.Kind() == penstock.None) != s.Status.IsBad() {
					t.Errorf("%s %s has %v with status %s", m.Name(c), s.Point, s.Value, s.Status)
				}
				key := m.Name(c) + "\x00" + s.Point
				if k, ok := first[key]; s.Value.Kind() != penstock.None {
					if ok && k != s.Value.Kind() {
						t.Errorf("%s %s changes from %s to %s", m.Name(c), s.Point, k, s.Value.Kind())
					}
					first[key] = s.Value.Kind()
				}
				kinds[s.Value.Kind()]++
				bad += count(s.Status.IsBad())
				uncertain += count(!s.Status.IsBad() && !s.Status.IsGood())
				negativeZero += count(s.Value.Kind() == penstock.Float64 && s.Value.Bits() == 1<<63)
				large += count(s.Value.Kind() == penstock.Int64 && s.Value.Int() > 1<<53)
			}
		}
	}
	for k := penstock.None; k <= penstock.Text; k++ {
		if kinds[k] == 0 {
			t.Errorf("no value of the kind %s in the whole fleet", k)
		}
	}
	if bad == 0 || uncertain == 0 || negativeZero == 0 || large == 0 {
		t.Errorf("%d bad, %d uncertain, %d negative zeros, %d integers beyond 2^53: each must occur", bad, uncertain, negativeZero, large)
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Counters never fall, not even when the replay starts its day again.
func TestCountersNeverFall(t *testing.T) {
	m := newModel(t, sim.ModelOptions{Seed: 3, Controllers: 150, Speed: 3600})
	for c := range m.Controllers() {
		for p := range m.Points(c) {
			if name := m.PointName(c, p); name != "pump-1/energy" && name != "total/volume" && name != "inflow/volume" {
				continue
			}
			var last uint64
			for seq := uint64(1); seq <= 60; seq++ { // two and a half days
				v := m.Sample(c, seq, p).Value
				if v.Kind() == penstock.None {
					continue
				}
				if v.Bits() < last {
					t.Fatalf("%s %s falls from %d to %d at report %d", m.Name(c), m.PointName(c, p), last, v.Bits(), seq)
				}
				last = v.Bits()
			}
		}
	}
}

func TestKindsOfControllers(t *testing.T) {
	m := newModel(t, sim.ModelOptions{Controllers: 50, Kind: "pump station"})
	for c := range m.Controllers() {
		if m.Points(c) != 24 {
			t.Errorf("%s has %d points, a pump station has 24", m.Name(c), m.Points(c))
		}
	}
}

func TestModelRefusesWhatCannotBe(t *testing.T) {
	good := sim.ModelOptions{Controllers: 1, Interval: time.Second, Start: time.Now()}
	for name, change := range map[string]func(*sim.ModelOptions){
		"no controllers":       func(o *sim.ModelOptions) { o.Controllers = 0 },
		"too many controllers": func(o *sim.ModelOptions) { o.Controllers = 1_000_001 },
		"no interval":          func(o *sim.ModelOptions) { o.Interval = 0 },
		"too fast":             func(o *sim.ModelOptions) { o.Speed = 3601 },
		"unknown kind":         func(o *sim.ModelOptions) { o.Kind = "windmill" },
	} {
		o := good
		change(&o)
		if _, err := sim.NewModel(o); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestValuesInJSON(t *testing.T) {
	for _, c := range []struct {
		value penstock.Value
		json  string
	}{
		{penstock.FloatValue(12), "12.0"},
		{penstock.FloatValue(math.Copysign(0, -1)), "-0.0"},
		{penstock.FloatValue(0.1), "0.1"},
		{penstock.FloatValue(1e300), "1e+300"},
		{penstock.IntValue(math.MinInt64), "-9223372036854775808"},
		{penstock.UintValue(math.MaxUint64), "18446744073709551615"},
		{penstock.BoolValue(true), "true"},
		{penstock.TextValue("a \"b\" – c"), `"a \"b\" – c"`},
		{penstock.Value{}, "null"},
	} {
		got := sim.AppendValue(nil, c.value)
		if string(got) != c.json {
			t.Errorf("%v in JSON is %s, not %s", c.value, got, c.json)
		}
		if !sim.Holds(got, c.value) {
			t.Errorf("%s does not hold %v", got, c.value)
		}
	}
	for _, c := range []struct {
		value penstock.Value
		json  string
	}{
		{penstock.FloatValue(0), "-0.0"},
		{penstock.FloatValue(0.3), "0.30000000000000004"},
		{penstock.IntValue(12), "12.0"},
		{penstock.IntValue(1<<53 + 1), "9007199254740992"},
		{penstock.BoolValue(false), "0"},
		{penstock.TextValue("auto"), `"Auto"`},
		{penstock.Value{}, "0"},
	} {
		if sim.Holds([]byte(c.json), c.value) {
			t.Errorf("%s is taken for %v", c.json, c.value)
		}
	}
}
