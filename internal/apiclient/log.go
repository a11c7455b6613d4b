package apiclient

import (
	"context"
	"net/http"
)

// Log is how the log of a gateway stands.
type Log struct {
	Level      string      `json:"level"`
	Components []LogLevel  `json:"components"`
	Outputs    []LogOutput `json:"outputs"`
}

// LogLevel is the level of a component.
type LogLevel struct {
	Component string `json:"component"`
	Level     string `json:"level"`
	Own       bool   `json:"own"` // it does not follow the level of all
}

// LogOutput is how an output stands.
type LogOutput struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	State   string `json:"state"` // starting, ok or failing
	Since   string `json:"since"`
	Why     string `json:"why,omitempty"`
	Sent    uint64 `json:"sent"`
	Queued  int    `json:"queued"`
	Dropped uint64 `json:"dropped"`
}

// Log returns how the log stands.
func (c *Client) Log(ctx context.Context) (Log, error) {
	var l Log
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/log"}, nil, &l)
	return l, err
}

// SetLogLevel gives a component a level, all that have none of their own when the
// component is empty; an empty level has it follow that of all again.
func (c *Client) SetLogLevel(ctx context.Context, component, level string) error {
	wish := struct {
		Component string `json:"component,omitempty"`
		Level     string `json:"level,omitempty"`
	}{component, level}
	return c.call(ctx, request{method: http.MethodPut, path: "/v1/log/level"}, wish, nil)
}
