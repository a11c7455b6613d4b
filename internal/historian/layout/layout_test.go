package layout_test

import (
	"bytes"
	"cmp"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/historian/layout"
)

func times() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, -1, 0, 86400e9 - 1, 86400e9}))
}

func TestDaysHoldTheirTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := times().Draw(t, "time")
		day := layout.DayOf(at)
		if at < day.Start() || at > day.Last() || layout.DayOf(day.Start()) != day || layout.DayOf(day.Last()) != day {
			t.Fatalf("%d is in day %d, from %d to %d", at, day, day.Start(), day.Last())
		}
		if layout.ParseDay(day.Sortable()) != day {
			t.Fatalf("day %d cannot be read back", day)
		}
	})
}

func TestChunkKeysSortAsWhatTheyMean(t *testing.T) {
	key := rapid.Custom(func(t *rapid.T) layout.ChunkKey {
		start := times().Draw(t, "start")
		day := layout.DayOf(start)
		return layout.ChunkKey{
			Day: day, Start: start, End: rapid.Int64Range(start, day.Last()).Draw(t, "end"),
			Series:  layout.NewSeriesID(rapid.Uint32Range(0, 2).Draw(t, "controller"), rapid.Uint32Range(0, 2).Draw(t, "point")),
			Flush:   rapid.Uint64Range(0, 1<<40-1).Draw(t, "flush"),
			Ordinal: rapid.Uint32Range(0, 1<<24-1).Draw(t, "ordinal"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := key.Draw(t, "a"), key.Draw(t, "b")
		if back, ok := layout.ParseChunkKey(a.Bytes()); !ok || back != a {
			t.Fatalf("%+v became %+v", a, back)
		}
		want := cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Series, b.Series), cmp.Compare(a.Start, b.Start),
			cmp.Compare(a.End, b.End), cmp.Compare(a.Flush, b.Flush), cmp.Compare(a.Ordinal, b.Ordinal))
		if got := bytes.Compare(a.Bytes(), b.Bytes()); got != want {
			t.Fatalf("%+v and %+v compare as %d, want %d", a, b, got, want)
		}
	})
}
