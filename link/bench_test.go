package link_test

import (
	"fmt"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// scan returns a report of n float samples in rounds of 24 points, a tenth of a
// second apart.
func scan(n int) *penstock.Report {
	r := &penstock.Report{Controller: "pump-17", Identity: penstock.SequenceIdentity(3, 123456)}
	for i := range n {
		r.Samples = append(r.Samples, penstock.Sample{
			Point:      fmt.Sprintf("signal-%02d", i%24),
			SourceTime: 1_795_327_200_000_000_000 + int64(i/24)*100_000_000,
			Value:      penstock.FloatValue(12.5 + float64(i)/3),
			Unit:       "m3/h",
		})
	}
	return r
}

func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{1, 24, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := scan(n)
			var buf []byte
			for b.Loop() {
				buf = link.AppendReport(buf[:0], r)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msamples/s")
			b.ReportMetric(float64(len(buf))/float64(n), "bytes/sample")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 24, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			encoded := link.AppendReport(nil, scan(n))
			var d link.Decoder
			var r penstock.Report
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(encoded, &r); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msamples/s")
		})
	}
}

func BenchmarkFingerprint(b *testing.B) {
	encoded := link.AppendReport(nil, scan(100))
	for b.Loop() {
		link.Fingerprint(encoded)
	}
}
