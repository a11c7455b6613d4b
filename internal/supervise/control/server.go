package control

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/supervise"
	"github.com/penstock/penstock/internal/supervise/capture"
)

// Manager is what is controlled.
type Manager interface {
	Status() supervise.Status
	Restart(ctx context.Context, program string, instance int, tell func(instance string, took time.Duration)) error
	Reload(tell func(supervise.Change)) error
	Stop(program string) error
	Logs(ctx context.Context, program string, n int, follow bool, show func(*capture.Line) error) error
}

// Step is a line of the answer to a restart: an instance that was replaced, or
// at the end why the next one was not.
type Step struct {
	Instance string        `json:"instance,omitempty"`
	Took     time.Duration `json:"took_ns,omitempty"`
	Problem  *Problem      `json:"problem,omitempty"`
}

// Turn is a line of the answer to a reload: what was done, or at the end what was
// not.
type Turn struct {
	supervise.Change
	Problem *Problem `json:"problem,omitempty"`
}

// Problem is an error in an answer.
type Problem struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// The limits of the socket. It is asked by few people.
const (
	headerTimeout = 5 * time.Second
	closeTimeout  = 2 * time.Second
	tellTimeout   = 5 * time.Second // for a line of a reload: nobody holds that up
	maxHeader     = 8 << 10
)

// Serve answers at the path until ctx ends. mode is that of the socket: 0600, or
// 0660 for the group too. ready is called when it can be asked.
func Serve(ctx context.Context, path string, mode os.FileMode, m Manager, ready func()) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return penstock.Errorf(penstock.Unavailable, "control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return penstock.Errorf(penstock.Unavailable, "control socket: %w; a shorter --runtime helps when the path is too long", err)
	}
	if err := os.Chmod(path, mode); err != nil {
		l.Close()
		return penstock.Errorf(penstock.Unavailable, "control socket: %w", err)
	}
	s := server{m}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("POST /v1/restart", s.restart)
	mux.HandleFunc("POST /v1/reload", s.reload)
	mux.HandleFunc("POST /v1/stop", s.stop)
	mux.HandleFunc("GET /v1/logs", s.logs)
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // callers that go away
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	served := make(chan error, 1)
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { served <- srv.Serve(l) })
	ready()
	select {
	case err = <-served:
		return penstock.Errorf(penstock.Unavailable, "control socket: %w", err)
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if srv.Shutdown(closing) != nil {
		srv.Close()
	}
	return nil
}

type server struct{ manager Manager }

func (s server) status(w http.ResponseWriter, _ *http.Request) { answer(w, s.manager.Status()) }

func (s server) stop(w http.ResponseWriter, r *http.Request) {
	if err := s.manager.Stop(r.FormValue("program")); err != nil {
		refuse(w, err)
		return
	}
	answer(w, struct{}{})
}

// restart answers a line for each instance, so that a person sees it go on.
func (s server) restart(w http.ResponseWriter, r *http.Request) {
	number, err := count(r, "instance", 0)
	if err != nil {
		refuse(w, err)
		return
	}
	tell := stream[Step](w)
	err = s.manager.Restart(r.Context(), r.FormValue("program"), number, func(instance string, took time.Duration) {
		_ = tell(Step{Instance: instance, Took: took}) // a caller who went away ends the request
	})
	if err != nil {
		_ = tell(Step{Problem: problemOf(err)})
	}
}

// reload answers a line for each change.
func (s server) reload(w http.ResponseWriter, _ *http.Request) {
	line, timing := stream[Turn](w), http.NewResponseController(w)
	tell := func(t Turn) {
		_ = timing.SetWriteDeadline(time.Now().Add(tellTimeout)) // without one it waits, which does no harm where few lines go
		_ = line(t)                                              // a caller who went away
	}
	if err := s.manager.Reload(func(c supervise.Change) { tell(Turn{Change: c}) }); err != nil {
		tell(Turn{Problem: problemOf(err)})
	}
}

func (s server) logs(w http.ResponseWriter, r *http.Request) {
	n, err := count(r, "lines", 100)
	if err != nil {
		refuse(w, err)
		return
	}
	show := stream[*capture.Line](w)
	err = s.manager.Logs(r.Context(), r.FormValue("program"), n, r.FormValue("follow") == "true", show)
	if penstock.CodeOf(err) == penstock.NotFound {
		refuse(w, err) // nothing was shown yet
	}
}

func count(r *http.Request, name string, otherwise int) (int, error) {
	text := r.FormValue(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, penstock.Errorf(penstock.Invalid, "%s: %q is not a number from 0 on", name, text)
	}
	return n, nil
}

// stream returns a function that writes values, a line each.
func stream[T any](w http.ResponseWriter) func(T) error {
	flush := http.NewResponseController(w)
	return func(v T) error {
		w.Header().Set("Content-Type", "application/x-ndjson")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			return err
		}
		return flush.Flush()
	}
}

func problemOf(err error) *Problem { return &Problem{penstock.CodeOf(err).String(), err.Error()} }

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a caller who went away
}

func refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	status := http.StatusInternalServerError
	switch penstock.CodeOf(err) {
	case penstock.Invalid:
		status = http.StatusBadRequest
	case penstock.NotFound:
		status = http.StatusNotFound
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(problemOf(err)) // a caller who went away
}
