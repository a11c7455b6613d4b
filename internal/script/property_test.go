package script_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
)

// Every sample survives the way into the language and back to the bit, untouched or
// copied, in any order.
func TestEverySampleSurvives(t *testing.T) {
	s := open(t, `export function onReport(report) {
  if (report.seq === 2) return { samples: report.samples.map((s) => ({ ...s })) }
  if (report.seq === 3) report.samples.reverse()
}`, nil)
	value := rapid.OneOf(
		rapid.Map(rapid.Uint64(), func(bits uint64) penstock.Value { return penstock.FloatValue(math.Float64frombits(bits)) }),
		rapid.Map(rapid.Int64(), penstock.IntValue), rapid.Map(rapid.Uint64(), penstock.UintValue),
		rapid.Map(rapid.Int64Range(-9, 9), penstock.IntValue), rapid.Map(rapid.Uint64Range(1<<53-2, 1<<53+2), penstock.UintValue),
		rapid.Map(rapid.Bool(), penstock.BoolValue), rapid.Map(rapid.String(), penstock.TextValue),
	)
	statuses := []penstock.Status{penstock.Good, penstock.Uncertain, penstock.BadTimeout, 0x80FF0000}
	one := rapid.Custom(func(t *rapid.T) penstock.Sample {
		s := penstock.Sample{
			Point: rapid.StringMatching(`[a-zä"/]{1,20}`).Draw(t, "point"), SourceTime: rapid.Int64().Draw(t, "time"), Value: value.Draw(t, "value"),
			Status: rapid.SampledFrom(statuses).Draw(t, "status"), Native: rapid.Uint32Range(0, 3).Draw(t, "native"),
			Unit: rapid.SampledFrom([]string{"", "m3/h", "%"}).Draw(t, "unit"), Flags: penstock.SampleFlags(rapid.SampledFrom([]int{0, 1, 4, 5}).Draw(t, "flags")),
		}
		if s.Value.Kind() == penstock.Float64 && s.Value.Float() != s.Value.Float() {
			s.Value = penstock.FloatValue(math.NaN()) // the language has one NaN
		}
		if s.Status.IsBad() && rapid.Bool().Draw(t, "none") {
			s.Value = penstock.Value{}
		}
		return s
	})
	rapid.Check(t, func(rt *rapid.T) {
		r := pump(rapid.SliceOfN(one, 1, 6).Draw(rt, "samples")...)
		r.Identity.Seq = uint64(rapid.IntRange(1, 3).Draw(rt, "what"))
		given := slices.Clone(r.Samples)
		out, err := s.engine.Run(t.Context(), r)
		if err != nil || out.Fault != nil {
			rt.Fatal(err, out.Fault)
		}
		got := out.Samples
		if !out.Changed {
			got = r.Samples
		}
		if r.Identity.Seq == 3 {
			slices.Reverse(got)
		}
		if !slices.Equal(got, given) || !slices.Equal(r.Samples, given) && r.Identity.Seq != 3 {
			rt.Fatalf("%+v\nbecame\n%+v", given, got)
		}
	})
}
