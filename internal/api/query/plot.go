package query

import (
	"context"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/web"
)

// The limits of how many steps a plot has.
const (
	defaultSteps = 600
	maxSteps     = 2000
)

func (h *Handler) plotRoute() web.Route {
	return web.Route{
		Method: http.MethodGet, Path: "/v1/plot", Access: web.Viewer, Serve: h.plot,
		Summary: "One point over a range of time, as few values as a picture needs, and no spike hidden",
		Details: "The range is cut into steps, and each step that has samples tells the least, the greatest and the last of its values, how many samples had none or a bad one, and the worst status. A step without samples is not in the answer: it is a gap.",
		Params: []web.Param{
			{In: "query", Name: "controller", Doc: "Name of the controller.", Example: "pump-17"},
			{In: "query", Name: "point", Doc: "Name of the point.", Example: "flow"},
			{In: "query", Name: "from", Doc: "First time, written as for a query; an hour before to when absent.", Example: "-1h"},
			{In: "query", Name: "to", Doc: "Time before which the range ends; now when absent.", Example: "now"},
			{In: "query", Name: "steps", Doc: "How many steps at most, from 10 to 2000: the picture's width; 600 when absent.", Example: "600"},
		},
		Answer: []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[Plot]()}},
	}
}

// Plot is one point over a range of time, in columns of the same length.
type Plot struct {
	Controller string     `json:"controller"`
	Point      string     `json:"point"`
	Unit       string     `json:"unit" doc:"UCUM unit, empty when no report said."`
	From       float64    `json:"from" doc:"Seconds since 1970, as are all times here."`
	To         float64    `json:"to"`
	Step       float64    `json:"step" doc:"Seconds."`
	Times      []float64  `json:"times" doc:"At which the steps begin."`
	Min        []*float64 `json:"min" doc:"null where no sample had a good or uncertain number."`
	Max        []*float64 `json:"max"`
	Last       []*float64 `json:"last"`
	Unusable   []uint64   `json:"unusable" doc:"Samples that are bad or no number."`
	Status     []uint32   `json:"status" doc:"The worst, as the number of OPC UA."`
}

// plot answers GET /v1/plot.
func (h *Handler) plot(c *web.Call) error {
	sel, from, to, steps, err := parsePlot(c)
	if err != nil {
		return err
	}
	leave, err := enter(h.queries, "queries")
	if err != nil {
		return err
	}
	defer leave()
	if err := h.settled(c); err != nil {
		return err
	}
	// A whole number of milliseconds, and no more steps than were asked for.
	step := max((to-from+int64(steps)-1)/int64(steps), int64(time.Millisecond))
	step = (step + int64(time.Millisecond) - 1) / int64(time.Millisecond) * int64(time.Millisecond)
	p := Plot{
		Controller: sel.Controller, Point: sel.Point, From: secondsOf(from), To: secondsOf(to), Step: float64(step) / 1e9,
		Times: []float64{}, Min: []*float64{}, Max: []*float64{}, Last: []*float64{}, Unusable: []uint64{}, Status: []uint32{},
	}
	for _, s := range h.historian.Series(sel) {
		if s.Controller != sel.Controller || s.Point != sel.Point || !c.Who.Scope.Covers(s.Controller) {
			continue
		}
		p.Unit = s.Unit
		if err := p.fill(c.R.Context(), h.historian, s.ID, [3]int64{from, to, step}); err != nil {
			return ours(err)
		}
		return c.JSON(http.StatusOK, p)
	}
	return penstock.Errorf(penstock.NotFound, "The controller %.128q has no point %.128q.", sel.Controller, sel.Point)
}

// fill adds the steps of a series; span is from, to and step.
func (p *Plot) fill(ctx context.Context, historian Historian, id uint64, span [3]int64) error {
	for b, err := range historian.Aggregates(ctx, id, span[0], span[1], span[2]) {
		if err != nil {
			return err
		}
		p.Times = append(p.Times, secondsOf(b.Start))
		p.Unusable = append(p.Unusable, b.Unusable)
		p.Status = append(p.Status, uint32(b.Worst))
		var low, high, last *float64
		if b.Count > 0 {
			low, high = finite(b.Min), finite(b.Max)
			if v, ok := b.Last.Number(); ok {
				last = finite(v)
			}
		}
		p.Min, p.Max, p.Last = append(p.Min, low), append(p.Max, high), append(p.Last, last)
	}
	return nil
}

func parsePlot(c *web.Call) (sel Selector, from, to int64, steps int, err error) {
	sel = Selector{Controller: c.Value("controller"), Point: c.Value("point"), Scope: c.Who.Scope}
	if sel.Controller == "" || sel.Point == "" || strings.Contains(sel.Controller+sel.Point, "*") {
		return sel, 0, 0, 0, penstock.Errorf(penstock.Invalid, "a plot needs the full names of one controller and one point")
	}
	if err = c.Covers(sel.Controller); err != nil {
		return sel, 0, 0, 0, err
	}
	now := c.Now()
	to = now.UnixNano()
	if s := c.Value("to"); s != "" {
		if to, err = parseTime("to", s, now); err != nil {
			return sel, 0, 0, 0, err
		}
	}
	from = to - int64(time.Hour)
	if s := c.Value("from"); s != "" {
		if from, err = parseTime("from", s, now); err != nil {
			return sel, 0, 0, 0, err
		}
	}
	if from >= to || to-from < 0 { // the difference of far times overflows
		return sel, 0, 0, 0, penstock.Errorf(penstock.Invalid, "from is not before to, or the range is longer than 292 years")
	}
	steps = defaultSteps
	if s := c.Value("steps"); s != "" {
		if steps, err = strconv.Atoi(s); err != nil || steps < 10 || steps > maxSteps {
			return sel, 0, 0, 0, penstock.Errorf(penstock.Invalid, "steps: %.20q is not a number from 10 to %d", s, maxSteps)
		}
	}
	return sel, from, to, steps, nil
}

func secondsOf(ns int64) float64 { return float64(ns/1e6) / 1e3 }

// finite returns nil for what JSON has no number for.
func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
