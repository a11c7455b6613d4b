package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/supervise"
	"github.com/penstock/penstock/internal/supervise/capture"
)

// Client asks a manager. Errors of code [penstock.Unavailable] say that none
// listens.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a client of the manager whose control socket is at path.
func NewClient(path string) *Client {
	return &Client{path, &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}}
}

// Status asks how everything stands.
func (c *Client) Status(ctx context.Context) (supervise.Status, error) {
	var s supervise.Status
	err := c.ask(ctx, http.MethodGet, "status", nil, func(d *json.Decoder) error { return d.Decode(&s) })
	return s, err
}

// Restart replaces instances one after the other and tells of each; see
// [supervise.Manager.Restart].
func (c *Client) Restart(ctx context.Context, program string, instance int, tell func(instance string, took time.Duration)) error {
	values := url.Values{"program": {program}, "instance": {strconv.Itoa(instance)}}
	return c.ask(ctx, http.MethodPost, "restart", values, func(d *json.Decoder) error {
		for {
			var s Step
			if err := d.Decode(&s); err != nil {
				return ended(err)
			}
			if s.Problem != nil {
				return s.Problem.err()
			}
			tell(s.Instance, s.Took)
		}
	})
}

// Reload has the configuration read again and tells of each change; see
// [supervise.Manager.Reload].
func (c *Client) Reload(ctx context.Context, tell func(supervise.Change)) error {
	return c.ask(ctx, http.MethodPost, "reload", nil, func(d *json.Decoder) error {
		for {
			var t Turn
			if err := d.Decode(&t); err != nil {
				return ended(err)
			}
			if t.Problem != nil {
				return t.Problem.err()
			}
			tell(t.Change)
		}
	})
}

// Stop stops a program, or all and the manager when it is empty.
func (c *Client) Stop(ctx context.Context, program string) error {
	return c.ask(ctx, http.MethodPost, "stop", url.Values{"program": {program}}, func(*json.Decoder) error { return nil })
}

// Logs shows the last lines; see [supervise.Manager.Logs].
func (c *Client) Logs(ctx context.Context, program string, n int, follow bool, show func(*capture.Line) error) error {
	values := url.Values{"program": {program}, "lines": {strconv.Itoa(n)}, "follow": {strconv.FormatBool(follow)}}
	return c.ask(ctx, http.MethodGet, "logs", values, func(d *json.Decoder) error {
		for {
			var l capture.Line
			if err := d.Decode(&l); err != nil {
				return ended(err)
			}
			if err := show(&l); err != nil {
				return err
			}
		}
	})
}

// ended returns nil for the good end of an answer.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (c *Client) ask(ctx context.Context, method, what string, values url.Values, read func(*json.Decoder) error) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://manager/v1/"+what+"?"+values.Encode(), nil)
	if err != nil {
		return fmt.Errorf("ask the manager: %w", err)
	}
	response, err := c.http.Do(request)
	var failed *net.OpError
	if errors.As(err, &failed) && failed.Op == "dial" {
		return penstock.Errorf(penstock.Unavailable, "no manager can be asked at %s: %w. Is it another --runtime, or another user's?", c.path, failed.Err)
	}
	if err != nil {
		return fmt.Errorf("ask the manager: %w", err)
	}
	defer response.Body.Close() // it was read as far as it is wanted
	d := json.NewDecoder(response.Body)
	if response.StatusCode == http.StatusOK {
		return read(d)
	}
	var p Problem
	if err := d.Decode(&p); err != nil {
		return penstock.Errorf(penstock.Internal, "the manager answers %s", response.Status)
	}
	return p.err()
}

func (p *Problem) err() error {
	code := penstock.Internal
	for c := penstock.Internal; c <= penstock.Closed; c++ {
		if c.String() == p.Code {
			code = c
		}
	}
	return penstock.Errorf(code, "%s", p.Detail)
}
