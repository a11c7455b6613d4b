package apiclient

import (
	"context"
	"net/http"
	"net/url"
)

// Links is how the sources of the gateway are, and what happened on its ports and on
// the links of its controllers since it started.
type Links struct {
	Sources     []SourceState `json:"sources,omitempty"` // shown to a scope of *
	Ports       []Link        `json:"ports,omitempty"`   // shown to a scope of *
	Controllers []Link        `json:"controllers,omitempty"`
}

// SourceState is how one source is.
type SourceState struct {
	Name      string   `json:"name"`
	State     string   `json:"state"` // starting, running or failing
	Since     string   `json:"since"` // RFC 3339
	Why       string   `json:"why,omitempty"`
	Addresses []string `json:"addresses,omitempty"` // where it listens
}

// Link is one port, or the link of one controller. Times are RFC 3339.
type Link struct {
	Name      string              `json:"name"`
	Peer      string              `json:"peer,omitempty"`
	Heard     string              `json:"heard,omitempty"` // the last whole frame
	Counts    map[string]uint64   `json:"counts"`          // by event, those that are not zero
	Books     *LinkBooks          `json:"books,omitempty"` // of a controller
	Signals   map[string]Signal   `json:"signals,omitempty"`
	BadFrames []BadFrame          `json:"bad_frames,omitempty"` // the oldest first
	History   map[string][]Signal `json:"history,omitempty"`    // the oldest first
}

// LinkBooks is what the ledger knows of a controller's reports, for ever.
type LinkBooks struct {
	Duplicate uint64 `json:"duplicate"` // reports that came again
	Gap       uint64 `json:"gap"`       // sequence numbers that are missing now
}

// Signal is one reading of a quantity.
type Signal struct {
	Time  string  `json:"time"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// BadFrame is a frame that could not be used.
type BadFrame struct {
	Time  string `json:"time"`
	Event string `json:"event"`
	Why   string `json:"why"`
	Bytes string `json:"bytes"` // the first of it, in hexadecimal
	Size  int    `json:"size"`  // bytes of all of it
}

// LinkFilter says which links are wanted. Names are patterns, empty for all.
type LinkFilter struct {
	Controller string
	Port       string
	Detail     bool // with the bad frames and the history of signals
}

// Links returns the links that the filter asks for.
func (c *Client) Links(ctx context.Context, f LinkFilter) (Links, error) {
	query := url.Values{}
	if f.Controller != "" {
		query.Set("controller", f.Controller)
	}
	if f.Port != "" {
		query.Set("port", f.Port)
	}
	if f.Detail {
		query.Set("detail", "1")
	}
	var l Links
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/links", query: query}, nil, &l)
	return l, err
}
