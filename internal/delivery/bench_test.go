package delivery_test

import (
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/testkit"
)

// BenchmarkBesideAStoppedSink measures how long a report takes from its acceptance until
// the record has settled it, alone and beside a sink that does not answer.
func BenchmarkBesideAStoppedSink(b *testing.B) {
	for _, stopped := range []bool{false, true} {
		name := "alone"
		if stopped {
			name = "beside a stopped sink"
		}
		b.Run(name, func(b *testing.B) {
			n, d := newNode(b), sinktest.NewDestination()
			n.segment = 1 << 20
			release := d.Stall()
			defer release()
			if stopped {
				n.open(to("stopped", d))
			} else {
				n.open()
			}
			var took []time.Duration
			b.ResetTimer()
			for range b.N {
				begun := time.Now()
				n.send(1)
				testkit.Eventually(b, func() bool {
					_, committed := n.intake.Marks("pump-1")
					return committed.Seq == n.sent
				}, "the watermark reaches the report")
				took = append(took, time.Since(begun))
			}
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
			release()
		})
	}
}
