package script_test

import (
	"fmt"
	"testing"

	"github.com/penstock/penstock"
)

// What a report of 24 samples costs: untouched, and with eight of them changed.
func BenchmarkRun(b *testing.B) {
	for name, body := range map[string]string{
		"nothing": ``,
		"eight":   `for (let i = 0; i < report.samples.length; i += 3) { const s = report.samples[i]; s.value *= 3.6; s.unit = "m3/h" }`,
	} {
		b.Run(name, func(b *testing.B) {
			s := open(b, `export function onReport(report) { `+body+` }`, nil)
			r := pump()
			for i := range 24 {
				x := sample(fmt.Sprintf("line-%02d/flow", i), penstock.FloatValue(float64(i)*1.25))
				x.Unit, x.SourceTime = "L/s", x.SourceTime+int64(i)
				r.Samples = append(r.Samples, x)
			}
			for b.Loop() {
				if out := s.run(b, r); out.Fault != nil {
					b.Fatal(out.Fault)
				}
			}
		})
	}
}
