package metrics

import "slices"

// Name is the name of a metric as it stands in a scrape.
type Name string

// Kind says how a metric behaves.
type Kind string

// The kinds of metric.
const (
	Counter   Kind = "counter"   // only grows, and starts from 0 with the process
	Gauge     Kind = "gauge"     // goes up and down
	Histogram Kind = "histogram" // counts observations by size
)

// Definition says what a metric means.
type Definition struct {
	Name   Name
	Kind   Kind
	Unit   string // seconds, bytes, reports …
	Help   string // one sentence
	Labels []Label
	// Buckets are the upper bounds of a histogram's classes.
	Buckets []float64
}

// Label is one dimension of a metric. Its values are a closed list in practice;
// what comes beyond the cap of a metric is counted under the value "other".
type Label struct {
	Name string
	Help string // what the values are
}

// Definitions returns all definitions, area by area.
func Definitions() []Definition {
	var all []Definition
	for _, a := range areas {
		all = append(all, a.definitions...)
	}
	return slices.Clip(all)
}

type area struct {
	title       string
	definitions []Definition
}

// areas is the order of the areas in the documentation.
var areas = []area{
	{"API", apiDefinitions},
	{"Pipeline", pipelineDefinitions},
	{"Ledger and spool", spoolDefinitions},
	{"Record", recordDefinitions},
	{"Sinks", sinkDefinitions},
	{"Links", linkDefinitions},
	{"The gateway itself", gatewayDefinitions},
}

// latency is the scale of what takes from a microsecond to ten seconds.
var latency = []float64{
	1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4,
	1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
}
