package apiclient

import (
	"context"
	"net/http"
)

// Flow is how reports flow through a gateway. Times are in seconds.
type Flow struct {
	Time    string            `json:"time"`
	Window  float64           `json:"window_seconds"`
	Stages  []FlowStage       `json:"stages"`
	Slowest map[string]string `json:"slowest"` // by part
	Stalls  []FlowStall       `json:"stalls,omitempty"`
	Backlog []FlowBacklog     `json:"backlog"`
	Spool   FlowSpool         `json:"spool"`
	Memory  FlowMemory        `json:"memory"`
	Worst   []FlowTrouble     `json:"worst"`
}

// FlowStage is one stage over the window.
type FlowStage struct {
	Name     string  `json:"name"`
	Part     string  `json:"part"`
	Works    uint64  `json:"works"`
	Reports  uint64  `json:"reports"`
	Rate     float64 `json:"reports_per_second"`
	Mean     float64 `json:"mean_seconds"`
	P50      float64 `json:"p50_seconds"`
	P99      float64 `json:"p99_seconds"`
	Busy     float64 `json:"busy"`
	UnderWay int     `json:"under_way"`
	Oldest   float64 `json:"oldest_seconds"`
}

// FlowStall is a stage that stands still.
type FlowStall struct {
	Stage     string `json:"stage"`
	Part      string `json:"part"`
	Since     string `json:"since"`
	Goroutine string `json:"goroutine,omitempty"`
	Stacks    string `json:"stacks,omitempty"`
}

// FlowBacklog is what waits for one sink.
type FlowBacklog struct {
	Sink    string `json:"sink"`
	Entries uint64 `json:"entries"`
	State   string `json:"state"`
	Why     string `json:"why,omitempty"`
}

// FlowSpool is what the spool uses, in bytes.
type FlowSpool struct {
	Used    int64 `json:"used_bytes"`
	Quota   int64 `json:"quota_bytes"`
	Pending int64 `json:"pending_bytes"`
}

// FlowMemory is what the process uses.
type FlowMemory struct {
	Used        uint64 `json:"used_bytes"`
	Heap        uint64 `json:"heap_bytes"`
	Limit       uint64 `json:"limit_bytes,omitempty"`
	Shedding    string `json:"shedding,omitempty"`
	Goroutines  uint64 `json:"goroutines"`
	Connections int    `json:"connections"`
}

// FlowTrouble is what stands in the books of a controller that has trouble.
type FlowTrouble struct {
	Controller  string `json:"controller"`
	Missing     uint64 `json:"missing"`
	Rejected    uint64 `json:"rejected"`
	Quarantined uint64 `json:"quarantined"`
	Duplicate   uint64 `json:"duplicate"`
	InSpool     uint64 `json:"in_spool"`
}

// Flow returns how reports flow.
func (c *Client) Flow(ctx context.Context) (Flow, error) {
	var f Flow
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/flow"}, nil, &f)
	return f, err
}
