package historian_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian"
)

// fleet makes reports as a fleet sends them: every controller has so many points,
// most of them sines with some noise rounded to two or three decimals, the others
// counters and states, on a grid of ten seconds with a controller's own offset.
type fleet struct {
	points   []string
	seqs     []uint64
	counters []int64
	random   *rand.Rand
	position penstock.Position
}

func newFleet(controllers, points int) *fleet {
	f := &fleet{seqs: make([]uint64, controllers), counters: make([]int64, controllers), random: rand.New(rand.NewPCG(1, 2))}
	for i := range points {
		f.points = append(f.points, fmt.Sprintf("station/point-%d", i))
	}
	return f
}

// round returns a report of each controller in the slot, as deliveries.
func (f *fleet) round(slot int) []penstock.Delivery {
	ds := make([]penstock.Delivery, 0, len(f.seqs))
	for c := range f.seqs {
		f.seqs[c]++
		f.position++
		at := start + int64(slot)*10e9 + int64(c%1000)*1e6
		r := &penstock.Report{Controller: fmt.Sprintf("controller-%d", c), Identity: penstock.SequenceIdentity(1, f.seqs[c])}
		r.Samples = make([]penstock.Sample, len(f.points))
		for p := range f.points {
			r.Samples[p] = penstock.Sample{Point: f.points[p], SourceTime: at, Value: f.value(c, p, slot)}
		}
		ds = append(ds, penstock.Delivery{Position: f.position, Report: r})
	}
	return ds
}

func (f *fleet) value(c, p, slot int) penstock.Value {
	switch p % 12 {
	case 10:
		f.counters[c] += f.random.Int64N(30)
		return penstock.IntValue(f.counters[c])
	case 11:
		return penstock.BoolValue(slot/180%2 == 0)
	}
	x := 2 * math.Pi * (float64(slot)/8640 + float64(c)/97)
	v := 50 + float64(p)*10 + 10*math.Sin(x) + 3*math.Sin(17*x) + 0.05*f.random.NormFloat64()
	places := []float64{100, 1000}[p%2]
	return penstock.FloatValue(math.Round(v*places) / places)
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSettle settles what a fleet sends, 24 points a report, on a real disk;
// flushes and compactions that fall into it are counted.
func BenchmarkSettle(b *testing.B) {
	for _, controllers := range []int{50, 5000} {
		b.Run(fmt.Sprintf("controllers=%d", controllers), func(b *testing.B) {
			b.Chdir(b.TempDir())
			h := open(b, vfs.Default, historian.Options{})
			f := newFleet(controllers, 24)
			rounds := max(1, 5000/controllers)
			samples := 0
			var cpu time.Duration
			slot := 0
			for b.Loop() {
				b.StopTimer()
				var ds []penstock.Delivery
				for range rounds {
					ds = append(ds, f.round(slot)...)
					slot++
				}
				b.StartTimer()
				before := cpuTime()
				if _, err := h.Settle(b.Context(), ds, f.position); err != nil {
					b.Fatal(err)
				}
				cpu += cpuTime() - before
				samples += len(ds) * 24
			}
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(samples), "cpu-ns/sample")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(samples), "ns/sample")
			h.close(b)
		})
	}
}

// BenchmarkOpen starts with a head of 20 MB: what a gateway does before it is
// ready again. The store's own start is not in it.
func BenchmarkOpen(b *testing.B) {
	b.Chdir(b.TempDir())
	h := open(b, vfs.Default, historian.Options{})
	f := newFleet(5000, 24)
	for slot := 0; h.Stats().HeadBytes < 20<<20; slot++ {
		if _, err := h.Settle(b.Context(), f.round(slot), f.position); err != nil {
			b.Fatal(err)
		}
	}
	samples := h.Stats().Samples
	var cpu time.Duration
	for b.Loop() {
		if err := h.Close(); err != nil {
			b.Fatal(err)
		}
		before := cpuTime()
		again, err := historian.Open(historian.Options{Store: h.store})
		if err != nil {
			b.Fatal(err)
		}
		cpu += cpuTime() - before
		h.Historian = again
	}
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N)/float64(samples), "cpu-ns/sample")
	h.close(b)
}

// oneDay stores a day of a small fleet, flushed and compacted.
func oneDay(b *testing.B) (h *bench, samples int) {
	const controllers, points, slots = 20, 24, 8640
	now := time.Unix(0, start).Add(48 * time.Hour)
	h = open(b, vfs.NewMem(), historian.Options{Now: func() time.Time { return now }})
	f := newFleet(controllers, points)
	var ds []penstock.Delivery
	for slot := range slots {
		ds = append(ds, f.round(slot)...)
		if slot%100 == 99 || slot == slots-1 {
			if _, err := h.Settle(b.Context(), ds, f.position); err != nil {
				b.Fatal(err)
			}
			ds = ds[:0]
		}
	}
	if err := h.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := h.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := h.store.Compact(); err != nil {
		b.Fatal(err)
	}
	return h, controllers * points * slots
}

// BenchmarkScan reads a day as samples and as hourly buckets, and reports what
// the day has on disk, keys and seals included.
func BenchmarkScan(b *testing.B) {
	h, samples := oneDay(b)
	defer h.close(b)
	all := h.Series(historian.Selector{Scope: penstock.Scope{"*"}})
	perSample := float64(h.Stats().DataBytes) / float64(samples)
	measure := func(name string, read func(id historian.SeriesID)) {
		b.Run(name, func(b *testing.B) {
			began := cpuTime()
			for b.Loop() {
				for _, s := range all {
					read(s.ID)
				}
			}
			b.ReportMetric(float64(samples*b.N)/(cpuTime()-began).Seconds()/1e6, "Msamples/cpu-s")
			b.ReportMetric(perSample, "B/sample")
		})
	}
	measure("samples", func(id historian.SeriesID) {
		for _, err := range h.Samples(b.Context(), id, math.MinInt64, math.MaxInt64) {
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	measure("aggregates", func(id historian.SeriesID) {
		for _, err := range h.Aggregates(b.Context(), id, start, start+2*86400e9, 3600e9) {
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkMemory reports the memory of 120,000 series with some rounds each.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		b.Chdir(b.TempDir())
		h := open(b, vfs.Default, historian.Options{})
		f := newFleet(5000, 24)
		before := heap()
		for slot := range 60 {
			if _, err := h.Settle(b.Context(), f.round(slot), f.position); err != nil {
				b.Fatal(err)
			}
		}
		s := h.Stats()
		full := heap()
		if err := h.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(heap()-before)/float64(s.Series), "B/series")
		b.ReportMetric(float64(full-before)/(1<<20), "MB-with-head")
		b.ReportMetric(float64(s.HeadBytes)/float64(s.Samples), "headB/sample")
		h.close(b)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
