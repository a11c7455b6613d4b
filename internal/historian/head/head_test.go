package head_test

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/head"
)

const points = 5

func draw(t *rapid.T) (samples []penstock.Sample, series []uint32) {
	base := rapid.SampledFrom([]int64{0, 1e18, math.MaxInt64 - 10, math.MinInt64}).Draw(t, "base")
	for range rapid.IntRange(0, 12).Draw(t, "n") {
		s := penstock.Sample{
			SourceTime: base + rapid.Int64Range(0, 10).Draw(t, "time"),
			Status:     rapid.SampledFrom([]penstock.Status{0, 0, 0, penstock.Bad, math.MaxUint32}).Draw(t, "status"),
			Native:     rapid.SampledFrom([]uint32{0, 0, math.MaxUint32}).Draw(t, "native"),
			Flags:      penstock.SampleFlags(rapid.SampledFrom([]byte{0, 0, 0xff}).Draw(t, "flags")),
		}
		switch kind := penstock.Kind(rapid.IntRange(0, 5).Draw(t, "kind")); kind {
		case penstock.None:
		case penstock.Text:
			s.Value = penstock.TextValue(rapid.SampledFrom([]string{"", "a", "läuft"}).Draw(t, "text"))
		case penstock.Bool:
			s.Value = penstock.BoolValue(rapid.Bool().Draw(t, "bool"))
		case penstock.Float64:
			places := rapid.SampledFrom([]float64{1, 10, 1e6, 1e7}).Draw(t, "places")
			s.Value = penstock.FloatValue(float64(rapid.IntRange(-100, 100).Draw(t, "decimal")) / places)
			if rapid.Bool().Draw(t, "raw") {
				s.Value = penstock.BitsValue(kind, rapid.Uint64().Draw(t, "bits"))
			}
		default:
			s.Value = penstock.BitsValue(kind, rapid.Uint64().Draw(t, "bits"))
		}
		samples = append(samples, s)
		series = append(series, rapid.SampledFrom([]uint32{0, 1, 2, 3, 4, head.UnknownSeries}).Draw(t, "series"))
	}
	return samples, series
}

func TestBlocksKeepEverySampleInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w head.Coder
		w.Grow(points)
		var log head.Log
		var want []penstock.Sample
		var wantSeries []uint32
		for i := range rapid.IntRange(1, 10).Draw(t, "rows") {
			samples, series := draw(t)
			e := head.Extent{First: math.MaxInt64, Last: math.MinInt64, Fresh: i == 0 || rapid.IntRange(0, 3).Draw(t, "fresh") == 0}
			for k, s := range samples {
				if series[k] != head.UnknownSeries {
					want, wantSeries = append(want, s), append(wantSeries, series[k])
					e.First, e.Last = min(e.First, s.SourceTime), max(e.Last, s.SourceTime)
					e.Samples++
				}
			}
			log.Append(w.Append(nil, samples, series, e.Fresh), e)
		}
		var got []penstock.Sample
		var gotSeries []uint32
		err := head.Each(log.Blocks, points, math.MinInt64, math.MaxInt64, func(n uint32, s *penstock.Sample) {
			got, gotSeries = append(got, *s), append(gotSeries, n)
		})
		if err != nil || log.Samples != len(want) {
			t.Fatalf("%d samples, want %d: %v", log.Samples, len(want), err)
		}
		if !slices.Equal(got, want) || !slices.Equal(gotSeries, wantSeries) {
			t.Fatalf("got %+v %v\nwant %+v %v", got, gotSeries, want, wantSeries)
		}
	})
}

func FuzzJournal(f *testing.F) {
	var w head.Coder
	w.Grow(points)
	b := head.AppendJournal(nil, 7)
	f.Add(b)
	for seq := range uint64(3) {
		e := head.Entry{Controller: 1, Settlement: penstock.Stored, Sequence: true, Epoch: 1, Seq: seq, Conflicts: seq}
		e.Row = w.Append(nil, []penstock.Sample{{SourceTime: int64(seq), Value: penstock.FloatValue(1.5)}, {Value: penstock.TextValue("on")}}, []uint32{0, uint32(seq)}, seq == 0)
		b = head.AppendEntry(slices.Clone(b), &e)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var entries []head.Entry
		through, err := head.ReadJournal(b, func(e *head.Entry) error {
			entries = append(entries, *e)
			return nil
		})
		if err != nil {
			if code := penstock.CodeOf(err); code != penstock.Corrupt && code != penstock.Unsupported {
				t.Fatalf("code %v of %v", code, err)
			}
			return
		}
		// What was understood can be written and read again.
		again := head.AppendJournal(nil, through)
		for i := range entries {
			again = head.AppendEntry(again, &entries[i])
		}
		var r, r2 head.Coder
		n := 0
		if _, err := head.ReadJournal(again, func(e *head.Entry) error {
			sameRow(t, &r, &r2, entries[n].Row, e.Row)
			entries[n].Row, e.Row = nil, nil
			if !reflect.DeepEqual(entries[n], *e) {
				t.Fatalf("entry %d is %+v again, was %+v", n, *e, entries[n])
			}
			n++
			return nil
		}); err != nil || n != len(entries) {
			t.Fatalf("%d of %d entries again: %v", n, len(entries), err)
		}
	})
}

// sameRow reads one row twice, whatever it holds.
func sameRow(t *testing.T, a, b *head.Coder, row, again []byte) {
	type sample struct {
		series uint32
		s      penstock.Sample
	}
	read := func(c *head.Coder, row []byte) (got []sample, rest []byte, ok bool) {
		rest, ok = c.Read(row, points, func(series uint32, s *penstock.Sample) { got = append(got, sample{series, *s}) })
		return got, rest, ok
	}
	got, rest, ok := read(a, row)
	got2, rest2, ok2 := read(b, again)
	if ok != ok2 || len(rest) != len(rest2) || !slices.Equal(got, got2) {
		t.Fatalf("row %x gives %v (%v), and again %v (%v)", row, got, ok, got2, ok2)
	}
}
