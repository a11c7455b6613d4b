package chunk_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/chunk"
)

func codec(t testing.TB) (*chunk.Encoder, *chunk.Decoder) {
	t.Helper()
	e, err := chunk.NewEncoder()
	if err != nil {
		t.Fatal(err)
	}
	d, err := chunk.NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return e, d
}

// values draws the values that codecs get wrong: NaN payloads, −0.0, full
// integers, and decimals with few places.
func values(kind penstock.Kind) *rapid.Generator[penstock.Value] {
	switch kind {
	case penstock.Float64:
		return rapid.OneOf(
			rapid.Map(rapid.IntRange(-100000, 100000), func(n int) penstock.Value { return penstock.FloatValue(float64(n) / 1000) }),
			rapid.Map(rapid.Uint64(), func(b uint64) penstock.Value { return penstock.BitsValue(penstock.Float64, b) }),
			rapid.SampledFrom([]penstock.Value{
				penstock.FloatValue(math.Copysign(0, -1)), penstock.FloatValue(math.Inf(1)),
				penstock.BitsValue(penstock.Float64, 0x7ff8000000001234), penstock.FloatValue(5e-324),
			}))
	case penstock.Bool:
		return rapid.Map(rapid.Bool(), penstock.BoolValue)
	case penstock.Text:
		return rapid.Map(rapid.SampledFrom([]string{"", "open", "closed", "läuft"}), penstock.TextValue)
	case penstock.None:
		return rapid.Just(penstock.Value{})
	}
	return rapid.OneOf(
		rapid.Map(rapid.Uint64(), func(b uint64) penstock.Value { return penstock.BitsValue(kind, b) }),
		rapid.Map(rapid.Uint64Range(0, 300), func(b uint64) penstock.Value { return penstock.BitsValue(kind, b) }))
}

func samples(kind penstock.Kind) *rapid.Generator[[]penstock.Sample] {
	return rapid.Custom(func(t *rapid.T) []penstock.Sample {
		n := rapid.IntRange(1, 200).Draw(t, "n")
		steps := rapid.SampledFrom([]int64{0, 1, 1000, 1e9, 10e9, math.MaxInt64 / 200}).Draw(t, "step")
		jitter := rapid.SampledFrom([]int64{1, 2, 1e6}).Draw(t, "jitter")
		quality := rapid.Bool().Draw(t, "quality")
		at := rapid.Int64().Draw(t, "start")
		var out []penstock.Sample
		for range n {
			s := penstock.Sample{SourceTime: at, Value: values(kind).Draw(t, "value")}
			if quality && rapid.IntRange(0, 3).Draw(t, "odd") == 0 {
				s.Status = penstock.Status(rapid.Uint32().Draw(t, "status"))
				s.Native = rapid.Uint32().Draw(t, "native")
				s.Flags = penstock.SampleFlags(rapid.Byte().Draw(t, "flags"))
				if s.Status.IsBad() && rapid.Bool().Draw(t, "none") {
					s.Value = penstock.Value{}
				}
			}
			out = append(out, s)
			next := at + steps + rapid.Int64Range(0, jitter).Draw(t, "late")
			if next < at {
				break
			}
			at = next
		}
		return out
	})
}

func TestRoundTripKeepsEveryBit(t *testing.T) {
	e, d := codec(t)
	rapid.Check(t, func(t *rapid.T) {
		want := samples(penstock.Kind(rapid.IntRange(0, 5).Draw(t, "kind"))).Draw(t, "samples")
		var in, out chunk.Columns
		for i := range want {
			if !in.Append(&want[i]) {
				t.Fatalf("sample %d does not fit", i)
			}
		}
		b := e.Append(nil, &in)
		if err := d.Decode(b, &out); err != nil {
			t.Fatal(err)
		}
		if out.Len() != len(want) {
			t.Fatalf("%d samples became %d", len(want), out.Len())
		}
		for i, s := range want {
			q := out.QualityAt(i)
			got := penstock.Sample{SourceTime: out.Times[i], Value: out.Value(i), Status: q.Status, Native: q.Native, Flags: q.Flags}
			if got != s {
				t.Fatalf("sample %d: %+v became %+v", i, s, got)
			}
		}
	})
}

func TestAppendRefusesWhatDoesNotFit(t *testing.T) {
	var c chunk.Columns
	if !c.Append(&penstock.Sample{Value: penstock.IntValue(1)}) || !c.Append(&penstock.Sample{Status: penstock.Bad}) {
		t.Fatal("an integer and a missing value fit together")
	}
	if c.Append(&penstock.Sample{Value: penstock.FloatValue(1)}) {
		t.Error("a float must start another chunk")
	}
	for c.Len() < chunk.MaxSamples {
		if !c.Append(&penstock.Sample{Value: penstock.IntValue(1)}) {
			t.Fatalf("full at %d", c.Len())
		}
	}
	if c.Append(&penstock.Sample{Value: penstock.IntValue(1)}) {
		t.Error("a full chunk took another sample")
	}
	var texts chunk.Columns
	for i := 0; ; i++ {
		s := penstock.Sample{Value: penstock.TextValue(strings.Repeat("x", penstock.MaxText-i))}
		if !texts.Append(&s) {
			break
		}
		if i > chunk.MaxText/penstock.MaxText+1 {
			t.Fatal("texts are not bounded")
		}
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	e, d := codec(t)
	var c chunk.Columns
	c.Append(&penstock.Sample{Value: penstock.IntValue(1)})
	good := e.Append(nil, &c)
	for at, v := range map[int]byte{0: 2, 2: 1 << 7} {
		b := slices.Clone(good)
		b[at] = v
		if err := d.Decode(b, &c); penstock.CodeOf(err) != penstock.Unsupported {
			t.Errorf("byte %d = %d: %v", at, v, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	e, d := codec(f)
	for kind := penstock.None; kind <= penstock.Text; kind++ {
		for seed := range 3 {
			var c chunk.Columns
			for _, s := range samples(kind).Example(seed) {
				c.Append(&s)
			}
			f.Add(e.Append(nil, &c))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var c, again chunk.Columns
		if d.Decode(b, &c) != nil {
			return
		}
		if err := d.Decode(e.Append(nil, &c), &again); err != nil {
			t.Fatal(err)
		}
		for i := range c.Times {
			if c.Times[i] != again.Times[i] || c.Value(i) != again.Value(i) || c.QualityAt(i) != again.QualityAt(i) {
				t.Fatalf("sample %d changed", i)
			}
		}
	})
}

// sensors returns series as plants have them: a day's sine with a faster one and
// some noise, rounded to a number of decimals; a counter; a constant.
func sensors(n int) map[string]chunk.Columns {
	r := rand.New(rand.NewPCG(1, 2))
	sine := func(noise, places float64) func(i int) penstock.Value {
		return func(i int) penstock.Value {
			x := 2 * math.Pi * float64(i) / 8640
			v := 50 + 10*math.Sin(x) + 3*math.Sin(17*x) + noise*r.NormFloat64()
			return penstock.FloatValue(math.Round(v*places) / places)
		}
	}
	counter := int64(1e6)
	makers := map[string]func(i int) penstock.Value{
		"sine2":      sine(0, 100),
		"sine3":      sine(0, 1000),
		"sine2noisy": sine(0.05, 100),
		"sine3noisy": sine(0.05, 1000),
		"fullfloat": func(i int) penstock.Value {
			return penstock.FloatValue(50 + 10*math.Sin(2*math.Pi*float64(i)/8640))
		},
		"counter":  func(int) penstock.Value { counter += r.Int64N(20); return penstock.IntValue(counter) },
		"constant": func(int) penstock.Value { return penstock.FloatValue(4.2) },
		"bool":     func(i int) penstock.Value { return penstock.BoolValue(i/300%2 == 0) },
		"state":    func(i int) penstock.Value { return penstock.TextValue([]string{"run", "stop"}[i/500%2]) },
	}
	out := map[string]chunk.Columns{}
	for name, next := range makers {
		var c chunk.Columns
		for i := range n {
			c.Append(&penstock.Sample{SourceTime: 1763712000e9 + int64(i)*10e9, Value: next(i)})
		}
		out[name] = c
	}
	return out
}

func BenchmarkEncode(b *testing.B) {
	for name, c := range sensors(chunk.MaxSamples) {
		b.Run(name, func(b *testing.B) {
			e, _ := codec(b)
			var buf []byte
			for b.Loop() {
				buf = e.Append(buf[:0], &c)
			}
			b.ReportMetric(float64(len(buf))/float64(c.Len()), "B/sample")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.Len()), "ns/sample")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, c := range sensors(chunk.MaxSamples) {
		b.Run(name, func(b *testing.B) {
			e, d := codec(b)
			buf := e.Append(nil, &c)
			var out chunk.Columns
			for b.Loop() {
				if err := d.Decode(buf, &out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*c.Len())/b.Elapsed().Seconds()/1e6, "Msamples/s")
		})
	}
}
