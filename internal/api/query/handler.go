package query

import (
	"net/http"
	"reflect"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/web"
	"github.com/penstock/penstock/internal/live"
)

const mediaNDJSON = "application/x-ndjson"

// Limits bound what callers can ask. A limit of 0 is the default.
type Limits struct {
	Queries   int           // queries at once: 64
	Streams   int           // event streams at once: 256
	Settle    time.Duration // for a query to wait for the record: 10 s
	Heartbeat time.Duration // between comments of an idle event stream, and between looks at its credential: 15 s
}

// Options are what a [Handler] needs; all but Limits must be given.
type Options struct {
	Historian Historian
	Ledger    Ledger
	Spool     Spool
	Feed      *live.Feed
	Limits    Limits
}

// Handler answers queries, the books and event streams.
type Handler struct {
	historian Historian
	ledger    Ledger
	spool     Spool
	feed      *live.Feed
	limits    Limits
	queries   chan struct{} // holds an element a query under way
	streams   chan struct{}
}

// New returns a handler.
func New(o Options) *Handler {
	l := o.Limits
	web.Default(&l.Queries, 64)
	web.Default(&l.Streams, 256)
	web.Default(&l.Settle, 10*time.Second)
	web.Default(&l.Heartbeat, 15*time.Second)
	return &Handler{
		historian: o.Historian, ledger: o.Ledger, spool: o.Spool, feed: o.Feed, limits: l,
		queries: make(chan struct{}, l.Queries), streams: make(chan struct{}, l.Streams),
	}
}

// Streams returns how many event streams are open.
func (h *Handler) Streams() int { return len(h.streams) }

// enter takes a place among those at once, until leave is called.
func enter(places chan struct{}, what string) (leave func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, penstock.RetryLater(penstock.Unavailable, time.Second, "The gateway answers as many "+what+" as it may at once.")
	}
}

// ControllerParam returns the query parameter that names controllers.
func ControllerParam() web.Param {
	return web.Param{In: "query", Name: "controller", Doc: "Name of the controller; * stands for any run of characters; all when absent.", Example: "pump-17"}
}

func pointParam() web.Param {
	return web.Param{In: "query", Name: "point", Doc: "Name of the point; * stands for any run of characters; all when absent.", Example: "flow"}
}

func timeParam() web.Param {
	return web.Param{In: "query", Name: "time", Doc: "How times are written: rfc3339, or ns for nanoseconds since 1970.", Example: "ns"}
}

// Routes returns the part of the table of routes that this package answers.
func (h *Handler) Routes() []web.Route {
	samples := []web.Media{
		{Name: web.JSONType, Of: reflect.TypeFor[SeriesAnswer]()}, {Name: mediaNDJSON, Of: reflect.TypeFor[SampleLine]()}, {Name: "text/csv"},
	}
	return []web.Route{{
		Method: http.MethodGet, Path: "/v1/query", Access: web.Viewer, Serve: h.samples,
		Summary: "Samples of a range of time",
		Details: "Ordered by controller, point and source time, streamed. Everything that was acknowledged before the request is in the answer. " +
			"An answer cut by limit holds next; with CSV it is in the trailer Penstock-Next.",
		Params: []web.Param{
			ControllerParam(), pointParam(),
			{In: "query", Name: "from", Doc: "First time: RFC 3339, nanoseconds since 1970, or relative to now (-1h). The beginning when absent.", Example: "-1h"},
			{In: "query", Name: "to", Doc: "Time before which the range ends, written likewise. The end when absent.", Example: "now"},
			{In: "query", Name: "step", Doc: "One value a step of this length, beginning at multiples of it since 1970: 10s, 5m, 1h, 1d.", Example: "5m"},
			{In: "query", Name: "agg", Doc: "What becomes of the values of a step: avg (when absent), min, max, sum, count, first or last.", Example: "max"},
			{In: "query", Name: "limit", Doc: "Most samples in the answer; no limit when absent.", Example: "1000"},
			{In: "query", Name: "next", Doc: "As an answer that was cut gave it, with the other parameters unchanged."},
			timeParam(),
		},
		Answer: samples,
	}, {
		Method: http.MethodGet, Path: "/v1/latest", Access: web.Viewer, Serve: h.latest,
		Summary: "The newest sample of each point",
		Details: "By source time; samples that come late do not move it back.",
		Params:  []web.Param{ControllerParam(), pointParam(), timeParam()},
		Answer:  samples,
	}, h.plotRoute(), h.ledgerRoute(), h.streamRoute()}
}
