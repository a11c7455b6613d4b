package apiclient

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/penstock/penstock"
)

// Mark names the last seq of an epoch up to which something holds without a gap.
type Mark struct {
	Epoch uint64 `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// Result is the gateway's answer to one report.
type Result struct {
	Controller string `json:"controller"`
	Epoch      uint64 `json:"epoch,omitempty"`
	Seq        uint64 `json:"seq,omitempty"`
	Key        string `json:"key,omitempty"`
	Result     string `json:"result"` // accepted, duplicate or rejected
	Reason     string `json:"reason,omitempty"`
	Detail     string `json:"detail,omitempty"`
	Committed  Mark   `json:"committed,omitzero"`
}

// Identity returns the identity as people write it.
func (r Result) Identity() string {
	switch {
	case r.Seq != 0:
		return penstock.SequenceIdentity(r.Epoch, r.Seq).String()
	case r.Key != "":
		return penstock.KeyIdentity(r.Key).String()
	}
	return "without identity"
}

// maxAnswer is the largest answer that is taken whole, in bytes.
const maxAnswer = 64 << 20

// SendReports sends reports, each a JSON object on a line of its own, and returns
// a result a report, in their order. With an error there are fewer results than
// reports: what became of the others is not known, or they could not be judged.
func (c *Client) SendReports(ctx context.Context, lines [][]byte) ([]Result, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	res, err := c.do(ctx, request{
		method: http.MethodPost, path: "/v1/reports", accept: "application/json",
		contentType: "application/x-ndjson", body: append(bytes.Join(lines, []byte("\n")), '\n'),
	})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Results []Result `json:"results"`
		Problem *Problem `json:"problem"`
	}
	if err := c.decode(res, &answer); err != nil {
		return nil, err
	}
	switch got := len(answer.Results); {
	case got < len(lines) && answer.Problem != nil:
		return answer.Results, answer.Problem
	case got != len(lines):
		return nil, penstock.Errorf(penstock.Internal, "the gateway gave %d results for %d reports", got, len(lines))
	}
	return answer.Results, nil
}

// decode reads a whole JSON answer and closes it. An answer that breaks off is
// as good as none.
func (c *Client) decode(res *http.Response, into any) error {
	defer drain(res.Body)
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return c.broken(err)
	}
	if len(body) > maxAnswer {
		return penstock.Errorf(penstock.TooLarge, "the gateway's answer is larger than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return penstock.Errorf(penstock.Internal, "the gateway's answer cannot be read: %w", err)
	}
	return nil
}
