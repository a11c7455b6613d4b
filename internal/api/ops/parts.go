package ops

import "github.com/penstock/penstock/internal/api/web"

// Parts are what the answers come from. All must be given.
type Parts struct {
	Log Log
}

// Missing returns the name of a part that is not given, empty for none.
func (p *Parts) Missing() string {
	if p.Log == nil {
		return "Log"
	}
	return ""
}

// Routes returns the routes.
func (p *Parts) Routes() []web.Route { return p.logRoutes() }
