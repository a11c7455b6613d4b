// Package diagnosis answers for where faults are, and for the commissioning of
// controllers.
package diagnosis

import (
	"net/http"
	"reflect"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/query"
	"github.com/penstock/penstock/internal/api/web"
	"github.com/penstock/penstock/internal/diagnose"
	"github.com/penstock/penstock/internal/diagnose/commission"
)

// Diagnosis has the verdicts on the fleet.
type Diagnosis interface {
	Overview(f diagnose.Filter) diagnose.Overview
	Detail(controller string) (diagnose.Detail, bool)
	// Standings returns how each controller stands, in the order of their names.
	Standings() []diagnose.Standing
	Records(controller string) []commission.Record
	// Commission begins one; code NotFound for a controller that is not registered,
	// Conflict when one is under way.
	Commission(controller, by string, length, every time.Duration) (commission.Record, error)
}

// Handler answers by a diagnosis.
type Handler struct{ Diagnosis Diagnosis }

// Routes returns what it answers.
//
//lint:table
func (h *Handler) Routes() []web.Route {
	return []web.Route{{
		Method: http.MethodGet, Path: "/v1/diagnose", Access: web.Viewer, Serve: h.overview,
		Summary: "Who reports, and what is wrong: causes, the largest first",
		Details: "A cause takes one controller, or all that share a line, a site, a source or the gateway. unclear names the two causes between which the evidence does not tell.",
		Params: []web.Param{
			query.ControllerParam(),
			{In: "query", Name: "site", Doc: "Only controllers of that site.", Example: "north"},
			{In: "query", Name: "since", Doc: "Only verdicts that stand since then, or for at most so long: a time or a duration.", Example: "1h"},
		},
		Answer: []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[Overview]()}},
	}, {
		Method: http.MethodGet, Path: "/v1/diagnose/{controller}", Access: web.Viewer, Serve: h.detail,
		Summary: "The verdict on one controller with its evidence",
		Details: "With when its last report passed each stage, its clock, what came in the last window and the one before, and its signal beside the baseline.",
		Params:  []web.Param{{In: "path", Name: "controller", Doc: "The controller's name."}},
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[Detail]()}},
	}, {
		Method: http.MethodPost, Path: "/v1/commission/{controller}", Access: web.Operator, Serve: h.begin,
		Summary: "Begin to check a new connection",
		Details: "Signal, checksum errors, sequence, clock and points are checked for the time that is asked for. The answer says when it ends; the record is then at GET on the same path, and is kept.",
		Params:  []web.Param{{In: "path", Name: "controller", Doc: "The controller's name."}},
		Body:    []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[Order]()}},
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[Commissioning]()}},
		Status:  []int{http.StatusAccepted},
	}, {
		Method: http.MethodGet, Path: "/v1/commission/{controller}", Access: web.Viewer, Serve: h.records,
		Summary: "The records of a controller's commissionings, the newest first",
		Params:  []web.Param{{In: "path", Name: "controller", Doc: "The controller's name."}},
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[Commissionings]()}},
	}}
}

// overview answers GET /v1/diagnose.
func (h *Handler) overview(c *web.Call) error {
	pattern := c.Value("controller")
	filter := diagnose.Filter{Site: c.Value("site"), Shows: func(name string) bool { return c.Sees(pattern, name) }}
	if text := c.Value("since"); text != "" {
		since, err := sinceOf(text, c.Now())
		if err != nil {
			return err
		}
		filter.Since = since
	}
	o := h.Diagnosis.Overview(filter)
	return c.JSON(http.StatusOK, OverviewOf(&o))
}

func sinceOf(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	return time.Time{}, penstock.Errorf(penstock.Invalid, "since: %.40q is neither a duration such as 1h nor a time such as 2026-11-22T06:00:00Z", text)
}

// detail answers GET /v1/diagnose/{controller}.
func (h *Handler) detail(c *web.Call) error {
	name := c.R.PathValue("controller")
	if err := c.Covers(name); err != nil {
		return err
	}
	d, ok := h.Diagnosis.Detail(name)
	if !ok {
		return penstock.Errorf(penstock.NotFound, "There is no controller %.128q, or it is not followed yet.", name)
	}
	return c.JSON(http.StatusOK, DetailOf(&d))
}

// begin answers POST /v1/commission/{controller}.
func (h *Handler) begin(c *web.Call) error {
	name := c.R.PathValue("controller")
	if err := c.Covers(name); err != nil {
		return err
	}
	var order Order
	if err := c.ReadJSON(&order); err != nil {
		return err
	}
	length, every := time.Minute, time.Duration(0)
	for _, d := range []struct {
		key  string
		text string
		to   *time.Duration
	}{{"for", order.For, &length}, {"every", order.Every, &every}} {
		if d.text == "" {
			continue
		}
		var err error
		if *d.to, err = time.ParseDuration(d.text); err != nil {
			return penstock.Errorf(penstock.Invalid, "%s: %.40q is no duration such as 1m30s", d.key, d.text)
		}
	}
	r, err := h.Diagnosis.Commission(name, c.Who.Credential, length, every)
	if err != nil {
		return err
	}
	c.Log().Info("a commissioning begins", "controller", name, "for", length.String(), "by", c.Who.Credential, "peer", c.R.RemoteAddr)
	return c.JSON(http.StatusAccepted, commissioningOf(&r))
}

// records answers GET /v1/commission/{controller}.
func (h *Handler) records(c *web.Call) error {
	name := c.R.PathValue("controller")
	if err := c.Covers(name); err != nil {
		return err
	}
	answer := Commissionings{Records: []Commissioning{}}
	for _, r := range h.Diagnosis.Records(name) {
		answer.Records = append(answer.Records, commissioningOf(&r))
	}
	return c.JSON(http.StatusOK, answer)
}
