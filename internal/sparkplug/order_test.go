package sparkplug_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/sparkplug"
)

// Messages of one session come shuffled, some of them twice and some never: each
// that came gives its sample, and as many as never came are missing.
func TestWhateverComesIsAccountedFor(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := newPlant(t, sparkplug.Config{})
		p.send("NBIRTH", message(ms(0), 0, named("n", tInt64).alias(1).long(0)))
		const sent = 600
		block := rapid.SampledFrom([]int{1, 2, 10, 100, 600}).Draw(r, "messages that are shuffled")
		lossy := rapid.SampledFrom([]float64{0, 0.01, 0.3}).Draw(r, "share that is lost")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 0))
		var order []int
		lost, seen, gap := 0, map[int64]int{}, uint64(0)
		for first := 1; first <= sent; first += block {
			for _, k := range random.Perm(block) {
				if i := first + k; i > 1 && i < sent && random.Float64() < lossy {
					lost++
				} else {
					order = append(order, i)
				}
			}
		}
		note := func() {
			gap += p.count(evidence.Gap)
			for _, report := range p.reports() {
				for _, s := range report.Samples {
					if s.Value.Kind() == penstock.Int64 {
						seen[s.Value.Int()]++
					}
				}
			}
		}
		note()
		for _, i := range order {
			p.send("NDATA", message(ms(i), i%256, alias(1).long(uint64(i))))
			note()
		}
		p.last = p.host.Tick(p.now.Add(time.Minute))
		note()
		for _, i := range order {
			if seen[int64(i)] != 1 {
				r.Fatalf("message %d came %d times", i, seen[int64(i)])
			}
		}
		if lost == 0 && block <= 100 && gap != 0 {
			r.Fatalf("%d are said to be missing, and none is", gap)
		}
		if block == 1 && gap != uint64(lost) {
			r.Fatalf("%d are said to be missing, and %d are", gap, lost)
		}
	})
}
