package points_test

import (
	"fmt"
	"math"
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/points"
)

// known is what a set should say of a point.
type known struct {
	name, unit string
	kind       penstock.Kind
	latest     penstock.Sample
	has        bool
}

func drawSample(t *rapid.T) penstock.Sample {
	value := rapid.SampledFrom([]penstock.Value{
		{}, penstock.FloatValue(1.5), penstock.IntValue(-3), penstock.UintValue(math.MaxUint64), penstock.BoolValue(true),
		penstock.TextValue(""), penstock.TextValue("open"),
	}).Draw(t, "value")
	return penstock.Sample{
		SourceTime: rapid.SampledFrom([]int64{math.MinInt64, -1, 0, 1, 2, 3}).Draw(t, "time"), Value: value,
		Status: penstock.Status(rapid.Uint32().Draw(t, "status")), Native: rapid.Uint32().Draw(t, "native"),
		Flags: penstock.SampleFlags(rapid.Uint8().Draw(t, "flags")),
	}
}

// TestSetsAgreeWithAModel: sets that share their names say of their points what a
// list of each controller's own says.
func TestSetsAgreeWithAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shared := points.NewShared()
		sets := make([]points.Set, 4)
		model := make([][]known, len(sets))
		for i := range sets {
			sets[i] = shared.NewSet()
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, len(sets)-1).Draw(t, "controller")
			s, m := &sets[i], model[i]
			name := fmt.Sprint(rapid.IntRange(0, 7).Draw(t, "point"))
			point, found := s.Find(name)
			if !found {
				s.Grow(rapid.IntRange(0, 3).Draw(t, "room"))
				point = s.Add(name)
				m = append(m, known{name: name})
				model[i] = m
			}
			p := &m[point]
			p.unit = rapid.SampledFrom([]string{"", "m3/h", "bar"}).Draw(t, "unit")
			p.kind = penstock.Kind(rapid.IntRange(0, 5).Draw(t, "kind"))
			s.SetUnit(point, p.unit)
			s.SetKind(point, p.kind)
			n := drawSample(t)
			s.Observe(point, &n)
			if !p.has || n.SourceTime >= p.latest.SourceTime {
				p.latest, p.has = n, true
			}
		}
		for i := range sets {
			agree(t, &sets[i], model[i])
		}
	})
}

func agree(t *rapid.T, s *points.Set, model []known) {
	if s.Len() != len(model) {
		t.Fatalf("%d points, want %d", s.Len(), len(model))
	}
	for i, want := range model {
		point := uint32(i)
		if found, ok := s.Find(want.name); !ok || found != point || s.Name(point) != want.name {
			t.Fatalf("point %q is %d (%v), and %d is %q", want.name, found, ok, point, s.Name(point))
		}
		want.latest.Point, want.latest.Unit = want.name, want.unit
		latest, has := s.Latest(point)
		at, timed := s.LatestTime(point)
		if s.Unit(point) != want.unit || s.Kind(point) != want.kind || has != want.has || timed != has {
			t.Fatalf("point %q has unit %q, kind %d, a latest %v; want %+v", want.name, s.Unit(point), s.Kind(point), has, want)
		}
		if has && (latest != want.latest || at != latest.SourceTime) {
			t.Fatalf("the latest of %q is %+v, want %+v", want.name, latest, want.latest)
		}
	}
	if _, ok := s.Find("no such point"); ok {
		t.Fatal("a point that was never added is found")
	}
}

// TestManyPoints: a controller may have more points than a list that is shared.
func TestManyPoints(t *testing.T) {
	shared := points.NewShared()
	a, b := shared.NewSet(), shared.NewSet()
	for i := range 2000 {
		for _, s := range []*points.Set{&a, &b} {
			if n := s.Add(fmt.Sprint("point ", i)); int(n) != i {
				t.Fatalf("point %d got number %d", i, n)
			}
		}
	}
	for i := range 2000 {
		for _, s := range []*points.Set{&a, &b} {
			if n, ok := s.Find(fmt.Sprint("point ", i)); !ok || int(n) != i {
				t.Fatalf("point %d is found at %d (%v)", i, n, ok)
			}
		}
	}
}

// TestAlikeControllersShareNames: what a fleet of controllers with the same points
// costs is little more than the 32 bytes of each point.
func TestAlikeControllersShareNames(t *testing.T) {
	const controllers, each = 5000, 24
	sets := make([]points.Set, controllers)
	before := heap()
	shared := points.NewShared()
	for i := range sets {
		sets[i] = shared.NewSet()
		sets[i].Grow(each)
		for p := range each {
			sets[i].Add(fmt.Sprintf("station/point-%d", p))
		}
	}
	if got := float64(heap()-before) / (controllers * each); got > 40 {
		t.Errorf("%.0f bytes a point, want at most 40", got)
	}
	runtime.KeepAlive(sets)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
