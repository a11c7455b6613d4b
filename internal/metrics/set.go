package metrics

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxSeries caps the label values of one metric. The lists are closed, so it is
// reached through a fault or an attack only.
const maxSeries = 256

// other stands in for label values beyond the cap.
const other = "other"

// Set holds the values of all definitions. It is safe for concurrent use.
type Set struct {
	registry   *prometheus.Registry
	counters   map[Name]*family[prometheus.Counter]
	histograms map[Name]*family[prometheus.Observer]
	read       *readers
}

// New returns a set of all definitions, with those of the Go runtime and the
// process beside them.
func New() *Set {
	s := &Set{
		registry:   prometheus.NewPedanticRegistry(),
		counters:   map[Name]*family[prometheus.Counter]{},
		histograms: map[Name]*family[prometheus.Observer]{},
		read:       newReaders(),
	}
	s.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	for _, d := range Definitions() {
		s.define(d)
	}
	s.registry.MustRegister(s.read)
	return s
}

func (s *Set) define(d Definition) {
	labels := make([]string, len(d.Labels))
	for i, l := range d.Labels {
		labels[i] = l.Name
	}
	switch {
	case readAtScrape(d.Name):
		s.read.define(d, labels)
	case d.Kind == Counter:
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: string(d.Name), Help: d.Help}, labels)
		s.registry.MustRegister(v)
		s.counters[d.Name] = newFamily(len(labels), func(values []string) prometheus.Counter { return v.WithLabelValues(values...) })
	case d.Kind == Histogram:
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: string(d.Name), Help: d.Help, Buckets: d.Buckets}, labels)
		s.registry.MustRegister(v)
		s.histograms[d.Name] = newFamily(len(labels), func(values []string) prometheus.Observer { return v.WithLabelValues(values...) })
	}
}

// Add adds v to a counter. A name that is not a counter's, or a wrong number of
// label values, is counted by [Misuse].
func (s *Set) Add(name Name, v float64, labels ...string) {
	if c, ok := s.counters[name].get(labels); ok && v >= 0 {
		c.Add(v)
		return
	}
	s.misused(name)
}

// Observe adds an observation to a histogram, under the same rules as
// [Set.Add].
func (s *Set) Observe(name Name, v float64, labels ...string) {
	if h, ok := s.histograms[name].get(labels); ok {
		h.Observe(v)
		return
	}
	s.misused(name)
}

// Read has f called at each scrape for the values of a gauge or of a counter
// that another component keeps. f yields the value of each list of labels; it
// must not block. The last f given for a name counts.
func (s *Set) Read(name Name, f func(yield func(v float64, labels ...string))) {
	if !s.read.set(name, f) {
		s.misused(name)
	}
}

// ReadOne is [Set.Read] for a metric without labels.
func (s *Set) ReadOne(name Name, f func() float64) {
	s.Read(name, func(yield func(float64, ...string)) { yield(f()) })
}

func (s *Set) misused(name Name) {
	if c, ok := s.counters[Misuse].get([]string{string(name)}); ok {
		c.Inc()
	}
}

// Request books a request that the API answered. The route is one of the
// table's, never a path as it came.
func (s *Set) Request(route, status string, d time.Duration, received int64) {
	s.Add(Requests, 1, route, status)
	s.Observe(RequestSeconds, d.Seconds(), route)
	s.Add(ReceivedBytes, float64(received))
}

// Handler answers a scrape in the Prometheus and OpenMetrics text formats.
func (s *Set) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
		EnableOpenMetrics:   true,
	})
}

// family finds the member of a metric for a list of label values without
// allocation, and keeps their number under the cap.
type family[T any] struct {
	labels int
	make   func(values []string) T

	mu      sync.RWMutex
	members map[[2]string]T
}

func newFamily[T any](labels int, makeMember func([]string) T) *family[T] {
	return &family[T]{labels: labels, make: makeMember, members: map[[2]string]T{}}
}

func (f *family[T]) get(values []string) (member T, ok bool) {
	if f == nil || len(values) != f.labels {
		return member, false
	}
	var key [2]string
	copy(key[:], values)
	f.mu.RLock()
	member, ok = f.members[key]
	f.mu.RUnlock()
	if ok {
		return member, true
	}
	return f.add(key), true
}

// add is apart from get so that what escapes here costs nothing there.
func (f *family[T]) add(key [2]string) T {
	f.mu.Lock()
	defer f.mu.Unlock()
	if member, ok := f.members[key]; ok {
		return member
	}
	if len(f.members) >= maxSeries {
		for i := range f.labels {
			key[i] = other
		}
		if member, ok := f.members[key]; ok {
			return member
		}
	}
	// The strings may be parts of a larger buffer of the caller.
	for i := range key {
		key[i] = strings.Clone(key[i])
	}
	member := f.make(key[:f.labels])
	f.members[key] = member
	return member
}
