package ops

import (
	"context"
	"net/http"
	"reflect"

	"github.com/penstock/penstock/internal/api/web"
)

// Reloader has the gateway read its configuration again.
type Reloader interface {
	// Reload takes the configuration over and returns what that changed; a dry run
	// returns what it would change. The error of a configuration that does not hold has
	// code Invalid and names file, line and column; nothing is changed then.
	Reload(ctx context.Context, dry bool) (ReloadInfo, error)
}

// ReloadInfo is what a new configuration changes.
type ReloadInfo struct {
	DryRun  bool           `json:"dry_run"`
	Changes []ConfigChange `json:"changes" doc:"First what waits for a restart, also since an earlier reload; none when nothing changed."`
	Deletes []string       `json:"deletes" doc:"What is deleted, given up or refused because of it."`
	Restart bool           `json:"restart" doc:"Some of it takes hold at the next start only."`
}

// ConfigChange is a key of the configuration that has another value.
type ConfigChange struct {
	Key    string `json:"key"`
	Before string `json:"before,omitempty" doc:"Secrets redacted; absent for none."`
	After  string `json:"after,omitempty"`
	Effect string `json:"effect" doc:"'at once', 'restart' for the next start, or what becomes of a source or a sink."`
	Why    string `json:"why,omitempty" doc:"Why it needs a restart."`
}

func (p *Parts) reloadRoutes() []web.Route {
	return []web.Route{{
		Method: http.MethodPost, Path: "/v1/reload", Access: web.Admin, Serve: p.reload,
		Summary: "Read the configuration again",
		Details: "All of it is taken over or, when it does not hold, nothing. What did not change is not touched.",
		Params:  []web.Param{{In: "query", Name: "dry_run", Doc: "1: tell what would change, and change nothing.", Example: "1"}},
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[ReloadInfo]()}},
	}}
}

// reload answers POST /v1/reload.
func (p *Parts) reload(c *web.Call) error {
	dry := c.Value("dry_run") == "1"
	info, err := p.Reloader.Reload(c.R.Context(), dry)
	if err != nil {
		return err
	}
	if !dry {
		c.Log().Warn("somebody had the configuration read again", "changes", len(info.Changes), "credential", c.Who.Credential)
	}
	return c.JSON(http.StatusOK, info)
}
