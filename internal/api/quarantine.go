package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/web"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/link"
)

// Quarantine is where reports wait that a sink or a rule refused.
type Quarantine interface {
	// Quarantined returns at most limit reports in the quarantine of a sink with
	// numbers from first on; code NotFound when there is no such sink.
	Quarantined(ctx context.Context, sink string, first uint64, limit int) ([]Held, error)
	// Decide does what a person decided about a report. done tells that it took
	// effect; otherwise the sink learns of it in its turn.
	Decide(ctx context.Context, sink string, number uint64, verb penstock.Verb) (done bool, err error)
}

// Held is a report in quarantine. Times are nanoseconds since 1970 UTC.
type Held struct {
	Number uint64
	Reason string
	By     string // the sink, or the rule
	Tries  int
	First  int64 // when it was refused first
	Last   int64
	Report *penstock.Report
}

// quarantine answers for reports that were refused.
type quarantine struct{ quarantine Quarantine }

// The bounds of a page.
const (
	usualHeld = 20
	mostHeld  = 100
)

func (q *quarantine) routes() []web.Route {
	sink := web.Param{In: "path", Name: "sink", Doc: "Name of the sink whose quarantine it is.", Example: "historian"}
	number := web.Param{In: "path", Name: "number", Doc: "The report's number in it.", Example: "17"}
	return []web.Route{{
		Method: http.MethodGet, Path: "/v1/quarantine/{sink}", Access: web.Operator, Serve: q.list,
		Summary: "Reports that a sink or a rule refused",
		Params: []web.Param{
			sink,
			{In: "query", Name: "from", Doc: "Number of the first report; the answer says how to go on.", Example: "0"},
			{In: "query", Name: "limit", Doc: "Reports at most: 1 to 100; 20 when absent.", Example: "20"},
			{In: "query", Name: "detail", Doc: "1: with the reports themselves.", Example: "1"},
		},
		Answer: []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[HeldPage]()}},
	}, {
		Method: http.MethodGet, Path: "/v1/quarantine/{sink}/{number}", Access: web.Operator, Serve: q.show,
		Summary: "One report in quarantine, every byte of it",
		Params:  []web.Param{sink, number},
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[HeldInfo]()}},
	}, {
		Method: http.MethodPost, Path: "/v1/quarantine/{sink}/{number}/retry", Access: web.Operator, Serve: q.decide(penstock.Retry),
		Summary: "Deliver a report in quarantine now, if that goes",
		Details: "A plain sink is given it at once, and the answer says when it still refuses. A record learns of the decision through the spool, a moment later; what it still cannot store stays in quarantine with the new reason.",
		Params:  []web.Param{sink, number},
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[Decided]()}},
	}, {
		Method: http.MethodPost, Path: "/v1/quarantine/{sink}/{number}/discard", Access: web.Operator, Serve: q.decide(penstock.Discard),
		Summary: "Give a report in quarantine up",
		Params:  []web.Param{sink, number},
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[Decided]()}},
	}}
}

// HeldPage is a part of a quarantine.
type HeldPage struct {
	Reports []HeldInfo `json:"reports"`
	Next    *uint64    `json:"next,omitempty" doc:"The number to go on from; absent at the end."`
}

// HeldInfo is a report in quarantine.
type HeldInfo struct {
	Number     uint64          `json:"number"`
	Controller string          `json:"controller"`
	Identity   string          `json:"identity" doc:"epoch/seq, key:… or natural."`
	Source     string          `json:"source,omitempty"`
	Samples    int             `json:"samples"`
	Reason     string          `json:"reason" doc:"Why it was refused the last time."`
	By         string          `json:"by" doc:"The sink that refused it, or rule."`
	Tries      int             `json:"tries"`
	First      string          `json:"first" doc:"When it was refused first."`
	Last       string          `json:"last" doc:"When it was refused last."`
	Received   string          `json:"received,omitempty"`
	Accepted   string          `json:"accepted,omitempty"`
	Report     json.RawMessage `json:"report,omitempty" doc:"The report as the API takes it."`
	Raw        string          `json:"raw,omitempty" doc:"The same in the binary encoding, every byte, in Base64."`
}

// Decided tells whether a decision took effect already.
type Decided struct {
	Done bool `json:"done" doc:"false: the record learns of it in its turn."`
}

func info(h *Held, detail bool) (HeldInfo, error) {
	r := h.Report
	i := HeldInfo{
		Number: h.Number, Controller: r.Controller, Identity: r.Identity.String(), Source: r.Source, Samples: len(r.Samples),
		Reason: h.Reason, By: h.By, Tries: h.Tries, First: timeText(h.First), Last: timeText(h.Last),
		Received: timeText(r.ReceivedTime), Accepted: timeText(r.AcceptedTime),
	}
	if !detail {
		return i, nil
	}
	text, err := reportjson.AppendReport(nil, r)
	if err != nil {
		return i, err
	}
	i.Report, i.Raw = text, base64.StdEncoding.EncodeToString(link.AppendReport(nil, r))
	return i, nil
}

// list answers GET /v1/quarantine/{sink}.
func (q *quarantine) list(c *web.Call) error {
	from, err := number(c.Value("from"), 0)
	if err != nil {
		return err
	}
	limit, err := number(c.Value("limit"), usualHeld)
	if err != nil || limit < 1 || limit > mostHeld {
		return penstock.Errorf(penstock.Invalid, "limit: a page has 1 to %d reports", mostHeld)
	}
	held, err := q.quarantine.Quarantined(c.R.Context(), c.R.PathValue("sink"), from, int(limit))
	if err != nil {
		return err
	}
	page := HeldPage{Reports: []HeldInfo{}}
	for i := range held {
		if !c.Who.Scope.Covers(held[i].Report.Controller) {
			continue
		}
		one, err := info(&held[i], c.Value("detail") == "1")
		if err != nil {
			return err
		}
		page.Reports = append(page.Reports, one)
	}
	if len(held) == int(limit) {
		next := held[len(held)-1].Number + 1
		page.Next = &next
	}
	return c.JSON(http.StatusOK, page)
}

// find returns the report that a request names, if the caller may see it.
func (q *quarantine) find(c *web.Call) (*Held, error) {
	n, err := number(c.R.PathValue("number"), 0)
	if err != nil {
		return nil, err
	}
	sink := c.R.PathValue("sink")
	held, err := q.quarantine.Quarantined(c.R.Context(), sink, n, 1)
	if err != nil {
		return nil, err
	}
	if len(held) == 0 || held[0].Number != n || !c.Who.Scope.Covers(held[0].Report.Controller) {
		return nil, penstock.Errorf(penstock.NotFound, "report %d is not in the quarantine of sink %.64s", n, sink)
	}
	return &held[0], nil
}

// show answers GET /v1/quarantine/{sink}/{number}.
func (q *quarantine) show(c *web.Call) error {
	h, err := q.find(c)
	if err != nil {
		return err
	}
	one, err := info(h, true)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, one)
}

// decide answers POST /v1/quarantine/{sink}/{number}/retry and …/discard.
func (q *quarantine) decide(verb penstock.Verb) func(*web.Call) error {
	return func(c *web.Call) error {
		h, err := q.find(c)
		if err != nil {
			return err
		}
		sink := c.R.PathValue("sink")
		done, err := q.quarantine.Decide(c.R.Context(), sink, h.Number, verb)
		if err != nil {
			return err
		}
		c.Log().Info("a person decided about a report in quarantine", "discard", verb == penstock.Discard, "sink", sink, "number", h.Number,
			"controller", h.Report.Controller, "identity", h.Report.Identity.String(), "by", c.Who.Credential, "peer", c.R.RemoteAddr)
		return c.JSON(http.StatusOK, Decided{done})
	}
}

// number reads a number of the request.
func number(text string, absent uint64) (uint64, error) {
	if text == "" {
		return absent, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, penstock.Errorf(penstock.Invalid, "%.40q is not a number", text)
	}
	return n, nil
}
