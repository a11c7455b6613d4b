package ops

import (
	"net/http"
	"slices"

	"github.com/penstock/penstock/internal/api/web"
)

// Parts are what the answers come from. All but Console must be given.
type Parts struct {
	Log  Log
	Flow Flow
	Reloader
	Gaps    Gaps
	Console http.Handler // the pages for people, at / and below /assets/; nil for none
}

// Missing returns the name of a part that is not given, empty for none.
func (p *Parts) Missing() string {
	switch {
	case p.Log == nil:
		return "Log"
	case p.Flow == nil:
		return "Flow"
	case p.Reloader == nil:
		return "Reloader"
	case p.Gaps == nil:
		return "Gaps"
	}
	return ""
}

// Routes returns the routes.
func (p *Parts) Routes() []web.Route {
	return slices.Concat(p.flowRoutes(), p.logRoutes(), p.reloadRoutes(), p.gapRoutes(), p.consoleRoutes())
}
