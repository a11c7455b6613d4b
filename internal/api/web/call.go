package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/problem"
)

// Call is one request on its way through the server. It is an
// http.ResponseWriter.
type Call struct {
	response
	R      *http.Request
	Cred   penstock.Credential // as shown; empty on open routes
	Who    *penstock.Principal // who it is; nil on open routes
	Denied error               // why Who is nil, see [Route.Refuses]

	route   *Route
	session string // id of the session that the token came from, empty for none
	query   url.Values
	read    int64 // bytes of the body as they came
	renewed int64 // of them, when the deadlines were renewed
	control *http.ResponseController
	s       *Server
}

// Log returns the server's log.
func (c *Call) Log() *slog.Logger { return c.s.log }

// Now returns the time on the gateway's clock.
func (c *Call) Now() time.Time { return c.s.now() }

// Value returns a query parameter, empty when it is absent. One that the route
// does not declare is always absent.
func (c *Call) Value(name string) string { return c.query.Get(name) }

// response remembers whether the header of an answer was written.
type response struct {
	w      http.ResponseWriter
	status int
}

// Header, Write and WriteHeader implement http.ResponseWriter.
func (r *response) Header() http.Header { return r.w.Header() }

func (r *response) WriteHeader(status int) {
	r.status = status
	r.w.WriteHeader(status)
}

func (r *response) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.w.Write(b)
}

// Unwrap lets http.ResponseController find the connection.
func (r *response) Unwrap() http.ResponseWriter { return r.w }

// handle makes the handler of a route: what is common to all requests.
func (s *Server) handle(r *Route) http.Handler {
	name := strings.TrimSpace(r.name())
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		start := s.now()
		c := &Call{response: response{w: w}, R: req, route: r, s: s}
		defer func() { s.observer.Request(name, statusText(c.status), s.now().Sub(start), c.read) }()
		defer func() {
			if v := recover(); v != nil {
				s.recovered(c, v)
			}
		}()
		setSecurityHeaders(w.Header())
		if err := c.serve(); err != nil {
			c.fail(err)
		}
	})
}

func (c *Call) serve() error {
	if err := c.admit(); err != nil {
		return err
	}
	if err := c.parseQuery(); err != nil {
		return err
	}
	return c.route.Serve(c)
}

// fail answers with a problem. After the first byte of an answer only the end of
// the connection can tell that it is not whole.
func (c *Call) fail(err error) {
	if c.status != 0 {
		level := slog.LevelWarn
		if c.R.Context().Err() != nil {
			level = slog.LevelDebug // the caller is gone, which is its own affair
		}
		c.s.log.Log(c.R.Context(), level, "an answer broke off", "route", c.route.name(), "peer", c.R.RemoteAddr, "error", err)
		abort()
	}
	p := problem.From(err)
	if p.Kind == problem.Internal {
		c.s.log.Error("a request failed", "route", c.route.name(), "peer", c.R.RemoteAddr, "error", err)
	}
	problem.Write(c, p)
}

// recovered contains a panic of a handler: one request fails, the others go on.
func (s *Server) recovered(c *Call, v any) {
	if v == http.ErrAbortHandler {
		abort()
	}
	s.log.Error("a request failed by a fault of the gateway", "route", c.route.name(), "panic", v, "stack", string(debug.Stack()))
	if c.status != 0 {
		abort()
	}
	problem.Write(c, problem.From(penstock.Errorf(penstock.Internal, "panic")))
}

// abort ends the connection, or the stream of HTTP/2, in the middle of an answer.
// A panic with this value is net/http's way to do so, and its only one.
func abort() { panic(http.ErrAbortHandler) }

// guard stands before the multiplexer and refuses what no route should see.
func (s *Server) guard(mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.leaving() {
			w.Header().Set("Connection", "close") // over HTTP/2 it becomes a GOAWAY
		}
		var refusal *problem.Error
		switch {
		case headerSize(r) > s.limits.Header:
			refusal = problem.New(problem.HeaderTooLarge, "The header has more than "+strconv.Itoa(s.limits.Header)+" bytes.")
		case !cleanPath(r.URL):
			// A redirect would be the mux's answer; no client of an API means one.
			refusal = problem.New(problem.NotFound, "There is nothing at this path.")
		case s.origins.Check(r) != nil:
			refusal = problem.New(problem.CrossOrigin, "A page of another site sent this request.")
		default:
			mux.ServeHTTP(w, r)
			return
		}
		setSecurityHeaders(w.Header())
		problem.Write(w, refusal)
		s.observer.Request("refused", statusText(refusal.Kind.Status), 0, 0)
	})
}

func headerSize(r *http.Request) int {
	n := len(r.RequestURI)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return n
}

func cleanPath(u *url.URL) bool {
	p := u.Path
	return p != "" && p[0] == '/' && (path.Clean(p) == p || p != "/" && path.Clean(p)+"/" == p)
}

// parseQuery reads the query parameters; one that the route does not declare, or
// that comes twice, is refused.
func (c *Call) parseQuery() error {
	if c.R.URL.RawQuery == "" {
		return nil
	}
	q, err := url.ParseQuery(c.R.URL.RawQuery)
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "the query of the address cannot be read: %w", err)
	}
	for name, values := range q {
		if !c.route.declares("query", name) {
			return penstock.Errorf(penstock.Invalid, "%s has no query parameter %.60q: it takes %s", c.route.Path, name, c.route.parameters("query"))
		}
		if len(values) > 1 {
			return penstock.Errorf(penstock.Invalid, "the query parameter %s stands there %d times, and may stand once", name, len(values))
		}
	}
	c.query = q
	return nil
}

// Control returns the controller of the connection's deadlines and buffers.
func (c *Call) Control() *http.ResponseController {
	if c.control == nil {
		c.control = http.NewResponseController(c.w)
	}
	return c.control
}

// Extend gives the caller another interval to take a part of an answer.
func (c *Call) Extend() {
	// A deadline that cannot be set is one of a connection that is gone.
	_ = c.Control().SetWriteDeadline(time.Now().Add(c.s.limits.Progress))
}

// Send sends a part of an answer, and empties the buffer.
func (c *Call) Send(b *Body) error {
	c.Extend()
	_, err := c.Write(b.Bytes)
	b.Bytes = b.Bytes[:0]
	return err
}

// SendNow is [Call.Send] for a part that the caller waits for.
func (c *Call) SendNow(b *Body) error {
	if err := c.Send(b); err != nil {
		return err
	}
	return c.Control().Flush()
}

// UntilDrain returns a context that ends with the request or when the server
// takes nothing new, whichever is first. The caller must call stop.
func (c *Call) UntilDrain() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(c.R.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-c.s.draining:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() { cancel(); wg.Wait() }
}

// expired tells whether err is a deadline of a connection.
func expired(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func statusText(status int) string {
	switch status {
	case 0:
		return "none"
	case http.StatusOK:
		return "200"
	case http.StatusMultiStatus:
		return "207"
	}
	return strconv.Itoa(status)
}
