package ops

import (
	"net/http"

	"github.com/penstock/penstock/internal/api/web"
)

// consoleRoutes are the paths of the pages for people. They are open: what they
// show comes from the API, which is not.
func (p *Parts) consoleRoutes() (routes []web.Route) {
	if p.Console == nil {
		return nil
	}
	serve := func(c *web.Call) error {
		p.Console.ServeHTTP(c, c.R)
		return nil
	}
	for _, r := range []struct{ path, summary string }{
		{"/{$}", "The console: the gateway's pages for people"},
		{"/assets/{file}", "A part of the console: a script, a style or a picture"},
	} {
		route := web.Route{Method: http.MethodGet, Path: r.path, Access: web.Open, Serve: serve, Summary: r.summary}
		if r.path != "/{$}" {
			route.Params = []web.Param{{In: "path", Name: "file", Doc: "The name of the part."}}
		}
		routes = append(routes, route)
	}
	return routes
}
