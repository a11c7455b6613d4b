package fleet_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/fleet/fleettest"
)

// pass does what the pipeline does with a report: check it, and learn from it
// when something in it is new.
func pass(f *fleet.Fleet, r *penstock.Report, literal bool) *fleet.Refusal {
	found, refusal := f.Check(r)
	if refusal == nil && found.Fresh {
		refusal = f.Learn(r, literal)
	}
	return refusal
}

func registered(t testing.TB, o fleet.Options, controllers ...string) *fleet.Fleet {
	t.Helper()
	f := open(t, fleettest.New(), o)
	for _, name := range controllers {
		if refusal := f.Register(reportOf(name)); refusal != nil {
			t.Fatalf("%+v", refusal)
		}
	}
	return f
}

var (
	number = penstock.FloatValue
	whole  = penstock.IntValue
	count  = penstock.UintValue
	truth  = penstock.BoolValue
	text   = penstock.TextValue
	none   = penstock.Value{}
)

func TestPointKeepsItsType(t *testing.T) {
	const beyond = 1<<53 + 1 // no float64 holds it
	for name, c := range map[string]struct {
		literal bool
		values  []penstock.Value
		want    []penstock.Value // none: refused by its type
	}{
		"12 fits a float point":              {true, []penstock.Value{number(1.5), whole(12), count(3)}, []penstock.Value{number(1.5), number(12), number(3)}},
		"what a float cannot hold does not":  {true, []penstock.Value{number(1.5), whole(beyond), whole(-beyond), count(beyond)}, []penstock.Value{number(1.5), none, none, none}},
		"the ends of 64 bits":                {true, []penstock.Value{number(1.5), whole(math.MaxInt64), whole(math.MinInt64), count(math.MaxUint64), count(1 << 63)}, []penstock.Value{number(1.5), none, number(-1 << 63), none, number(1 << 63)}},
		"an integer with a type stays":       {false, []penstock.Value{whole(12), number(12.5), number(12), whole(13)}, []penstock.Value{whole(12), none, none, whole(13)}},
		"a literal becomes a float":          {true, []penstock.Value{whole(12), whole(13), number(12.5), whole(14), number(15)}, []penstock.Value{whole(12), whole(13), number(12.5), number(14), number(15)}},
		"a large literal too":                {true, []penstock.Value{count(math.MaxUint64), whole(5), whole(-1), number(0.5), whole(-1)}, []penstock.Value{count(math.MaxUint64), count(5), none, number(0.5), number(-1)}},
		"whole numbers fit where they can":   {true, []penstock.Value{whole(-1), count(7), count(1 << 63)}, []penstock.Value{whole(-1), whole(7), none}},
		"a float never becomes an integer":   {true, []penstock.Value{number(12), whole(1), number(2.5)}, []penstock.Value{number(12), number(1), number(2.5)}},
		"bool and text":                      {true, []penstock.Value{truth(true), whole(1), text("on"), truth(false)}, []penstock.Value{truth(true), none, none, truth(false)}},
		"text is not read":                   {true, []penstock.Value{text("12"), number(12), text("13")}, []penstock.Value{text("12"), none, text("13")}},
		"bits of floats survive":             {true, []penstock.Value{number(math.Copysign(0, -1)), number(math.NaN())}, []penstock.Value{number(math.Copysign(0, -1)), number(math.NaN())}},
		"widening is for literals, not text": {true, []penstock.Value{whole(12), text("x"), truth(true), number(1.5)}, []penstock.Value{whole(12), none, none, number(1.5)}},
	} {
		t.Run(name, func(t *testing.T) {
			f := registered(t, options(), "c")
			for i, v := range c.values {
				r := reportOf("c", v)
				refusal := pass(f, r, c.literal)
				if c.want[i] == none {
					wantReason(t, refusal, penstock.ReasonType)
					continue
				}
				wantReason(t, refusal, "")
				if got := r.Samples[0].Value; got != c.want[i] {
					t.Errorf("value %d: %v %v, want %v %v", i, got.Kind(), got, c.want[i].Kind(), c.want[i])
				}
			}
		})
	}
}

func TestNoneTeachesNoType(t *testing.T) {
	f := registered(t, options(), "c")
	bad := reportOf("c", none)
	bad.Samples[0].Status = penstock.BadNoCommunication
	wantReason(t, pass(f, bad, false), "")
	if p := f.Points("c"); len(p) != 1 || p[0].Kind != penstock.None {
		t.Fatalf("%+v", p)
	}
	wantReason(t, pass(f, reportOf("c", truth(true)), false), "")
	wantReason(t, pass(f, bad, false), "")
	wantReason(t, pass(f, reportOf("c", number(1)), false), penstock.ReasonType)
}

func TestOneReportIsJudgedAsAWhole(t *testing.T) {
	f := registered(t, options(), "c")
	twice := reportOf("c", whole(12), number(0.5))
	twice.Samples[1].Point = "a"
	wantReason(t, pass(f, twice, true), "")
	if got := twice.Samples[0].Value; got != number(12) {
		t.Errorf("the first sample is %v %v: the second made its point a float", got.Kind(), got)
	}
	large := reportOf("c", count(1<<63))
	large.Samples[0].Point = "d"
	wantReason(t, pass(f, large, true), "")
	later := reportOf("c", whole(-1), number(0.5))
	later.Samples[0].Point, later.Samples[1].Point = "d", "d"
	wantReason(t, pass(f, later, true), "")
	torn := reportOf("c", text("x"), text("y"), text("z"))
	torn.Samples[0].Point, torn.Samples[2].Point = "new", "a"
	wantReason(t, pass(f, torn, true), penstock.ReasonType)
	if p := f.Points("c"); len(p) != 2 {
		t.Errorf("a refused report taught %+v", p)
	}
}

func TestUnits(t *testing.T) {
	f := registered(t, options(), "c")
	send := func(unit string) *fleet.Refusal {
		r := reportOf("c", number(1))
		r.Samples[0].Unit = unit
		return pass(f, r, false)
	}
	wantReason(t, send(""), "")
	wantReason(t, send(strings.Repeat("m", 33)), penstock.ReasonUnit)
	wantReason(t, send("m\x1b[0m"), penstock.ReasonUnit)
	wantReason(t, send("m3/h"), "") // the first that is stated
	wantReason(t, send(""), "")
	wantReason(t, send("m3/h"), "")
	wantReason(t, send("l/s"), penstock.ReasonUnit)
	if p := f.Points("c"); p[0].Unit != "m3/h" {
		t.Errorf("%+v", p)
	}
}

func TestDeclaredPoints(t *testing.T) {
	low, high := 0.0, 100.0
	o := options()
	o.Declared = []fleet.Declaration{
		{Controller: "pump-*", Point: "a", Type: "int64", Unit: "%", Min: &low, Max: &high},
		{Controller: "*", Point: "a", Type: "text"},
		{Controller: "*", Point: "b*", Min: &low},
	}
	f := registered(t, o, "pump-1", "tank-1")
	for i, c := range []struct {
		controller string
		value      penstock.Value
		status     penstock.Status
		want       penstock.Reason
	}{
		{"pump-1", whole(0), penstock.Good, ""},
		{"pump-1", whole(100), penstock.Good, ""},
		{"pump-1", whole(101), penstock.Good, penstock.ReasonRange},
		{"pump-1", whole(-1), penstock.Uncertain, penstock.ReasonRange},
		{"pump-1", whole(101), penstock.Bad, ""}, // not to be used
		{"pump-1", none, penstock.Bad, ""},
		{"pump-1", number(50), penstock.Good, penstock.ReasonType},
		{"tank-1", number(50), penstock.Good, penstock.ReasonType},
		{"tank-1", text("open"), penstock.Good, ""},
	} {
		for _, literal := range []bool{true, false} {
			r := reportOf(c.controller, c.value)
			r.Samples[0].Status = c.status
			if got := pass(f, r, literal); (got == nil) != (c.want == "") || got != nil && got.Reason != c.want {
				t.Errorf("case %d: %+v, want %q", i, got, c.want)
			}
		}
	}
	r := reportOf("tank-1", number(math.NaN()))
	r.Samples[0].Point = "b"
	wantReason(t, pass(f, r, false), penstock.ReasonRange)
	r.Samples[0].Value = number(1e300)
	wantReason(t, pass(f, r, false), "")
	if p := f.Points("pump-1"); len(p) != 1 || p[0].Unit != "%" || p[0].Max == nil || *p[0].Max != 100 || p[0].Provisional {
		t.Errorf("%+v", p)
	}
}

func TestFirstDeclarationHolds(t *testing.T) {
	o := options()
	for _, d := range []struct{ controller, point, kind string }{
		{"a", "x", "bool"}, {"*", "x", "text"}, {"b", "x", "bool"}, {"a", "x", "int64"}, {"c", "*", "uint64"}, {"c", "y", "bool"},
	} {
		o.Declared = append(o.Declared, fleet.Declaration{Controller: d.controller, Point: d.point, Type: d.kind})
	}
	f := registered(t, o, "a", "b", "c")
	for _, c := range []struct {
		controller, point string
		value             penstock.Value
	}{
		{"a", "x", truth(true)}, {"b", "x", text("on")}, {"c", "x", text("on")}, {"c", "y", count(1)}, {"c", "z", count(1)}, {"b", "y", number(1)},
	} {
		r := reportOf(c.controller, c.value)
		r.Samples[0].Point = c.point
		wantReason(t, pass(f, r, false), "")
		if c.controller != "b" || c.point != "y" { // the only one that is not declared
			r = reportOf(c.controller, number(0.5))
			r.Samples[0].Point = c.point
			wantReason(t, pass(f, r, true), penstock.ReasonType)
		}
	}
}

func TestPointLimits(t *testing.T) {
	o := options()
	o.Limits.PointsPerController, o.Limits.Points = 2, 3
	f := registered(t, o, "c", "d")
	wantReason(t, pass(f, reportOf("c", number(1), number(1)), false), "")
	wantReason(t, pass(f, reportOf("c", number(1), number(1), number(1)), false), penstock.ReasonUnknown)
	wantReason(t, pass(f, reportOf("d", number(1), number(1)), false), penstock.ReasonUnknown) // 4 in all
	wantReason(t, pass(f, reportOf("d", number(1)), false), "")
	wantReason(t, pass(f, reportOf("c", number(1), number(1)), false), "")
}

func TestPointNames(t *testing.T) {
	f := registered(t, options(), "c")
	for name, want := range map[string]penstock.Reason{
		"pump-17/flow": "", "Größe": "", "a+b #3": "",
		"": penstock.ReasonName, "nul\x00": penstock.ReasonName, "cafe\u0301": penstock.ReasonName, strings.Repeat("x", 129): penstock.ReasonName,
	} {
		r := reportOf("c", number(1))
		r.Samples[0].Point = name
		wantReason(t, pass(f, r, false), want)
	}
}

func TestLearnPointFromTheHistorian(t *testing.T) {
	o := options()
	o.Limits.Points = 1 // what is stored is known whatever the limit is
	o.Declared = []fleet.Declaration{{Controller: "*", Point: "c", Type: "float64"}, {Controller: "*", Point: "d", Type: "text"}}
	f := open(t, fleettest.New(), o)
	for _, p := range []struct {
		name        string
		kind        penstock.Kind
		provisional bool
	}{{"a", penstock.Int64, true}, {"b", penstock.Int64, false}, {"c", penstock.Int64, true}} {
		if err := f.LearnPoint("pump-1", p.name, p.kind, "m", p.provisional); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, f.LearnPoint("pump-1", "d", penstock.Float64, "", false), penstock.Conflict)
	wantReason(t, pass(f, reportOf("pump-1", number(0.5)), true), "")
	wantReason(t, pass(f, reportOf("pump-1", number(0.5), number(0.5)), true), penstock.ReasonType)
	wantReason(t, pass(f, reportOf("pump-1", whole(1), whole(1), whole(1)), true), "")
	for _, p := range f.Points("pump-1") {
		if p.Unit != "m" {
			t.Errorf("%+v", p)
		}
	}
}

func TestReportsOfNobody(t *testing.T) {
	f := open(t, fleettest.New(), options())
	wantReason(t, f.Learn(reportOf("c", number(1)), false), penstock.ReasonUnknown)
	_, refusal := f.Check(reportOf("c", number(1)))
	wantReason(t, refusal, penstock.ReasonUnknown)
	if f.Points("c") != nil {
		t.Error("points of nobody")
	}
}

// Of many first sights that contradict each other one type wins, and the reports
// of the other types are refused.
func TestFirstSightsAtTheSameMoment(t *testing.T) {
	for range 200 {
		f := registered(t, options(), "c")
		values := []penstock.Value{number(1.5), text("x"), truth(true), whole(3)}
		won := make([]bool, len(values))
		var senders sync.WaitGroup
		for i, v := range values {
			senders.Go(func() { won[i] = pass(f, reportOf("c", v), false) == nil })
		}
		senders.Wait()
		p := f.Points("c")
		for i, v := range values {
			fits := v.Kind() == p[0].Kind || p[0].Kind == penstock.Float64 && v.Kind() == penstock.Int64
			if won[i] != fits {
				t.Fatalf("point is %v, a report of %v passed: %v", p[0].Kind, v.Kind(), won[i])
			}
		}
	}
}

func TestWideningAtTheSameMoment(t *testing.T) {
	f := registered(t, options(), "c")
	var senders sync.WaitGroup
	for i := range 4 {
		senders.Go(func() {
			for n := range 500 {
				v := whole(int64(n))
				if n == 250 && i == 0 {
					v = number(0.5)
				}
				if refusal := pass(f, reportOf("c", v), true); refusal != nil {
					t.Errorf("%+v", refusal)
				}
			}
		})
	}
	senders.Wait()
	if p := f.Points("c"); p[0].Kind != penstock.Float64 || p[0].Provisional {
		t.Errorf("%+v", p)
	}
}

// modelPoint is the rule of types, said as plainly as possible.
type modelPoint struct {
	kind        penstock.Kind
	provisional bool
	unit        string
}

// accepts tells whether the values, in a report of their own, fit the point, and
// what the point is afterwards.
func (m modelPoint) accepts(samples []penstock.Sample, literal bool) (modelPoint, bool) {
	for _, s := range samples {
		k := s.Value.Kind()
		isWhole := k == penstock.Int64 || k == penstock.Uint64
		if k != penstock.None && m.kind == penstock.None {
			m.kind, m.provisional = k, literal && isWhole
		}
		if k == penstock.Float64 && m.provisional {
			m.kind, m.provisional = penstock.Float64, false
		}
		if m.unit == "" {
			m.unit = s.Unit
		}
	}
	for _, s := range samples {
		if s.Unit != "" && s.Unit != m.unit || !fitsExactly(s.Value, m.kind) {
			return m, false
		}
	}
	return m, true
}

// fitsExactly compares the decimal texts of whole numbers.
func fitsExactly(v penstock.Value, kind penstock.Kind) bool {
	switch v.Kind() {
	case penstock.None, kind:
		return true
	case penstock.Int64, penstock.Uint64:
		switch kind {
		case penstock.Float64:
			n, _ := v.Number()
			return fmt.Sprintf("%.0f", n) == v.String()
		case penstock.Int64:
			return v.Uint() <= math.MaxInt64
		case penstock.Uint64:
			return v.Int() >= 0
		}
	}
	return false
}

func TestTypesAgainstModel(t *testing.T) {
	values := rapid.OneOf(
		rapid.Map(rapid.Int64(), whole), rapid.Map(rapid.Int64Range(-3, 3), whole), rapid.Map(rapid.Uint64(), count),
		rapid.Map(rapid.Float64(), number), rapid.Map(rapid.Bool(), truth), rapid.Just(text("x")), rapid.Just(none),
	)
	rapid.Check(t, func(t *rapid.T) {
		f, err := fleet.Open(fleettest.New(), options())
		if err != nil {
			t.Fatal(err)
		}
		f.Register(reportOf("c"))
		model := map[string]modelPoint{}
		for range rapid.IntRange(1, 30).Draw(t, "reports") {
			r := reportOf("c")
			literal := rapid.Bool().Draw(t, "literal")
			byPoint := map[string][]penstock.Sample{}
			for range rapid.IntRange(0, 4).Draw(t, "samples") {
				s := penstock.Sample{
					Point: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "point"),
					Unit:  rapid.SampledFrom([]string{"", "", "", "m", "s"}).Draw(t, "unit"),
					Value: values.Draw(t, "value"), Status: penstock.Bad,
				}
				r.Samples = append(r.Samples, s)
				byPoint[s.Point] = append(byPoint[s.Point], s)
			}
			want, after := true, map[string]modelPoint{}
			for name, samples := range byPoint {
				m, ok := model[name].accepts(samples, literal)
				after[name] = m
				want = want && ok
			}
			sent := slices.Clone(r.Samples)
			refusal := pass(f, r, literal)
			if (refusal == nil) != want {
				t.Fatalf("%v: refusal %+v, the model takes it: %v", sent, refusal, want)
			}
			if want {
				for name, m := range after {
					model[name] = m
				}
				for i, s := range r.Samples {
					if k := s.Value.Kind(); k != penstock.None && k != model[s.Point].kind || !sameNumber(s.Value, sent[i].Value) {
						t.Fatalf("sample %v became %v at a point of %v", sent[i], s, model[s.Point].kind)
					}
				}
			}
			for _, p := range f.Points("c") {
				if m := model[p.Name]; p.Kind != m.kind || p.Provisional != m.provisional || p.Unit != m.unit {
					t.Fatalf("point %+v, model %+v", p, m)
				}
			}
			if got := len(f.Points("c")); got != len(model) {
				t.Fatalf("%d points, the model has %d", got, len(model))
			}
		}
	})
}

// sameNumber tells whether a whole number that was fitted is still the same.
func sameNumber(fitted, sent penstock.Value) bool {
	if fitted.Kind() == sent.Kind() {
		return fitted == sent
	}
	if fitted.Kind() == penstock.Float64 {
		return fmt.Sprintf("%.0f", fitted.Float()) == sent.String()
	}
	return fitted.String() == sent.String()
}

func BenchmarkCheck(b *testing.B) {
	f := registered(b, options(), "c")
	r := reportOf("c")
	for i := range 100 {
		r.Samples = append(r.Samples, penstock.Sample{Point: fmt.Sprintf("station/pump-%d/flow", i%24), Value: number(1.5)})
	}
	if refusal := f.Learn(r, false); refusal != nil {
		b.Fatal(refusal)
	}
	b.ReportAllocs()
	for b.Loop() {
		if found, refusal := f.Check(r); found.Fresh || refusal != nil {
			b.Fatal(refusal)
		}
	}
}
