package reportjson_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/reportjson"
)

// body returns a report of n readings in JSON, in rounds of 24 points.
func body(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"controller":"pump-17","epoch":3,"seq":123456,"samples":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"point":"signal-%02d","time":"2026-11-22T06:00:%02d.%03dZ","value":%g,"status":"Good"}`, i%24, i/24, i%1000, 12.5+float64(i)/8)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 24, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := body(n)
			var d reportjson.Decoder
			var out []penstock.Report
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				var err error
				if out, err = d.Decode(in, out[:0]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mreadings/s")
		})
	}
}

// BenchmarkStandard is what the standard library does with the same input, and
// without any of the checks.
func BenchmarkStandard(b *testing.B) {
	in := body(100)
	for b.Loop() {
		var r standardReport
		if err := json.Unmarshal(in, &r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mreadings/s")
}

func BenchmarkAppendReport(b *testing.B) {
	var d reportjson.Decoder
	reports, err := d.Decode(body(100), nil)
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		if buf, err = reportjson.AppendReport(buf[:0], &reports[0]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mreadings/s")
}
