package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Sink is how a sink stands. Times are RFC 3339.
type Sink struct {
	Name     string `json:"name"`
	Main     bool   `json:"system_of_record"`
	Record   bool   `json:"record"`
	State    string `json:"state"`
	Since    string `json:"since"`
	Why      string `json:"why,omitempty"`
	Alarm    string `json:"alarm,omitempty"`
	Failures int    `json:"failures,omitempty"`
	Next     string `json:"next_try,omitempty"`
	Through  uint64 `json:"through"`
	Gaps     int    `json:"gaps,omitempty"`
	Backlog  struct {
		Reports uint64  `json:"reports"`
		Bytes   int64   `json:"bytes"`
		Seconds float64 `json:"seconds"`
	} `json:"backlog"`
	Books struct {
		Delivered   uint64 `json:"delivered"`
		Quarantined uint64 `json:"quarantined"`
		Discarded   uint64 `json:"discarded"`
		Dropped     uint64 `json:"dropped"`
		Refed       uint64 `json:"fed_again"`
	} `json:"books"`
}

// Delivery is what goes on behind the spool of a gateway.
type Delivery struct{ client *Client }

// Delivery returns the calls about sinks and quarantine.
func (c *Client) Delivery() Delivery { return Delivery{c} }

// Sinks returns how the sinks stand, the system of record first.
func (d Delivery) Sinks(ctx context.Context) ([]Sink, error) {
	var answer struct {
		Sinks []Sink `json:"sinks"`
	}
	err := d.client.call(ctx, request{method: http.MethodGet, path: "/v1/sinks"}, nil, &answer)
	return answer.Sinks, err
}

// Pause stops delivery to a sink.
func (d Delivery) Pause(ctx context.Context, sink string) error {
	return d.client.call(ctx, request{method: http.MethodPost, path: "/v1/sinks/" + url.PathEscape(sink) + "/pause"}, nil, nil)
}

// Resume goes on with delivery to a sink.
func (d Delivery) Resume(ctx context.Context, sink string) error {
	return d.client.call(ctx, request{method: http.MethodPost, path: "/v1/sinks/" + url.PathEscape(sink) + "/resume"}, nil, nil)
}

// Replay has a sink given everything again that was accepted since a time, and
// returns from which position of the spool on.
func (d Delivery) Replay(ctx context.Context, sink string, since time.Time) (uint64, error) {
	var answer struct {
		From uint64 `json:"from"`
	}
	query := url.Values{"since": {since.UTC().Format(time.RFC3339Nano)}}
	err := d.client.call(ctx, request{method: http.MethodPost, path: "/v1/sinks/" + url.PathEscape(sink) + "/replay", query: query}, nil, &answer)
	return answer.From, err
}

// Held is a report in quarantine. Times are RFC 3339.
type Held struct {
	Number     uint64          `json:"number"`
	Controller string          `json:"controller"`
	Identity   string          `json:"identity"`
	Source     string          `json:"source,omitempty"`
	Samples    int             `json:"samples"`
	Reason     string          `json:"reason"`
	By         string          `json:"by"`
	Tries      int             `json:"tries"`
	First      string          `json:"first"`
	Last       string          `json:"last"`
	Received   string          `json:"received,omitempty"`
	Accepted   string          `json:"accepted,omitempty"`
	Report     json.RawMessage `json:"report,omitempty"`
	Raw        string          `json:"raw,omitempty"` // in the binary encoding, in Base64
}

// HeldPage is a part of a quarantine.
type HeldPage struct {
	Reports []Held  `json:"reports"`
	Next    *uint64 `json:"next,omitempty"` // the number to go on from; nil at the end
}

func held(sink string, number uint64) string {
	return "/v1/quarantine/" + url.PathEscape(sink) + "/" + strconv.FormatUint(number, 10)
}

// Quarantine returns reports in the quarantine of a sink with numbers from one on,
// with the reports themselves when detail is wanted.
func (d Delivery) Quarantine(ctx context.Context, sink string, from uint64, detail bool) (HeldPage, error) {
	query := url.Values{"from": {strconv.FormatUint(from, 10)}}
	if detail {
		query.Set("detail", "1")
	}
	var page HeldPage
	err := d.client.call(ctx, request{method: http.MethodGet, path: "/v1/quarantine/" + url.PathEscape(sink), query: query}, nil, &page)
	return page, err
}

// Held returns one report in quarantine, with all that is in it.
func (d Delivery) Held(ctx context.Context, sink string, number uint64) (Held, error) {
	var h Held
	err := d.client.call(ctx, request{method: http.MethodGet, path: held(sink, number)}, nil, &h)
	return h, err
}

// Decide retries or discards a report in quarantine, and tells whether that took
// effect already.
func (d Delivery) Decide(ctx context.Context, sink string, number uint64, verb string) (bool, error) {
	var answer struct {
		Done bool `json:"done"`
	}
	err := d.client.call(ctx, request{method: http.MethodPost, path: held(sink, number) + "/" + verb}, nil, &answer)
	return answer.Done, err
}
