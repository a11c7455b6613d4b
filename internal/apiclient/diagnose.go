package apiclient

import (
	"context"
	"net/http"
	"net/url"
)

// Overview says who reports and what is wrong. Times are RFC 3339.
type Overview struct {
	Time        string  `json:"time"`
	Controllers int     `json:"controllers"`
	Reporting   int     `json:"reporting"`
	Late        int     `json:"late"`
	Silent      int     `json:"silent"`
	New         int     `json:"new"`
	Held        int     `json:"held"`
	Causes      []Cause `json:"causes"` // the largest first
}

// Verdict is where a fault is, and how that is known.
type Verdict struct {
	Verdict    string   `json:"verdict"`
	Between    []string `json:"between,omitempty"` // of an unclear one
	Confidence float64  `json:"confidence"`        // 0 to 1
	Second     string   `json:"second,omitempty"`
	Rule       string   `json:"rule,omitempty"`
	Scope      string   `json:"scope,omitempty"` // controller, line, site, source or gateway
	Name       string   `json:"name,omitempty"`
	Since      string   `json:"since,omitempty"`
	For        []string `json:"evidence_for,omitempty"`
	Against    []string `json:"evidence_against,omitempty"`
	Missing    []string `json:"evidence_missing,omitempty"`
	Next       string   `json:"next,omitempty"`
	Send       string   `json:"send,omitempty"`
}

// Cause is a verdict with the controllers that it has in trouble.
type Cause struct {
	Verdict
	Count       int      `json:"count"`
	Controllers []string `json:"controllers"` // the first of them
	Gap         uint64   `json:"missing"`     // sequence numbers that are missing now
}

// Diagnosis is what is known of one controller.
type Diagnosis struct {
	Verdict
	Controller string          `json:"controller"`
	Site       string          `json:"site,omitempty"`
	Line       string          `json:"line,omitempty"`
	Source     string          `json:"source,omitempty"`
	LinkType   string          `json:"link_type,omitempty"`
	Pulse      string          `json:"pulse"` // reporting, late, silent, new or held
	LastSeen   string          `json:"last_seen,omitempty"`
	Usual      float64         `json:"usual_interval,omitempty"` // seconds
	Clock      *Clock          `json:"clock,omitempty"`
	Hops       *Hops           `json:"last_report,omitempty"`
	Now        LinkCounts      `json:"now"`
	Before     LinkCounts      `json:"before"`
	Signals    []SignalMargins `json:"signals,omitempty"`
	Gap        uint64          `json:"missing"`
}

// Clock is what is known of a controller's clock, in seconds.
type Clock struct {
	Age    float64 `json:"least_age"`
	Delay  float64 `json:"delay"`
	Offset float64 `json:"stepped"`
}

// Hops are when a report passed each stage.
type Hops struct {
	Identity string `json:"identity"`
	Source   string `json:"source,omitempty"` // on the controller's clock
	Received string `json:"received"`
	Accepted string `json:"accepted"`
	Stored   string `json:"stored"`
}

// LinkCounts are what came in a window.
type LinkCounts struct {
	Seconds      float64 `json:"seconds"`
	Reports      uint32  `json:"reports"`
	Fresh        uint32  `json:"fresh"`
	Again        uint32  `json:"again"`
	Skipped      uint32  `json:"skipped"`
	Refused      uint32  `json:"refused"`
	Frames       uint32  `json:"frames"`
	Damaged      uint32  `json:"damaged"`
	LineErrors   uint32  `json:"line_errors"`
	Timeouts     uint32  `json:"timeouts"`
	Exceptions   uint32  `json:"exceptions"`
	Malformed    uint32  `json:"malformed"`
	Restarts     uint32  `json:"restarts"`
	SessionsLost uint32  `json:"sessions_lost"`
}

// SignalMargins is a signal beside what is usual and what is needed.
type SignalMargins struct {
	Quantity string   `json:"quantity"`
	Unit     string   `json:"unit"`
	Value    float64  `json:"value"`
	Usual    *float64 `json:"usual,omitempty"`
	Limit    float64  `json:"limit"`
}

// DiagnoseFilter says what is asked for; empty for all.
type DiagnoseFilter struct {
	Controller string // a pattern
	Site       string
	Since      string // a duration or a time
}

// Overview returns the causes that stand.
func (c *Client) Overview(ctx context.Context, f DiagnoseFilter) (Overview, error) {
	query := url.Values{}
	for key, value := range map[string]string{"controller": f.Controller, "site": f.Site, "since": f.Since} {
		if value != "" {
			query.Set(key, value)
		}
	}
	var o Overview
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/diagnose", query: query}, nil, &o)
	return o, err
}

// Diagnosis returns what is known of one controller.
func (c *Client) Diagnosis(ctx context.Context, controller string) (Diagnosis, error) {
	var d Diagnosis
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/diagnose/" + url.PathEscape(controller)}, nil, &d)
	return d, err
}

// Commissioning is the record of one check of a connection. Times are RFC 3339.
type Commissioning struct {
	ID         string  `json:"id"`
	Controller string  `json:"controller"`
	Site       string  `json:"site,omitempty"`
	Line       string  `json:"line,omitempty"`
	Source     string  `json:"source,omitempty"`
	LinkType   string  `json:"link_type,omitempty"`
	By         string  `json:"by"` // the credential
	Begun      string  `json:"begun"`
	Ends       string  `json:"ends"`
	Done       bool    `json:"done"`
	Passed     bool    `json:"passed"`
	Checks     []Check `json:"checks,omitempty"`
}

// Check is one check of a record.
type Check struct {
	Name   string `json:"name"`
	Result string `json:"result"` // pass, fail or unknown
	Says   string `json:"says"`
}

// CommissionOrder says how a connection is to be checked: durations, empty for the
// defaults.
type CommissionOrder struct {
	For   string `json:"for,omitempty"`
	Every string `json:"every,omitempty"`
}

// Commission begins to check a connection.
func (c *Client) Commission(ctx context.Context, controller string, o CommissionOrder) (Commissioning, error) {
	var k Commissioning
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/commission/" + url.PathEscape(controller)}, o, &k)
	return k, err
}

// Commissionings returns the records of a controller, the newest first.
func (c *Client) Commissionings(ctx context.Context, controller string) ([]Commissioning, error) {
	var k struct {
		Records []Commissioning `json:"records"`
	}
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/commission/" + url.PathEscape(controller)}, nil, &k)
	return k.Records, err
}
