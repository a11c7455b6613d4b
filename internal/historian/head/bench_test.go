package head_test

import (
	"math"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/head"
)

// BenchmarkRow writes and reads the rows of a controller with 24 points, most of
// them floats that move by a little.
func BenchmarkRow(b *testing.B) {
	const points, rows = 24, 100
	series := make([]uint32, points)
	reports := make([][]penstock.Sample, rows)
	for i := range series {
		series[i] = uint32(i)
	}
	for r := range reports {
		for p := range points {
			v := penstock.FloatValue(math.Round(1000*(50+float64(p)+10*math.Sin(float64(r)/40+float64(p)))) / 1000)
			switch p % 12 {
			case 10:
				v = penstock.IntValue(int64(r * 17))
			case 11:
				v = penstock.BoolValue(r/50%2 == 0)
			}
			reports[r] = append(reports[r], penstock.Sample{SourceTime: int64(r) * 1e9, Value: v})
		}
	}
	var journal []byte
	b.Run("write", func(b *testing.B) {
		var c head.Coder
		c.Grow(points)
		for b.Loop() {
			journal = journal[:0]
			for r := range reports {
				journal = c.Append(journal, reports[r], series, r == 0)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*points*rows), "ns/sample")
	})
	b.Run("read", func(b *testing.B) {
		var c head.Coder
		samples := 0
		for b.Loop() {
			for rest := journal; len(rest) > 0; {
				var ok bool
				if rest, ok = c.Read(rest, points, func(uint32, *penstock.Sample) { samples++ }); !ok {
					b.Fatal("malformed")
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*points*rows), "ns/sample")
	})
}
