package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// readAtScrape tells which metrics other components keep: all but those that
// this package counts as they happen.
func readAtScrape(n Name) bool {
	switch n {
	case Requests, RequestSeconds, ReceivedBytes, Misuse, VerdictChanges, ScriptFaults:
		return false
	}
	return true
}

// maxReadSeries caps the series of one metric that is read at a scrape: those of
// the links are a few for each of thousands of ports.
const maxReadSeries = 32 << 10

// readers is a collector of values that are read when somebody scrapes.
type readers struct {
	families   map[Name]readFamily    // fixed after New
	histograms map[Name]readHistogram // likewise, but for what reads them

	mu    sync.RWMutex // guards funcs, and read of histograms
	funcs map[Name]func(yield func(float64, ...string))
}

type readFamily struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	labels int
}

func newReaders() *readers {
	return &readers{families: map[Name]readFamily{}, histograms: map[Name]readHistogram{}, funcs: map[Name]func(func(float64, ...string)){}}
}

func (r *readers) define(d Definition, labels []string) {
	if d.Kind == Histogram {
		r.histograms[d.Name] = readHistogram{desc: prometheus.NewDesc(string(d.Name), d.Help, labels, nil), labels: len(labels)}
		return
	}
	kind := prometheus.GaugeValue
	if d.Kind == Counter {
		kind = prometheus.CounterValue
	}
	r.families[d.Name] = readFamily{prometheus.NewDesc(string(d.Name), d.Help, labels, nil), kind, len(labels)}
}

func (r *readers) set(name Name, f func(yield func(float64, ...string))) bool {
	if _, ok := r.families[name]; !ok {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.funcs[name] = f
	return true
}

// Describe implements prometheus.Collector.
func (r *readers) Describe(out chan<- *prometheus.Desc) {
	for _, f := range r.families {
		out <- f.desc
	}
	for _, h := range r.histograms {
		out <- h.desc
	}
}

// Collect implements prometheus.Collector. A list of labels that comes twice
// counts once, since a scrape with the same series twice is refused as a whole.
func (r *readers) Collect(out chan<- prometheus.Metric) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, h := range r.histograms {
		h.collect(out)
	}
	for name, read := range r.funcs {
		f := r.families[name]
		seen := map[[2]string]bool{}
		read(func(v float64, labels ...string) {
			var key [2]string
			copy(key[:], labels)
			if len(labels) != f.labels || seen[key] || len(seen) >= maxReadSeries {
				return
			}
			seen[key] = true
			if m, err := prometheus.NewConstMetric(f.desc, f.kind, v, labels...); err == nil {
				out <- m
			}
		})
	}
}
