package apiclient

import (
	"context"
	"net/http"
	"net/url"
)

// Reload is what a new configuration changed, or would change.
type Reload struct {
	DryRun  bool           `json:"dry_run"`
	Changes []ConfigChange `json:"changes"`
	Deletes []string       `json:"deletes"`
	Restart bool           `json:"restart"`
}

// ConfigChange is a key of the configuration that has another value.
type ConfigChange struct {
	Key    string `json:"key"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	Effect string `json:"effect"`
	Why    string `json:"why,omitempty"`
}

// Reload has the gateway read its configuration again; a dry run changes nothing.
func (c Care) Reload(ctx context.Context, dry bool) (Reload, error) {
	r := request{method: http.MethodPost, path: "/v1/reload"}
	if dry {
		r.query = url.Values{"dry_run": {"1"}}
	}
	var told Reload
	err := c.call(ctx, r, nil, &told)
	return told, err
}
