package apiclient

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/penstock/penstock"
)

// Query says which samples are wanted. Empty fields are left to the gateway.
type Query struct {
	Controller string // a name, in which '*' stands for any run of characters
	Point      string // likewise
	From, To   string // RFC 3339, nanoseconds, or relative to now ("-1h"); From is inside, To is not
	Step       string // a duration: one value a step
	Agg        string // how the values of a step become one: min, max, avg, sum, count, first, last
	Time       string // rfc3339 or ns
	Latest     bool   // only the newest sample of each point
	Limit      int    // most samples; 0 for all
}

// Row is one sample with the names of its series. Time and Value are JSON as the
// gateway wrote them, so that no digit is lost.
type Row struct {
	Controller string          `json:"controller"`
	Point      string          `json:"point"`
	Unit       string          `json:"unit,omitempty"`
	Time       json.RawMessage `json:"time"`
	Value      json.RawMessage `json:"value"`
	Status     penstock.Status `json:"status"`
}

// maxLine is the largest line of a streamed answer, in bytes: a text value and
// its names, escaped.
const maxLine = 1 << 20

// Samples calls each with every sample of the query, series by series and in the
// order of time, following the gateway's pages. It returns true when the limit
// cut the answer. An error of each ends it.
func (c *Client) Samples(ctx context.Context, q Query, each func(Row) error) (cut bool, err error) {
	count := 0
	counted := func(r Row) error {
		if q.Limit > 0 && count == q.Limit {
			return errCut
		}
		count++
		return each(r)
	}
	for next := ""; ; {
		before := count
		next, err = c.page(ctx, q, next, counted)
		switch {
		case errors.Is(err, errCut):
			return true, nil
		case err != nil || next == "":
			return false, err
		case q.Limit > 0 && count == q.Limit:
			return true, nil
		case count == before:
			return false, penstock.Errorf(penstock.Internal, "the gateway gave an empty page with another to follow")
		}
	}
}

var errCut = errors.New("cut")

func (c *Client) page(ctx context.Context, q Query, next string, each func(Row) error) (string, error) {
	path, values := "/v1/query", url.Values{}
	if q.Latest {
		path = "/v1/latest"
	}
	for name, value := range map[string]string{
		"controller": q.Controller, "point": q.Point, "from": q.From, "to": q.To,
		"step": q.Step, "agg": q.Agg, "time": q.Time, "next": next,
	} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.Limit > 0 && !q.Latest { // the latest are as many as there are points
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	res, err := c.do(ctx, request{method: http.MethodGet, path: path, query: values, accept: "application/x-ndjson"})
	if err != nil {
		return "", err
	}
	defer drain(res.Body)
	following := ""
	err = eachLine(res.Body, func(line []byte) error {
		var row struct {
			Row
			Next string `json:"next"`
		}
		if err := json.Unmarshal(line, &row); err != nil {
			return penstock.Errorf(penstock.Internal, "a line of the gateway's answer cannot be read: %w", err)
		}
		if row.Next != "" {
			following = row.Next
			return nil
		}
		return each(row.Row)
	})
	var broken *readError
	if errors.As(err, &broken) && ctx.Err() == nil {
		return "", c.broken(broken.err)
	}
	return following, err
}

// readError is a failure of the connection, apart from those of the caller.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }

// eachLine calls each with every line that is not empty. The line is only valid
// during the call.
func eachLine(r io.Reader, each func(line []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := each(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return &readError{err}
	}
	return nil
}
