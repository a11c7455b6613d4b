package metrics

import "github.com/prometheus/client_golang/prometheus"

// Buckets are the values of a histogram that another component keeps.
type Buckets struct {
	Count uint64
	Sum   float64
	Below map[float64]uint64 // observations of at most so much
}

// readHistogram is a histogram that is read when somebody scrapes.
type readHistogram struct {
	desc   *prometheus.Desc
	labels int
	read   func(yield func(b Buckets, labels ...string)) // nil before it is given
}

// ReadHistogram is [Set.Read] for a histogram that another component keeps.
func (s *Set) ReadHistogram(name Name, f func(yield func(b Buckets, labels ...string))) {
	s.read.mu.Lock()
	h, known := s.read.histograms[name]
	if known {
		h.read = f
		s.read.histograms[name] = h
	}
	s.read.mu.Unlock()
	if !known {
		s.misused(name)
	}
}

func (h readHistogram) collect(out chan<- prometheus.Metric) {
	if h.read == nil {
		return
	}
	seen := map[[2]string]bool{}
	h.read(func(b Buckets, labels ...string) {
		var key [2]string
		copy(key[:], labels)
		if len(labels) != h.labels || seen[key] || len(seen) >= maxSeries {
			return
		}
		seen[key] = true
		if m, err := prometheus.NewConstHistogram(h.desc, b.Count, b.Sum, b.Below, labels...); err == nil {
			out <- m
		}
	})
}
