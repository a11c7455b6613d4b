package apiclient

import (
	"context"
	"net/http"
	"time"
)

// Gaps are sequence numbers that are missing.
type Gaps struct {
	Gaps []struct {
		Controller string `json:"controller"`
		Epoch      uint64 `json:"epoch"`
		First      uint64 `json:"first"`
		Last       uint64 `json:"last"`
	} `json:"gaps"`
	More     bool `json:"more,omitempty"`
	Restored *struct {
		Backup   time.Time `json:"backup"`
		Position uint64    `json:"position"`
		Restored time.Time `json:"restored"`
	} `json:"restored,omitempty"`
}

// Care is what a gateway is asked about its configuration and its books.
type Care struct{ *Client }

// Care returns what a gateway is asked about its configuration and its books.
func (c *Client) Care() Care { return Care{c} }

// Gaps returns what is missing of the controllers of a pattern, empty for all.
func (c Care) Gaps(ctx context.Context, controller string) (Gaps, error) {
	var g Gaps
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/gaps", query: filter(controller)}, nil, &g)
	return g, err
}

// DeclareLost declares lost what is missing of the controllers of a pattern, and returns
// what that was.
func (c Care) DeclareLost(ctx context.Context, controller string) (Gaps, error) {
	var g Gaps
	wish := struct {
		Controller string `json:"controller"`
	}{controller}
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/gaps/lost"}, wish, &g)
	return g, err
}
