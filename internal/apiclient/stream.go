package apiclient

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/penstock/penstock"
)

// maxEvent is the longest event that is read, in bytes: a report of the most
// samples, in JSON.
const maxEvent = 32 << 20

// Watch says which settled reports are wanted.
type Watch struct {
	Controller string // a name, in which '*' stands for any run of characters
	Point      string // likewise
	After      string // id of the last event that was seen, empty to begin now
}

// Event is one event of the live stream.
type Event struct {
	ID      string     // to go on after it
	Report  LiveReport // when it is a report
	Missed  bool       // reports went by unseen before this
	Count   *uint64    // how many, of all controllers; nil when nobody can know
	RawData []byte     // the report as the gateway wrote it
}

// LiveReport is a settled report as the stream shows it.
type LiveReport struct {
	Controller string `json:"controller"`
	Epoch      uint64 `json:"epoch"`
	Seq        uint64 `json:"seq"`
	Key        string `json:"key"`
	Samples    []Row  `json:"samples"`
}

// Stream calls each with every event until ctx ends, each fails or the
// connection breaks, which is an [*Unreachable].
func (c *Client) Stream(ctx context.Context, w Watch, each func(Event) error) error {
	values := url.Values{}
	for name, value := range map[string]string{"controller": w.Controller, "point": w.Point} {
		if value != "" {
			values.Set(name, value)
		}
	}
	r := request{method: http.MethodGet, path: "/v1/stream", query: values, accept: "text/event-stream"}
	if w.After != "" {
		r.header = map[string]string{"Last-Event-ID": w.After}
	}
	res, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // a stream has no end to drain to
	err = readEvents(bufio.NewScanner(res.Body), each)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if broken, ok := err.(*readError); ok {
		return c.broken(broken.err)
	}
	return err
}

// readEvents reads server-sent events as the HTML standard defines them, as far
// as gateways use them.
func readEvents(lines *bufio.Scanner, each func(Event) error) error {
	lines.Buffer(make([]byte, 0, 64<<10), maxEvent)
	var id, kind string
	var data []byte
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			if len(data) > 0 {
				if err := dispatch(id, kind, data, each); err != nil {
					return err
				}
			}
			kind, data = "", nil
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			id = value
		case "event":
			kind = value
		case "data":
			if data != nil {
				data = append(data, '\n')
			}
			if data = append(data, value...); len(data) > maxEvent {
				return penstock.Errorf(penstock.TooLarge, "an event of the gateway is larger than %d bytes", maxEvent)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return &readError{err}
	}
	return &readError{errEnded}
}

var errEnded = penstock.Errorf(penstock.Unavailable, "the gateway ended the stream")

func dispatch(id, kind string, data []byte, each func(Event) error) error {
	e := Event{ID: id}
	switch kind {
	case "missed":
		var missed struct {
			Missed *uint64 `json:"missed"`
		}
		if err := json.Unmarshal(data, &missed); err != nil {
			return penstock.Errorf(penstock.Internal, "an event of the gateway cannot be read: %w", err)
		}
		e.Missed, e.Count = true, missed.Missed
	case "report", "message", "":
		e.RawData = data
		if err := json.Unmarshal(data, &e.Report); err != nil {
			return penstock.Errorf(penstock.Internal, "an event of the gateway cannot be read: %w", err)
		}
	default:
		return nil // a kind that a newer gateway may send
	}
	return each(e)
}
