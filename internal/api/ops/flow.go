package ops

import (
	"net/http"
	"reflect"

	"github.com/penstock/penstock/internal/api/web"
)

// Flow tells how reports flow through the gateway.
type Flow interface {
	// Flow returns it, with at most so many of the controllers that have most
	// trouble, of those for which shown is true.
	Flow(worst int, shown func(controller string) bool) FlowInfo
}

// FlowInfo is how reports flow. Times are in seconds.
type FlowInfo struct {
	Time    string            `json:"time"`
	Window  float64           `json:"window_seconds" doc:"Over which rates and quantiles are told: the last minute, or since the start."`
	Stages  []StageInfo       `json:"stages" doc:"In the order in which a report goes through them."`
	Slowest map[string]string `json:"slowest" doc:"By part, the stage in which one piece of work takes longest."`
	Stalls  []StallInfo       `json:"stalls,omitempty" doc:"Stages that stand still."`
	Backlog []BacklogInfo     `json:"backlog" doc:"What waits in the spool."`
	Spool   SpoolInfo         `json:"spool"`
	Memory  MemoryInfo        `json:"memory"`
	Worst   []TroubleInfo     `json:"worst" doc:"The controllers with most trouble in their books, within the caller's scope."`
}

// StageInfo is one stage over the window.
type StageInfo struct {
	Name      string  `json:"name"`
	Part      string  `json:"part" enum:"acknowledgement,delivery,aside" doc:"acknowledgement: a sender waits for it."`
	Works     uint64  `json:"works" doc:"Pieces of work: envelopes, groups that were synced, batches that were settled."`
	Reports   uint64  `json:"reports"`
	Rate      float64 `json:"reports_per_second"`
	Mean      float64 `json:"mean_seconds" doc:"Of a piece of work."`
	P50       float64 `json:"p50_seconds"`
	P99       float64 `json:"p99_seconds"`
	Busy      float64 `json:"busy" doc:"Time spent in it a second; above 1 when several work or wait at once."`
	UnderWay  int     `json:"under_way" doc:"Pieces of work, now."`
	OldestAge float64 `json:"oldest_seconds" doc:"Age of the oldest of them."`
}

// StallInfo is a stage that stands still.
type StallInfo struct {
	Stage     string `json:"stage"`
	Part      string `json:"part"`
	Since     string `json:"since"`
	Goroutine string `json:"goroutine,omitempty" doc:"Its number, its state and the functions it is in, the innermost first."`
	Stacks    string `json:"stacks,omitempty" doc:"File on the gateway with the stacks of all goroutines."`
}

// BacklogInfo is what waits for one sink.
type BacklogInfo struct {
	Sink    string `json:"sink"`
	Entries uint64 `json:"entries" doc:"Of the spool: reports and decisions."`
	State   string `json:"state"`
	Why     string `json:"why,omitempty"`
}

// SpoolInfo is what the spool uses.
type SpoolInfo struct {
	Used    int64 `json:"used_bytes"`
	Quota   int64 `json:"quota_bytes" doc:"0 for none."`
	Pending int64 `json:"pending_bytes" doc:"That wait for their sync."`
}

// MemoryInfo is what the process uses.
type MemoryInfo struct {
	Used        uint64 `json:"used_bytes" doc:"Of the machine, as the Go runtime counts it."`
	Heap        uint64 `json:"heap_bytes" doc:"Objects that were in use at the last collection."`
	Limit       uint64 `json:"limit_bytes,omitempty" doc:"Below which the gateway keeps by shedding."`
	Shedding    string `json:"shedding,omitempty" doc:"What it does without to keep below the limit."`
	Goroutines  uint64 `json:"goroutines"`
	Connections int    `json:"connections" doc:"To the API."`
}

// TroubleInfo is what stands in the books of a controller that has trouble.
type TroubleInfo struct {
	Controller  string `json:"controller"`
	Missing     uint64 `json:"missing" doc:"Sequence numbers that are missing now."`
	Rejected    uint64 `json:"rejected"`
	Quarantined uint64 `json:"quarantined"`
	Duplicate   uint64 `json:"duplicate"`
	InSpool     uint64 `json:"in_spool"`
}

// worstShown is how many controllers are told of.
const worstShown = 10

func (p *Parts) flowRoutes() []web.Route {
	return []web.Route{{
		Method: http.MethodGet, Path: "/v1/flow", Access: web.Viewer, Serve: p.flow,
		Summary: "How reports flow: each stage with its latency, the slowest, what waits, and memory",
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[FlowInfo]()}},
	}}
}

// flow answers GET /v1/flow.
func (p *Parts) flow(c *web.Call) error {
	return c.JSON(http.StatusOK, p.Flow.Flow(worstShown, func(name string) bool { return c.Sees("", name) }))
}
