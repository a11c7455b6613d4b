package link_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
	"pgregory.net/rapid"
)

// anyValue draws values of every kind, with a taste for the extremes.
func anyValue() *rapid.Generator[penstock.Value] {
	return rapid.OneOf(
		rapid.Map(rapid.Uint64(), func(bits uint64) penstock.Value { return penstock.BitsValue(penstock.Float64, bits) }),
		rapid.Map(rapid.Float64(), penstock.FloatValue),
		rapid.Map(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(-1), math.SmallestNonzeroFloat64}), penstock.FloatValue),
		rapid.Map(rapid.Int64(), penstock.IntValue),
		rapid.Map(rapid.Uint64(), penstock.UintValue),
		rapid.Map(rapid.Bool(), penstock.BoolValue),
		rapid.Map(rapid.String(), penstock.TextValue),
		rapid.Just(penstock.Value{}),
	)
}

// anySample draws valid samples of few points and few statuses, so that all
// ways to leave something out are met.
func anySample() *rapid.Generator[penstock.Sample] {
	points := rapid.OneOf(rapid.SampledFrom([]string{"flow", "pressure", "tank/level", "Füllstand"}), rapid.StringMatching(`[a-z/]{1,128}`))
	times := rapid.OneOf(rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, math.MinInt64}), rapid.Int64())
	return rapid.Custom(func(t *rapid.T) penstock.Sample {
		s := penstock.Sample{
			Point:      points.Draw(t, "point"),
			Unit:       rapid.SampledFrom([]string{"", "m3/h", "kPa", strings.Repeat("u", penstock.MaxUnit)}).Draw(t, "unit"),
			SourceTime: times.Draw(t, "time"),
			Value:      anyValue().Draw(t, "value"),
			Status:     rapid.SampledFrom([]penstock.Status{penstock.Good, penstock.Bad, penstock.Uncertain, 0xFFFFFFFF}).Draw(t, "status"),
			Native:     rapid.SampledFrom([]uint32{0, 1, math.MaxUint32}).Draw(t, "native"),
			Flags:      penstock.SampleFlags(rapid.IntRange(0, 7).Draw(t, "flags")),
		}
		if s.Value.Kind() == penstock.None {
			s.Status |= penstock.Bad
		}
		return s
	})
}

func anyIdentity() *rapid.Generator[penstock.Identity] {
	number := rapid.Uint64Range(1, penstock.MaxSequence)
	return rapid.OneOf(
		rapid.Just(penstock.Identity{}),
		rapid.Custom(func(t *rapid.T) penstock.Identity {
			return penstock.SequenceIdentity(number.Draw(t, "epoch"), number.Draw(t, "seq"))
		}),
		rapid.Map(rapid.StringN(1, -1, penstock.MaxKey), penstock.KeyIdentity),
	)
}

func anyReport() *rapid.Generator[penstock.Report] {
	return rapid.Custom(func(t *rapid.T) penstock.Report {
		return penstock.Report{
			Controller: rapid.StringMatching(`[a-z-]{1,128}|Pumpe №[0-9]`).Draw(t, "controller"),
			Identity:   anyIdentity().Draw(t, "identity"),
			Samples:    rapid.SliceOfN(anySample(), 1, 200).Draw(t, "samples"),
		}
	})
}

// sameReport tells whether two reports are equal in all that is encoded.
func sameReport(t interface{ Fatalf(string, ...any) }, got, want *penstock.Report) {
	if got.Controller != want.Controller || got.Identity != want.Identity || len(got.Samples) != len(want.Samples) {
		t.Fatalf("got %q %v with %d samples, want %q %v with %d", got.Controller, got.Identity, len(got.Samples), want.Controller, want.Identity, len(want.Samples))
	}
	for i := range want.Samples {
		if got.Samples[i] != want.Samples[i] {
			t.Fatalf("sample %d: got %+v, want %+v", i, got.Samples[i], want.Samples[i])
		}
	}
}

func TestReportsSurviveBitForBit(t *testing.T) {
	var d link.Decoder // one for all: what it remembers must not leak between reports
	var got penstock.Report
	rapid.Check(t, func(t *rapid.T) {
		reports := rapid.SliceOfN(anyReport(), 1, 4).Draw(t, "reports")
		var body []byte
		for i := range reports {
			if err := link.Check(&reports[i]); err != nil {
				t.Fatal(err)
			}
			body = link.AppendReport(body, &reports[i])
		}
		for i := range reports {
			rest, err := d.Decode(body, &got)
			if err != nil {
				t.Fatal(err)
			}
			sameReport(t, &got, &reports[i])
			encoded := body[:len(body)-len(rest)]
			if again := link.AppendReport(nil, &got); !bytes.Equal(again, encoded) {
				t.Fatalf("encoded again it is\n%x, was\n%x", again, encoded)
			}
			body = rest
		}
		if len(body) != 0 {
			t.Fatalf("%d bytes are left over", len(body))
		}
	})
}

func TestDecodeLeavesNothingOfTheReportBefore(t *testing.T) {
	r := penstock.Report{Controller: "old", Fingerprint: 7, Source: "mqtt", ReceivedTime: 1, AcceptedTime: 2}
	r.Samples = []penstock.Sample{{Point: "old", Unit: "old", Native: 3, Flags: 1, Value: penstock.TextValue("old")}}
	want := penstock.Report{Controller: "new", Identity: penstock.KeyIdentity("k"), Samples: []penstock.Sample{{Point: "new", Value: penstock.IntValue(1)}}}
	var d link.Decoder
	if _, err := d.Decode(link.AppendReport(nil, &want), &r); err != nil {
		t.Fatal(err)
	}
	sameReport(t, &r, &want)
	if r.Fingerprint != 0 || r.Source != "" || r.ReceivedTime != 0 || r.AcceptedTime != 0 {
		t.Errorf("what is not encoded stayed: %+v", r)
	}
}

func TestFingerprintTellsContentApart(t *testing.T) {
	base := scan(30)
	seen := map[penstock.Fingerprint]string{}
	note := func(what string, change func(*penstock.Report)) {
		r := *base
		r.Samples = append([]penstock.Sample(nil), base.Samples...)
		change(&r)
		f := link.Fingerprint(link.AppendReport(nil, &r))
		if other, twice := seen[f]; twice {
			t.Errorf("%s has the fingerprint of %s", what, other)
		}
		seen[f] = what
	}
	note("the report", func(*penstock.Report) {})
	note("another controller", func(r *penstock.Report) { r.Controller = "pump-18" })
	note("another identity", func(r *penstock.Report) { r.Identity.Seq++ })
	note("a bit of a value", func(r *penstock.Report) {
		r.Samples[29].Value = penstock.BitsValue(penstock.Float64, r.Samples[29].Value.Bits()^1)
	})
	note("a type", func(r *penstock.Report) { r.Samples[0].Value = penstock.IntValue(0) })
	note("a time", func(r *penstock.Report) { r.Samples[3].SourceTime++ })
	note("a status", func(r *penstock.Report) { r.Samples[3].Status = penstock.Uncertain })
	note("native bits", func(r *penstock.Report) { r.Samples[3].Native = 1 })
	note("a unit", func(r *penstock.Report) { r.Samples[3].Unit = "l/s" })
	note("a flag", func(r *penstock.Report) { r.Samples[3].Flags = penstock.Historical })
	note("another order", func(r *penstock.Report) { r.Samples[3], r.Samples[4] = r.Samples[4], r.Samples[3] })
	note("a sample less", func(r *penstock.Report) { r.Samples = r.Samples[:29] })

	r := *base
	r.Source, r.ReceivedTime, r.AcceptedTime, r.Fingerprint = "mqtt", 1, 2, 3
	if f := link.Fingerprint(link.AppendReport(nil, &r)); seen[f] != "the report" {
		t.Error("source, times and fingerprint are no part of the content")
	}
}

func TestSizeOfATypicalReport(t *testing.T) {
	if n := len(link.AppendReport(nil, scan(100))); n > 1400 {
		t.Errorf("100 float samples of 24 points have %d bytes, want at most 1,400", n)
	}
}

func TestLargestReports(t *testing.T) {
	many := &penstock.Report{Controller: "c", Identity: penstock.KeyIdentity("k")}
	for i := range penstock.MaxSamples {
		point := i
		if i > 30_000 {
			point = i * 7919 % 30_000 // again, and out of turn
		}
		many.Samples = append(many.Samples, penstock.Sample{Point: fmt.Sprint(point), Value: penstock.BoolValue(i%2 == 0)})
	}
	var d link.Decoder
	var got penstock.Report
	if err := link.Check(many); err != nil {
		t.Fatal(err)
	}
	encoded := link.AppendReport(nil, many)
	for range 2 { // the second time finds full tables
		if _, err := d.Decode(encoded, &got); err != nil {
			t.Fatal(err)
		}
		sameReport(t, &got, many)
	}

	many.Samples = append(many.Samples, many.Samples[0])
	refusedBoth(t, many, penstock.TooLarge)
	large := &penstock.Report{Controller: "c"}
	for range 17 {
		large.Samples = append(large.Samples, penstock.Sample{Point: "p", Value: penstock.TextValue(strings.Repeat("x", penstock.MaxText))})
	}
	refusedBoth(t, large, penstock.TooLarge)
}

// TestPointsOutOfTurn names every point again, backwards, for tables of the sizes
// at which the encoder's own table grows.
func TestPointsOutOfTurn(t *testing.T) {
	var d link.Decoder
	var got penstock.Report
	for _, points := range []int{1, 2, 63, 64, 65, 66, 255, 256, 257, 258, 1024, 1025} {
		r := &penstock.Report{Controller: "c"}
		for i := range 2 * points {
			r.Samples = append(r.Samples, penstock.Sample{Point: strconv.Itoa(min(i, 2*points-1-i)), Value: penstock.IntValue(1)})
		}
		for range 10 { // each time with another seed of its hashes
			if _, err := d.Decode(link.AppendReport(nil, r), &got); err != nil {
				t.Fatalf("%d points: %v", points, err)
			}
			sameReport(t, &got, r)
		}
	}
}

// refusedBoth asserts that Check refuses the report and Decode its encoding.
func refusedBoth(t *testing.T, r *penstock.Report, code penstock.Code) {
	t.Helper()
	if err := link.Check(r); penstock.CodeOf(err) != code || err == nil {
		t.Errorf("Check: got %v, want code %v", err, code)
	}
	var d link.Decoder
	var got penstock.Report
	if _, err := d.Decode(link.AppendReport(nil, r), &got); penstock.CodeOf(err) != code || err == nil {
		t.Errorf("Decode: got %v, want code %v", err, code)
	}
}

// TestCheckRefusesWhatDecodeRefuses breaks one limit at a time.
func TestCheckRefusesWhatDecodeRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*penstock.Report){
		"no controller":         func(r *penstock.Report) { r.Controller = "" },
		"slash in controller":   func(r *penstock.Report) { r.Controller = "a/b" },
		"long controller":       func(r *penstock.Report) { r.Controller = strings.Repeat("c", penstock.MaxName+1) },
		"controller not UTF-8":  func(r *penstock.Report) { r.Controller = "\xff" },
		"epoch 0":               func(r *penstock.Report) { r.Identity.Epoch = 0 },
		"seq 0":                 func(r *penstock.Report) { r.Identity.Seq = 0 },
		"seq too high":          func(r *penstock.Report) { r.Identity.Seq = penstock.MaxSequence + 1 },
		"empty key":             func(r *penstock.Report) { r.Identity = penstock.KeyIdentity("") },
		"long key":              func(r *penstock.Report) { r.Identity = penstock.KeyIdentity(strings.Repeat("k", penstock.MaxKey+1)) },
		"key not UTF-8":         func(r *penstock.Report) { r.Identity = penstock.KeyIdentity("\xc3") },
		"unknown form":          func(r *penstock.Report) { r.Identity = penstock.Identity{Form: 3} },
		"nothing to tell apart": func(r *penstock.Report) { r.Identity, r.Samples = penstock.Identity{}, nil },
		"no point":              func(r *penstock.Report) { r.Samples[5].Point = "" },
		"long point":            func(r *penstock.Report) { r.Samples[5].Point = strings.Repeat("p", penstock.MaxName+1) },
		"control character":     func(r *penstock.Report) { r.Samples[5].Point = "a\nb" },
		"long unit":             func(r *penstock.Report) { r.Samples[5].Unit = strings.Repeat("u", penstock.MaxUnit+1) },
		"unit with control":     func(r *penstock.Report) { r.Samples[5].Unit = "\x00" },
		"undefined flag":        func(r *penstock.Report) { r.Samples[5].Flags = 8 },
		"none with good status": func(r *penstock.Report) { r.Samples[5].Value = penstock.Value{} },
		"none, uncertain": func(r *penstock.Report) {
			r.Samples[5].Value, r.Samples[5].Status = penstock.Value{}, penstock.Uncertain
		},
		"text not UTF-8": func(r *penstock.Report) { r.Samples[5].Value = penstock.TextValue("\xed\xa0\x80") },
		"long text": func(r *penstock.Report) {
			r.Samples[5].Value = penstock.TextValue(strings.Repeat("x", penstock.MaxText+1))
		},
		"unknown kind":           func(r *penstock.Report) { r.Samples[5].Value = penstock.BitsValue(6, 0) },
		"kind that looks like 1": func(r *penstock.Report) { r.Samples[5].Value = penstock.BitsValue(9, 0) },
		"bool of two":            func(r *penstock.Report) { r.Samples[5].Value = penstock.BitsValue(penstock.Bool, 2) },
		"bool that looks like 0": func(r *penstock.Report) { r.Samples[5].Value = penstock.BitsValue(penstock.Bool, 256) },
	} {
		t.Run(name, func(t *testing.T) {
			r := scan(30)
			spoil(r)
			refusedBoth(t, r, penstock.Invalid)
		})
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	encoded := link.AppendReport(nil, scan(30))
	var d link.Decoder
	var r penstock.Report
	if _, err := d.Decode(encoded, &r); err != nil { // from now on it knows what to expect
		t.Fatal(err)
	}
	for n := range encoded {
		rest, err := d.Decode(bytes.Clone(encoded[:n]), &r)
		if penstock.CodeOf(err) != penstock.Invalid || rest != nil {
			t.Fatalf("cut to %d bytes: got rest %x, error %v", n, rest, err)
		}
		if n < 4 {
			continue
		}
		short := slices.Concat(encoded[:2], binary.AppendUvarint(nil, uint64(n-4)), encoded[4:n]) // the frame is right
		if _, err := d.Decode(slices.Clip(short), &r); penstock.CodeOf(err) != penstock.Invalid {
			t.Fatalf("cut to %d bytes, framed: got error %v", n, err)
		}
	}
}

func TestRestIsKnownAfterABadReport(t *testing.T) {
	bad := link.AppendReport(nil, scan(1))
	bad[3] = 9 // an unknown form of identity
	good := link.AppendReport(nil, scan(2))
	var d link.Decoder
	var r penstock.Report
	rest, err := d.Decode(append(bad, good...), &r)
	if penstock.CodeOf(err) != penstock.Invalid || !bytes.Equal(rest, good) {
		t.Fatalf("got %v and %d bytes of rest", err, len(rest))
	}
	if _, err := d.Decode(rest, &r); err != nil {
		t.Error(err)
	}
}

// TestNamesAreForgotten feeds a decoder more names than it keeps, until it has
// just begun anew.
func TestNamesAreForgotten(t *testing.T) {
	var d link.Decoder
	var got penstock.Report
	var encoded []byte
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for round := range 2*16_384 + 100 {
		name := strconv.Itoa(round)
		encoded = link.AppendReport(encoded[:0], &penstock.Report{Controller: name, Samples: []penstock.Sample{{Point: name, Value: penstock.IntValue(1)}}})
		if _, err := d.Decode(encoded, &got); err != nil || got.Controller != name || got.Samples[0].Point != name {
			t.Fatalf("%s: got %+v, %v", name, got, err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("the decoder holds %d bytes", grown)
	}
	runtime.KeepAlive(&d)
}

// TestForgottenNamesAreNotExpected sends a row twice just when the decoder has
// forgotten it, but for what it expects to come next.
func TestForgottenNamesAreNotExpected(t *testing.T) {
	many := &penstock.Report{Controller: "c", Samples: []penstock.Sample{{Point: "f", Value: penstock.BoolValue(true)}}}
	twice := link.AppendReport(nil, many)
	twice[6]++ // two samples
	twice = append(twice, twice[7:]...)
	twice[2] += byte(len(twice[7:]) / 2)
	for i := range 20_000 {
		many.Samples = append(many.Samples, penstock.Sample{Point: strconv.Itoa(i), Value: penstock.IntValue(1)})
	}
	var d link.Decoder
	var r penstock.Report
	if _, err := d.Decode(link.AppendReport(nil, many), &r); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Decode(twice, &r); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("%x: got %v", twice, err)
	}
}

// TestAllocationIsBounded decodes what is dearest for its length.
func TestAllocationIsBounded(t *testing.T) {
	dense := &penstock.Report{Controller: "c", Identity: penstock.KeyIdentity("k")}
	texts := &penstock.Report{Controller: "c", Identity: penstock.KeyIdentity("k")}
	names := &penstock.Report{Controller: "c", Identity: penstock.KeyIdentity("k")}
	for i := range 20_000 {
		dense.Samples = append(dense.Samples, penstock.Sample{Point: "p", Status: penstock.Bad})
		texts.Samples = append(texts.Samples, penstock.Sample{Point: "p", Value: penstock.TextValue("x")})
		names.Samples = append(names.Samples, penstock.Sample{Point: fmt.Sprintf("%c%c%c", 'a'+i%26, 'a'+i/26%26, 'a'+i/676), Status: penstock.Bad})
	}
	for name, r := range map[string]*penstock.Report{"dense": dense, "texts": texts, "names": names} {
		encoded := link.AppendReport(nil, r)
		var d link.Decoder
		var got penstock.Report
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := d.Decode(encoded, &got); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		ratio := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(encoded))
		if ratio > 100 {
			t.Errorf("%s: %.0f bytes allocated a byte of input", name, ratio)
		}
	}

	cut := link.AppendReport(nil, dense)
	cut[len(cut)-1] = 0xff // the last of many samples is bad
	var d link.Decoder
	var got penstock.Report
	if _, err := d.Decode(cut, &got); err == nil {
		t.Error("a bad tag was taken")
	}
}

func TestReportsOfOneControllerCostNoAllocation(t *testing.T) {
	encoded := link.AppendReport(nil, scan(100))
	var d link.Decoder
	var r penstock.Report
	decode := func() {
		if _, err := d.Decode(encoded, &r); err != nil {
			t.Fatal(err)
		}
	}
	decode()
	if n := testing.AllocsPerRun(100, decode); n != 0 {
		t.Errorf("decoding allocates %v times a report", n)
	}
	buf := make([]byte, 0, 4096)
	report := scan(100)
	if n := testing.AllocsPerRun(100, func() { buf = link.AppendReport(buf[:0], report) }); n != 0 {
		t.Errorf("encoding allocates %v times a report", n)
	}
}

// FuzzDecode asserts that what is taken is the one encoding of its report.
func FuzzDecode(f *testing.F) {
	for _, n := range []int{1, 2, 30} {
		f.Add(link.AppendReport(nil, scan(n)))
	}
	for _, v := range readVectors(f).Reports {
		f.Add(v.encoding(f))
	}
	for _, v := range readVectors(f).Refused {
		f.Add(v.encoding(f))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var d link.Decoder
		var r penstock.Report
		rest, err := d.Decode(b, &r)
		if err != nil {
			if code := penstock.CodeOf(err); code != penstock.Invalid && code != penstock.TooLarge && code != penstock.Unsupported {
				t.Fatalf("code %v: %v", code, err)
			}
			return
		}
		if err := link.Check(&r); err != nil {
			t.Fatalf("a decoded report breaks a limit: %v", err)
		}
		if again, was := link.AppendReport(nil, &r), b[:len(b)-len(rest)]; !bytes.Equal(again, was) {
			t.Fatalf("not canonical: taken\n%x, encoded again\n%x", was, again)
		}
	})
}
