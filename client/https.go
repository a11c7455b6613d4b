package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// Bounds of a request over HTTPS, and times between requests.
const (
	postBytes    = 256 << 10
	postReports  = 1000
	postTime     = time.Minute
	answerBytes  = 4 << 20
	firstBackoff = time.Second
	lastBackoff  = time.Minute
)

// poster delivers over POST /v1/reports.
type poster struct {
	c      *Client
	http   *http.Client
	epoch  uint64
	next   uint64 // the first that was not answered
	marked uint64 // committed
	hollow uint64 // goes as an empty report: nothing was booked under it
	body   []byte
}

// post delivers over HTTPS until ctx ends.
func (c *Client) post(ctx context.Context) {
	p := &poster{c: c, http: &http.Client{Timeout: postTime, Transport: &http.Transport{TLSClientConfig: c.o.TLS, ForceAttemptHTTP2: true}}}
	defer p.http.CloseIdleConnections()
	backoff := firstBackoff
	for ctx.Err() == nil {
		sent, err := p.once(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			c.state(false, err)
			sleep(ctx, max(penstock.RetryAfterOf(err), backoff))
			backoff = min(2*backoff, lastBackoff)
		case sent:
			c.state(true, nil)
			backoff = firstBackoff
		default:
			p.idle(ctx, &backoff)
		}
	}
}

// idle waits for something new. While the record is behind, the newest report is
// sent again now and then: it is a duplicate, and the answer tells the watermark.
func (p *poster) idle(ctx context.Context, backoff *time.Duration) {
	_, first, next, _ := p.c.box.Bounds()
	wait := time.Hour
	if first < next {
		wait = *backoff
		*backoff = min(2*wait, lastBackoff)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-p.c.wake:
	case <-timer.C:
		if p.next == next && first < next {
			p.next = next - 1
		}
	}
}

// once sends what there is, up to a request, and tells whether there was any.
func (p *poster) once(ctx context.Context) (bool, error) {
	epoch, first, next, _ := p.c.box.Bounds()
	if epoch != p.epoch {
		p.epoch, p.next, p.marked = epoch, first, first-1
	}
	p.next = max(p.next, first)
	p.body = p.body[:0]
	from, to := p.next, p.next
	for to < next && to-from < postReports && len(p.body) < postBytes {
		before := len(p.body)
		if !p.load(to) {
			return false, nil // settled meanwhile
		}
		if len(p.body) > postBytes && before > 0 {
			p.body = p.body[:before]
			break
		}
		to++
	}
	if from == to {
		return false, nil
	}
	results, err := p.request(ctx)
	if err != nil {
		return false, err
	}
	return true, p.take(results, from, to)
}

// load appends a report to the body.
func (p *poster) load(seq uint64) (ok bool) {
	if seq == p.hollow {
		p.body = link.AppendReport(p.body, &penstock.Report{Controller: p.c.o.Controller, Identity: penstock.SequenceIdentity(p.epoch, seq)})
		return true
	}
	p.body, ok = p.c.box.Read(p.epoch, seq, p.body)
	return ok
}

// result is what the gateway answers to one report.
type result struct {
	Epoch     uint64          `json:"epoch"`
	Seq       uint64          `json:"seq"`
	Result    string          `json:"result"`
	Reason    penstock.Reason `json:"reason"`
	Detail    string          `json:"detail"`
	Committed *struct {
		Epoch uint64 `json:"epoch"`
		Seq   uint64 `json:"seq"`
	} `json:"committed"`
}

func (p *poster) request(ctx context.Context) ([]result, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+p.c.gateway.Host+"/v1/reports", bytes.NewReader(p.body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", link.MediaType)
	r.Header.Set("Accept", "application/json")
	if p.c.o.Token != "" {
		r.Header.Set("Authorization", "Bearer "+p.c.o.Token)
	}
	answer, err := p.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, answerBytes))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusMultiStatus {
		after, _ := strconv.Atoi(answer.Header.Get("Retry-After")) // 0 where it does not say
		return nil, penstock.RetryLater(penstock.Unavailable, time.Duration(after)*time.Second, fmt.Sprintf("the gateway answered %s: %.300s", answer.Status, text))
	}
	var results struct {
		Results []result `json:"results"`
	}
	if err := json.Unmarshal(text, &results); err != nil {
		return nil, penstock.Errorf(penstock.Internal, "the gateway's answer makes no sense: %w", err)
	}
	return results.Results, nil
}

// take notes the answers to the reports from from up to to.
func (p *poster) take(results []result, from, to uint64) (err error) {
	for i, r := range results {
		seq := from + uint64(i)
		if r.Epoch != p.epoch || r.Seq != seq || seq >= to {
			return penstock.Errorf(penstock.Internal, "the gateway answered %d/%d where %d/%d was asked", r.Epoch, r.Seq, p.epoch, seq)
		}
		if r.Committed != nil && r.Committed.Epoch == p.epoch {
			p.marked = max(p.marked, r.Committed.Seq)
		}
		if r.Result == penstock.Rejected.String() && !p.refused(seq, r) {
			err = penstock.Errorf(penstock.Unavailable, "the gateway refused the report %d/%d (%s): %s", p.epoch, seq, r.Reason, r.Detail)
			break
		}
		p.next = seq + 1
	}
	p.c.progress(penstock.Mark{Epoch: p.epoch, Seq: p.next - 1}, penstock.Mark{Epoch: p.epoch, Seq: p.marked})
	if err == nil && uint64(len(results)) < to-from {
		err = penstock.Errorf(penstock.Unavailable, "the gateway answered %d of %d reports", len(results), to-from)
	}
	return err
}

// refused notes a refusal and tells whether the number is settled by it.
func (p *poster) refused(seq uint64, r result) bool {
	switch r.Reason {
	case penstock.ReasonUnauthenticated, penstock.ReasonForbidden, penstock.ReasonUnknown, penstock.ReasonLimited, penstock.ReasonGaps:
		return false // that lies in how the gateway is set up, and not in the report
	case penstock.ReasonMalformed, penstock.ReasonTooLarge, penstock.ReasonName, penstock.ReasonIdentity, penstock.ReasonChecksum:
		if p.hollow != seq {
			p.hollow = seq
			p.c.refuse(penstock.SequenceIdentity(p.epoch, seq), r.Reason, r.Detail)
			return false
		}
		return true
	}
	p.c.refuse(penstock.SequenceIdentity(p.epoch, seq), r.Reason, r.Detail)
	return true
}
