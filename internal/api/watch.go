package api

import (
	"github.com/penstock/penstock/internal/api/diagnosis"
	"github.com/penstock/penstock/internal/api/query"
	"github.com/penstock/penstock/internal/api/watch"
	"github.com/penstock/penstock/internal/api/web"
	"github.com/penstock/penstock/internal/diagnose"
)

// views are what the console shows, from the parts that answer the same questions
// one by one.
type views struct {
	Options
	links *links
	query *query.Handler
}

// shownInTrouble is how many controllers with trouble in their books are told.
const shownInTrouble = 10

func (v *views) all() []watch.View {
	return []watch.View{
		{Name: "overview", Of: v.overview},
		{Name: "books", Of: func(c *web.Call) (any, error) { return v.query.Total(c), nil }},
		{Name: "flow", Of: v.flow},
		{Name: "sinks", Of: v.sinks},
		{Name: "controller", Of: v.controller},
		{Name: "link", Of: v.link},
		{Name: "values", Of: v.values},
	}
}

// overview is without its time, which would make a change of every look.
func (v *views) overview(c *web.Call) (any, error) {
	o := v.Diagnosis.Overview(diagnose.Filter{Shows: func(name string) bool { return c.Sees("", name) }})
	answer := diagnosis.OverviewOf(&o)
	answer.Time = ""
	return answer, nil
}

func (v *views) flow(c *web.Call) (any, error) {
	f := v.Ops.Flow.Flow(shownInTrouble, func(name string) bool { return c.Sees("", name) })
	f.Time = ""
	return f, nil
}

func (v *views) sinks(c *web.Call) (any, error) {
	if !c.Who.Scope.Covers("*") {
		return nil, nil
	}
	return SinkList{v.Delivery.Sinks.Sinks()}, nil
}

func (v *views) controller(c *web.Call) (any, error) {
	name := c.Value("controller")
	if name == "" {
		return nil, nil
	}
	d, ok := v.Diagnosis.Detail(name)
	if !ok {
		return missing{name, true}, nil
	}
	return diagnosis.DetailOf(&d), nil
}

// missing says that there is no such controller, or not yet.
type missing struct {
	Controller string `json:"controller"`
	Missing    bool   `json:"unknown"`
}

func (v *views) link(c *web.Call) (any, error) {
	name := c.Value("controller")
	if name == "" {
		return nil, nil
	}
	info := LinkInfo{Name: name, Counts: map[string]uint64{}}
	if page, ok := v.Evidence.FindController(name); ok {
		info = linkInfo(page, page.Summary(), true)
	}
	info.Books = v.links.books(name)
	return info, nil
}

func (v *views) values(c *web.Call) (any, error) {
	name := c.Value("controller")
	if name == "" {
		return nil, nil
	}
	return v.query.Newest(c, name)
}
