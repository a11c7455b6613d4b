// Package localsocket is the way to a gateway for whoever administers its machine: a
// unix socket in the data directory that only the gateway's own account and root
// can open. Profiles and heaps hold names and values, and so leave the gateway on no
// other way.
package localsocket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/heap"
)

// Name is the name of the socket in the directory run of a data directory.
const Name = "admin.sock"

// Options are what a [Server] answers from. All must be given.
type Options struct {
	Dir     string // directory of the socket
	Version string // of the gateway
	Log     *slog.Logger
	Now     func() time.Time
	// Bundle writes what a person who helps from afar needs to know.
	Bundle func(w io.Writer) error
	// Backup writes a backup to w, as order asks for.
	Backup func(ctx context.Context, w io.Writer, order []byte) error
}

// Server answers on the socket.
type Server struct {
	opt  Options
	work sync.WaitGroup // backups under way
}

// New returns a server that listens when it runs.
func New(o Options) *Server { return &Server{opt: o} }

// The limits of the socket.
const (
	headerTimeout = 5 * time.Second
	longest       = 5 * time.Minute // profile of the processor
	closeTimeout  = time.Second
	maxOrder      = 512 << 20 // bytes of what a backup need not send
)

// Run answers until ctx ends. An error says why the socket cannot be made.
func (s *Server) Run(ctx context.Context) error {
	ln, err := listen(s.opt.Dir)
	if err != nil {
		return penstock.Errorf(penstock.Unavailable, "the socket %s: %w", filepath.Join(s.opt.Dir, Name), err)
	}
	srv := &http.Server{Handler: s.routes(), ReadHeaderTimeout: headerTimeout, ErrorLog: slog.NewLogLogger(s.opt.Log.Handler(), slog.LevelDebug)}
	served := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { served <- srv.Serve(own{ln}) })
	defer wg.Wait()
	defer os.Remove(filepath.Join(s.opt.Dir, Name))
	select {
	case err = <-served:
		return err
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if srv.Shutdown(closing) != nil {
		srv.Close()
	}
	s.work.Wait() // their connections are closed
	return nil
}

// listen makes the socket. The system limits its path to 107 bytes, which a data
// directory may exceed: the directory is named by its descriptor.
func listen(dir string) (*net.UnixListener, error) {
	handle, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	path := filepath.Join(dir, Name)
	// The lock of the data directory says that whoever made it is gone.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: reach(handle), Net: "unix"})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// reach returns a short path of the socket in an open directory.
func reach(dir *os.File) string { return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), Name) }

// own is a listener that takes connections of the gateway's own account and of root
// only, also in the moment before the socket has its mode.
type own struct{ *net.UnixListener }

// Accept implements net.Listener.
func (l own) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peer(c); err == nil && (uid == 0 || uid == uint32(os.Geteuid())) {
			return c, nil
		}
		c.Close()
	}
}

func peer(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, err
	}
	if failed != nil {
		return 0, failed
	}
	return cred.Uid, nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /heap", s.heap)
	mux.HandleFunc("GET /support-bundle", s.bundle)
	mux.HandleFunc("POST /backup", s.backup)
	mux.HandleFunc("GET /debug/pprof/profile", s.processor)
	mux.HandleFunc("GET /debug/pprof/{name}", s.profile)
	return mux
}

func (s *Server) heap(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	s.gone(json.NewEncoder(w).Encode(heap.Take(s.opt.Version, s.opt.Now())))
}

func (s *Server) bundle(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/gzip")
	s.gone(s.opt.Bundle(w))
}

func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	s.work.Add(1)
	defer s.work.Done()
	order, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-tar")
	sent := &counted{ResponseWriter: w}
	err = s.opt.Backup(r.Context(), sent, order)
	if err != nil && !sent.begun {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	s.gone(err)
}

// counted remembers whether an answer has begun.
type counted struct {
	http.ResponseWriter
	begun bool
}

func (c *counted) Write(b []byte) (int, error) {
	c.begun = true
	return c.ResponseWriter.Write(b)
}

// profile answers with a profile of the runtime: heap, allocs, goroutine, mutex,
// block or threadcreate.
func (s *Server) profile(w http.ResponseWriter, r *http.Request) {
	p := pprof.Lookup(r.PathValue("name"))
	if p == nil {
		http.Error(w, "there is no such profile", http.StatusNotFound)
		return
	}
	debug, err := strconv.Atoi(r.FormValue("debug"))
	if err != nil {
		debug = 0
	}
	s.gone(p.WriteTo(w, debug))
}

// processor answers with what the processor did for some seconds, 30 unless said.
func (s *Server) processor(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.Atoi(r.FormValue("seconds"))
	if err != nil || seconds <= 0 {
		seconds = 30
	}
	if err := pprof.StartCPUProfile(w); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	defer pprof.StopCPUProfile()
	select {
	case <-r.Context().Done():
	case <-time.After(min(time.Duration(seconds)*time.Second, longest)):
	}
}

// gone notes an answer that was not taken.
func (s *Server) gone(err error) {
	if err != nil {
		s.opt.Log.Warn("an answer on the admin socket broke off", "error", err)
	}
}

// Get asks the gateway that runs on a data directory, and copies its answer to w.
func Get(ctx context.Context, data, path string, w io.Writer) error {
	return ask(ctx, data, question{method: http.MethodGet, path: path}, func(answer io.Reader) error {
		_, err := io.Copy(w, answer)
		return err
	})
}

// Post sends body to the gateway that runs on a data directory, and has read read its
// answer.
func Post(ctx context.Context, data, path string, body []byte, read func(answer io.Reader) error) error {
	return ask(ctx, data, question{http.MethodPost, path, body}, read)
}

type question struct {
	method, path string
	body         []byte
}

func ask(ctx context.Context, data string, q question, read func(answer io.Reader) error) error {
	dir := filepath.Join(data, "run")
	handle, err := os.Open(dir)
	if err != nil {
		return penstock.Errorf(penstock.Unavailable, "no gateway runs on %s: %w", data, err)
	}
	defer handle.Close()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", reach(handle))
	}}
	req, err := http.NewRequestWithContext(ctx, q.method, "http://gateway"+q.path, bytes.NewReader(q.body))
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "%w", err)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return penstock.Errorf(penstock.Unavailable,
			"the gateway on %s does not answer on its admin socket: %w. Is it running? The command needs its account, or root", data, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10)) // best effort: the status says enough
		return penstock.Errorf(penstock.Unavailable, "the admin socket answered %s: %s", res.Status, bytes.TrimSpace(why))
	}
	return read(res.Body)
}
