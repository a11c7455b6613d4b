package health

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// The limits of the port. It is asked by a few supervisors and scrapers, never
// by controllers.
const (
	headerTimeout = 5 * time.Second
	answerTimeout = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 8 << 10
	maxStreams    = 100
	maxMessage    = 4 << 10
	closeTimeout  = 2 * time.Second
)

// Server answers on the health port.
type Server struct {
	health   *Health
	listener net.Listener
	metrics  http.Handler
	log      *slog.Logger
}

// NewServer returns a server for the listener. The handler answers /metrics; it
// may be nil.
func NewServer(h *Health, ln net.Listener, metrics http.Handler, log *slog.Logger) *Server {
	if metrics == nil {
		metrics = http.NotFoundHandler()
	}
	return &Server{health: h, listener: ln, metrics: metrics, log: log}
}

// Run answers until ctx ends, and closes the listener.
func (s *Server) Run(ctx context.Context) error {
	rpc := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.WaitForHandlers(true))
	healthpb.RegisterHealthServer(rpc, s.health.rpc)
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler:           s.handler(rpc),
		Protocols:         &protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: idleTimeout},
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		// Watch answers as long as its caller stays: the end of ctx ends it.
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		DisableGeneralOptionsHandler: true,
	}
	served := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { served <- srv.Serve(s.listener) })
	defer wg.Wait()
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if srv.Shutdown(closing) != nil {
		srv.Close()
	}
	rpc.Stop()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// handler keeps the two protocols apart: gRPC is HTTP/2 with a media type of its
// own.
func (s *Server) handler(rpc http.Handler) http.Handler {
	plain := http.NewServeMux()
	plain.HandleFunc("GET /livez", s.answer(func(Snapshot) bool { return true }))
	plain.HandleFunc("GET /readyz", s.answer(func(r Snapshot) bool { return r.Status == OK }))
	plain.HandleFunc("GET /startupz", s.answer(func(r Snapshot) bool { return r.Status != Starting }))
	plain.Handle("GET /metrics", s.metrics)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			rpc.ServeHTTP(w, r)
			return
		}
		// A deadline that cannot be set is one of a connection that is gone.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		plain.ServeHTTP(w, r)
	})
}

func (s *Server) answer(good func(Snapshot) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		r := s.health.Snapshot()
		w.Header().Set("Content-Type", "application/json")
		if !good(r) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			s.log.Debug("a health answer was not taken", "error", err)
		}
	}
}
