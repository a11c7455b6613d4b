package document_test

import (
	"math"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/mongo/document"
)

// values draws values of every kind, with the bits that are hard to keep.
func values() *rapid.Generator[penstock.Value] {
	bits := rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{
		0, 1, 1 << 63, math.MaxUint64, math.MaxInt64, 0x7ff8_0000_dead_beef, math.Float64bits(math.Inf(-1)), math.Float64bits(math.SmallestNonzeroFloat64),
	}))
	return rapid.Custom(func(t *rapid.T) penstock.Value {
		switch kind := rapid.SampledFrom([]penstock.Kind{penstock.None, penstock.Float64, penstock.Int64, penstock.Uint64, penstock.Bool, penstock.Text}).Draw(t, "kind"); kind {
		case penstock.None:
			return penstock.Value{}
		case penstock.Bool:
			return penstock.BoolValue(rapid.Bool().Draw(t, "bool"))
		case penstock.Text:
			return penstock.TextValue(rapid.String().Draw(t, "text"))
		default:
			return penstock.BitsValue(kind, bits.Draw(t, "bits"))
		}
	})
}

// TestEveryBitIsKept writes samples as documents and reads them back.
func TestEveryBitIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := []penstock.Sample{{
			Point: rapid.StringMatching(`[a-z/ ]{1,9}`).Draw(t, "point"), Value: values().Draw(t, "value"),
			SourceTime: rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, -1, 0})).Draw(t, "time"),
			Status:     penstock.Status(rapid.Uint32().Draw(t, "status")), Native: rapid.Uint32().Draw(t, "native"),
			Unit: rapid.SampledFrom([]string{"", "m3/h"}).Draw(t, "unit"), Flags: penstock.SampleFlags(rapid.Uint8().Draw(t, "flags")),
		}}
		raw, err := bson.Marshal(document.SamplesOf(in)[0])
		if err != nil {
			t.Fatal(err)
		}
		var s document.Sample
		if err := bson.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		if out := s.Decode(); out != in[0] {
			t.Fatalf("%+v became %+v", in[0], out)
		}
	})
}

// TestIdentities sees that no two reports or samples that differ in identity have one
// _id, also where names look like parts of one.
func TestIdentities(t *testing.T) {
	name := rapid.SampledFrom([]string{"a", "!a", "a!", "1", "@1", "key:a", "natural:"})
	point := rapid.SampledFrom([]string{"a", "1", "1/a", "@1/a", "/"})
	type drawn struct {
		what string
		id   string
	}
	draw := rapid.Custom(func(t *rapid.T) drawn {
		r := &penstock.Report{Controller: name.Draw(t, "controller")}
		n := rapid.Uint64Range(1, 2)
		switch rapid.IntRange(0, 3).Draw(t, "form") {
		case 0:
			r.Identity = penstock.SequenceIdentity(n.Draw(t, "epoch"), n.Draw(t, "seq"))
			return drawn{"seq\x00" + r.Controller + "\x00" + r.Identity.String(), document.IdentityOf(r)}
		case 1:
			r.Identity = penstock.KeyIdentity(point.Draw(t, "key"))
			return drawn{"key\x00" + r.Controller + "\x00" + r.Identity.Key, document.IdentityOf(r)}
		case 2:
			s := &penstock.Sample{Point: point.Draw(t, "point"), SourceTime: int64(n.Draw(t, "time"))}
			return drawn{"sample\x00" + r.Controller + "\x00" + s.Point + "\x00" + string(rune(s.SourceTime)), document.SampleID(r.Controller, s)}
		}
		at := penstock.Position(n.Draw(t, "at"))
		return drawn{"loose\x00" + r.Controller + "\x00" + string(rune(at)), document.LooseID(r.Controller, at)}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw.Draw(t, "a"), draw.Draw(t, "b")
		if (a.what == b.what) != (a.id == b.id) {
			t.Fatalf("%q and %q have %q and %q", a.what, b.what, a.id, b.id)
		}
	})
}

func TestWrong(t *testing.T) {
	for says, s := range map[string]penstock.Sample{
		"":         {Point: "flow", Value: penstock.TextValue("a\x00b")},
		"name":     {},
		"not one":  {Point: "flow", Value: penstock.BitsValue(penstock.Bool, 2)},
		"too long": {Point: "flow", Value: penstock.TextValue(strings.Repeat("x", penstock.MaxText+1))},
		"UTF-8":    {Point: "flow", Value: penstock.TextValue("\xff")},
		"unit":     {Point: "flow", Unit: strings.Repeat("x", penstock.MaxUnit+1)},
	} {
		if got := document.Wrong(&s); (got == "") != (says == "") || !strings.Contains(got, says) {
			t.Errorf("%+v: %q, want %q", s, got, says)
		}
	}
}

// FuzzDecode reads documents that somebody else wrote.
func FuzzDecode(f *testing.F) {
	for _, v := range []any{1.5, "text", true, int64(7), nil} {
		raw, err := bson.Marshal(bson.D{{Key: "_id", Value: "a"}, {Key: "samples", Value: bson.A{bson.D{{Key: "point", Value: "p"}, {Key: "value", Value: v}}}}, {Key: "held", Value: bson.D{{Key: "report", Value: []byte{1}}}}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var d document.Report
		if bson.Unmarshal(raw, &d) != nil {
			return
		}
		d.Decode()
		for i := range d.Samples {
			d.Samples[i].Decode()
		}
	})
}
