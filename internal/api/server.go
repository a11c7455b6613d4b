package api

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/diagnosis"
	"github.com/penstock/penstock/internal/api/ingest"
	"github.com/penstock/penstock/internal/api/ops"
	"github.com/penstock/penstock/internal/api/query"
	"github.com/penstock/penstock/internal/api/session"
	"github.com/penstock/penstock/internal/api/watch"
	"github.com/penstock/penstock/internal/api/web"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/live"
)

// Options are what a [Server] needs. All but Version, Sources,
// Observer, Log, Now and Limits must be given.
type Options struct {
	Source    string       // the source's name in envelopes
	Listener  net.Listener // may be inherited; the server closes it
	TLS       *tls.Config  // of at least TLS 1.3
	Version   string       // of the gateway, for the OpenAPI document
	Auth      web.Authenticator
	Registry  Registry
	Sheets    Sheets
	Historian query.Historian
	Ledger    Ledger
	Spool     query.Spool
	Feed      *live.Feed
	Evidence  *evidence.Book
	Ops       ops.Parts
	Sources   func() []SourceState // how they are now; nil for none
	Diagnosis diagnosis.Diagnosis
	Delivery  Delivery
	Observer  web.Observer
	Log       *slog.Logger
	Now       func() time.Time
	Limits    Limits
}

// Delivery is what goes on behind the spool.
type Delivery struct {
	Sinks Sinks
	Held  Quarantine
}

// Limits bound what callers can ask of the server. The zero Limits are the
// defaults.
type Limits struct {
	Web    web.Limits
	Ingest ingest.Limits
	Query  query.Limits
	// Watch is how often those who watch are told: 1 s.
	Watch time.Duration
}

// Server is the HTTPS API. Make it with [New] and run it once.
type Server struct {
	listener net.Listener
	tls      *tls.Config
	web      *web.Server
	ingest   *ingest.Handler
	query    *query.Handler
	watch    *watch.Handler
}

var _ penstock.Source = (*Server)(nil)

// New returns a server that answers once [Server.Run] is called, which takes
// over the listener.
func New(o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Server{
		listener: o.Listener,
		tls:      o.TLS,
		ingest:   ingest.New(o.Source, o.Ledger, o.Limits.Ingest),
		query: query.New(query.Options{
			Historian: o.Historian, Ledger: o.Ledger, Spool: o.Spool, Feed: o.Feed, Limits: o.Limits.Query,
		}),
	}
	f := &fleet{registry: o.Registry}
	l := &links{book: o.Evidence, ledger: o.Ledger, sources: o.Sources}
	s.watch = watch.New(watch.Options{
		Standings: o.Diagnosis.Standings, Views: (&views{Options: o, links: l, query: s.query}).all(), Every: o.Limits.Watch, Paused: o.Feed.Paused,
	})
	signedIn := session.New(session.Options{Now: o.Now})
	var err error
	s.web, err = web.New(web.Options{
		Routes: slices.Concat(s.ingest.Routes(), s.query.Routes(), f.routes(), (&sheets{o.Sheets}).routes(), l.routes(),
			(&diagnosis.Handler{Diagnosis: o.Diagnosis}).Routes(), o.Ops.Routes(), (&sinks{o.Delivery.Sinks}).routes(), (&quarantine{o.Delivery.Held}).routes(),
			(&session.Handler{Table: signedIn, Auth: o.Auth}).Routes(), s.watch.Routes()),
		Auth: o.Auth, Sessions: signedIn, Version: o.Version, Observer: o.Observer, Log: o.Log, Now: o.Now, Limits: o.Limits.Web,
	})
	return s, err
}

// Run answers requests until ctx ends, hands reports to next, and returns when
// what was under way is answered or its time is over. It runs once.
func (s *Server) Run(ctx context.Context, next penstock.Handler) error {
	s.ingest.Connect(next)
	return s.web.Run(ctx, s.listener, s.tls)
}

// ServeHTTP answers one request: the server without its listener. Reports are
// refused as unavailable until [Server.Run] has begun.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.web.ServeHTTP(w, r) }

// Connections returns how many connections are open.
func (s *Server) Connections() int { return s.web.Connections() }

// Streams returns how many event streams are open.
func (s *Server) Streams() int { return s.query.Streams() + s.watch.Streams() }

func (o *Options) check() error {
	for _, needed := range []struct {
		name  string
		given bool
	}{
		{"Source", o.Source != ""}, {"Listener", o.Listener != nil}, {"TLS", o.TLS != nil}, {"Auth", o.Auth != nil},
		{"Registry", o.Registry != nil}, {"Sheets", o.Sheets != nil}, {"Historian", o.Historian != nil}, {"Ledger", o.Ledger != nil},
		{"Spool", o.Spool != nil}, {"Feed", o.Feed != nil}, {"Evidence", o.Evidence != nil}, {"Diagnosis", o.Diagnosis != nil},
		{"Delivery.Sinks", o.Delivery.Sinks != nil}, {"Delivery.Held", o.Delivery.Held != nil}, {"Ops." + o.Ops.Missing(), o.Ops.Missing() == ""},
	} {
		if !needed.given {
			return penstock.Errorf(penstock.Invalid, "the API needs Options.%s", needed.name)
		}
	}
	if o.TLS.MinVersion < tls.VersionTLS13 {
		return penstock.Errorf(penstock.Invalid, "the API speaks TLS 1.3 only: set MinVersion in Options.TLS")
	}
	return nil
}
