// Package apiclient speaks the gateway's HTTP API on behalf of the command line.
// Every error has a code: that of the problem which the gateway answered, or
// Unavailable when it could not be reached.
package apiclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/penstock/penstock"
)

// Options say how a gateway is reached.
type Options struct {
	URL       string // https://host:port, plain http on loopback only
	Token     string // bearer token, empty for none
	CA        []byte // PEM of the certificates to trust; nil for those of the system
	UserAgent string
}

// Client speaks to one gateway. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	token     string
	userAgent string
	http      *http.Client
}

// Times after which a silent gateway counts as not reachable.
const (
	dialTimeout   = 10 * time.Second
	answerTimeout = 60 * time.Second
)

// New returns a client. It connects at the first call.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, penstock.Errorf(penstock.Invalid, "%q is not the URL of a gateway: write https://host:port", o.URL)
	}
	if base.Scheme == "http" && !isLoopback(base.Hostname()) {
		return nil, penstock.Errorf(penstock.Invalid, "%s would show the token to the network: use https", o.URL)
	}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS13}
	if o.CA != nil {
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM(o.CA) {
			return nil, penstock.Errorf(penstock.Invalid, "the certificate file holds no certificate in PEM form")
		}
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:       tlsConfig,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: answerTimeout,
		IdleConnTimeout:       answerTimeout,
		ForceAttemptHTTP2:     true,
	}
	return &Client{base: base, token: o.Token, userAgent: o.UserAgent, http: &http.Client{
		Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the gateway redirects, which a gateway never does: look at the URL")
		},
	}}, nil
}

// Close ends the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// request is one call of the API.
type request struct {
	method      string
	path        string // its variable parts escaped
	query       url.Values
	accept      string
	contentType string
	body        []byte
	header      map[string]string
}

// do sends the request and returns the answer when its status is below 400; the
// caller closes the body.
func (c *Client) do(ctx context.Context, r request) (*http.Response, error) {
	target := c.base.JoinPath(r.path)
	target.RawQuery = r.query.Encode()
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), body)
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "the request cannot be made: %w", err)
	}
	req.Header.Set("User-Agent", c.userAgent)
	for name, value := range map[string]string{"Accept": r.accept, "Content-Type": r.contentType} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, c.unreachable(err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		defer drain(res.Body)
		return nil, problemOf(res)
	}
	return res, nil
}

// Unreachable means that no answer came from a gateway.
type Unreachable struct {
	URL       string
	Hint      string // what to do about it
	Permanent bool   // trying again will not help
	Broken    bool   // an answer had begun when the connection broke
	Err       error
}

// Error names the URL, the cause and what to do.
func (e *Unreachable) Error() string {
	return fmt.Sprintf("the gateway at %s cannot be reached: %v. %s", e.URL, e.Err, e.Hint)
}

// Unwrap returns the cause as an error of code Unavailable.
func (e *Unreachable) Unwrap() error {
	return &penstock.Error{Code: penstock.Unavailable, Err: e.Err}
}

// broken returns the error of an answer that broke off.
func (c *Client) broken(err error) error {
	return &Unreachable{URL: c.base.String(), Hint: "The connection broke in the middle of an answer.", Broken: true, Err: err}
}

// unreachable returns the error of a request that got no answer.
func (c *Client) unreachable(err error) error {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	e := &Unreachable{URL: c.base.String(), Err: err, Hint: "Is it running? Look at --url, or start it with: penstock serve"}
	var unknown x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		e.Permanent = true
		e.Hint = "Give its certificate with --ca FILE: it stands in the gateway's data directory as tls/cert.pem."
	case errors.As(err, &hostname):
		e.Permanent = true
		e.Hint = "Use one of the names in its certificate in --url, or give it a certificate for this name."
	case errors.As(err, &record):
		e.Permanent = true
		e.Hint = "What listens there does not speak TLS: look at --url."
	}
	return e
}

// drain reads what is left of a body, up to a limit, so that its connection can
// be used again, and closes it.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10) // only worth a try
	_ = body.Close()                          // nothing is lost by it
}
