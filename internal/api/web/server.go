package web

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
)

// Authenticator verifies what a caller shows of itself.
type Authenticator interface {
	// Authenticate returns who it is, or an error of code Unauthenticated. It is
	// called at every request and must not block.
	Authenticate(c penstock.Credential) (*penstock.Principal, error)
}

// Observer is told about each request that was answered. The route is one of
// the table's, the time runs from the header to the end of the answer, received
// are the bytes of the body.
type Observer interface {
	Request(route, status string, d time.Duration, received int64)
}

// Options are what a [Server] needs. Routes and Auth must be given.
type Options struct {
	Routes   []Route
	Auth     Authenticator
	Sessions Sessions // nil for none
	Version  string   // of the gateway, for the OpenAPI document
	Observer Observer
	Log      *slog.Logger
	Now      func() time.Time
	Limits   Limits
}

// Server answers requests by a table of routes.
type Server struct {
	auth     Authenticator
	sessions Sessions
	observer Observer
	log      *slog.Logger
	now      func() time.Time
	limits   Limits

	handler  http.Handler
	document []byte // /openapi.json
	origins  *http.CrossOriginProtection
	use      usage
	draining chan struct{} // closed when the server ends

	buffers   sync.Pool // of *Body
	inflaters sync.Pool // of *gzip.Reader
}

// New checks the table and returns a server that is ready to run.
func New(o Options) (*Server, error) {
	s := &Server{
		auth: o.Auth, sessions: o.Sessions, observer: o.Observer, log: o.Log, now: o.Now, limits: o.Limits.withDefaults(),
		origins: http.NewCrossOriginProtection(), draining: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.observer == nil {
		s.observer = unobserved{}
	}
	s.use.maxConnections = int64(s.limits.Connections)
	s.use.maxMemory = s.limits.BodyMemory
	routes := slices.Concat(o.Routes, documentRoutes())
	mux, err := s.newMux(routes)
	if err != nil {
		return nil, err
	}
	if s.document, err = openAPI(routes, o.Version); err != nil {
		return nil, err
	}
	s.handler = s.guard(mux)
	return s, nil
}

type unobserved struct{}

func (unobserved) Request(string, string, time.Duration, int64) {}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Connections returns how many connections are open.
func (s *Server) Connections() int { return int(s.use.connections.Load()) }

// Run answers requests over TLS until ctx ends, closes the listener, and returns
// when what was under way is answered or its time is over. It runs once.
func (s *Server) Run(ctx context.Context, ln net.Listener, config *tls.Config) error {
	srv := s.httpServer(config)
	served := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { served <- srv.ServeTLS(&limitedListener{Listener: ln, use: &s.use}, "", "") })
	defer wg.Wait()
	select {
	case err := <-served:
		srv.Close()
		return penstock.Errorf(penstock.Unavailable, "the listener %s failed: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	// Streams have no end of their own: they are ended first, so that the rest of
	// the time belongs to requests that wait for their answer.
	close(s.draining)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.Drain)
	defer cancel()
	// For a while each answer tells its caller to open another connection for the
	// next request: one that is closed between requests may cross with a request
	// on its way, and the caller could not know whether it was served.
	s.waitFor(drain, func() bool { return s.use.connections.Load() == 0 })
	// Then who connects waits in the queue of the socket for the next process. The
	// library drops requests that begin after Shutdown: those who are connected
	// have to come before.
	ln.Close()
	<-served
	s.waitFor(drain, func() bool { return s.use.fresh.Load() == 0 })
	if err := srv.Shutdown(drain); err != nil {
		s.log.Warn("requests were cut off at the end of the drain", "error", err)
		srv.Close()
	}
	return nil
}

// lingerLook is how often the server looks whether it may go on with its end.
const lingerLook = 5 * time.Millisecond

// waitFor waits until done, no longer than the limit.
func (s *Server) waitFor(ctx context.Context, done func() bool) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.Linger)
	defer cancel()
	look := time.NewTicker(lingerLook)
	defer look.Stop()
	for !done() {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// leaving tells whether the server is about to end.
func (s *Server) leaving() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

func (s *Server) httpServer(config *tls.Config) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler:   s.handler,
		TLSConfig: config,
		Protocols: &protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          s.limits.Streams,
			MaxDecoderHeaderTableSize:     4 << 10,
			MaxEncoderHeaderTableSize:     4 << 10,
			MaxReadFrameSize:              16 << 10,
			MaxReceiveBufferPerConnection: 1 << 20,
			MaxReceiveBufferPerStream:     256 << 10,
			SendPingTimeout:               time.Minute,
			PingTimeout:                   15 * time.Second,
			WriteByteTimeout:              s.limits.Progress,
		},
		ReadHeaderTimeout: s.limits.HeaderWait,
		ReadTimeout:       s.limits.Progress,
		WriteTimeout:      s.limits.Answer,
		IdleTimeout:       s.limits.Idle,
		ConnState:         s.use.follow,
		// The library's own answer to a larger header has no problem in it: it is
		// left to floods, and headers up to four times the limit get ours.
		MaxHeaderBytes:               4 * s.limits.Header,
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		DisableGeneralOptionsHandler: true,
	}
}

// limitedListener closes connections beyond the limit at once: a sender that is
// refused tries again, one that hangs waits for its own timeout.
type limitedListener struct {
	net.Listener
	use *usage
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.use.connections.Add(1) <= l.use.maxConnections {
			return &countedConn{Conn: c, use: l.use}, nil
		}
		l.use.connections.Add(-1)
		c.Close()
	}
}

type countedConn struct {
	net.Conn
	use   *usage
	once  sync.Once
	fresh atomic.Bool // it has not had its first request
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	c.once.Do(func() { c.use.connections.Add(-1) })
	return c.Conn.Close()
}
