package apart

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/apart/wire"
)

// DefaultMemory is how many bytes the process of a source may have.
const DefaultMemory = 512 << 20

// Limits of a source apart.
const (
	window     = 1024             // submissions that are undecided
	questions  = 256              // that wait for an answer
	greetTime  = 30 * time.Second // for the first word of the process
	farewell   = 10 * time.Second // for its end, once it is told to
	levelEvery = time.Second      // between two looks at what the log wants
)

// Options say what is to run.
type Options struct {
	// Args are the arguments with which this program serves a source: it has to call
	// [Serve]. The name of the source follows them.
	Args   []string
	Config []byte // for the [Make] of the other process
	Memory uint64 // bytes that it may have; DefaultMemory when 0
}

// Source runs in a process of its own.
type Source struct {
	Options
	env    source.Env
	memory *memory
}

// New returns a source that is to run apart.
func New(o Options, env source.Env) (*Source, error) {
	o.Memory = cmp.Or(o.Memory, DefaultMemory)
	m, err := source.Remembered(env, func() (*memory, error) { return new(memory), nil })
	return &Source{Options: o, env: env, memory: m}, err
}

// Run starts the process and serves it until ctx ends or the process has ended,
// which is an error.
func (s *Source) Run(ctx context.Context, next penstock.Handler) error {
	ours, theirs, err := pair()
	if err != nil {
		return penstock.Errorf(penstock.Unavailable, "a pair of sockets for the process of the source: %w", err)
	}
	p, err := launch(append(s.Args, s.env.Name), theirs)
	theirs.Close()
	if err != nil {
		ours.Close()
		return err
	}
	h := newHost(s, wire.New(ours), next)
	var writer sync.WaitGroup
	writer.Go(h.conn.Run)
	if err = ours.SetReadDeadline(time.Now().Add(greetTime)); err == nil {
		err = h.greet()
	}
	if err == nil {
		err = ours.SetReadDeadline(time.Time{})
	}
	if err == nil {
		s.env.Log.Info("the source runs in a process of its own", "pid", p.pid())
		err = h.serve(ctx, p)
	}
	h.conn.Close()
	writer.Wait()
	return s.ended(ctx, p, err)
}

// ended waits for the process, and says why it ended: err is why nobody listens to
// it any more.
func (s *Source) ended(ctx context.Context, p *process, err error) error {
	lost := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	how, words := p.wait(lost)
	switch {
	case ctx.Err() != nil:
		s.memory.retain(nil) // what was told to end leaves nothing
		if how != "" {
			s.env.Log.Warn("the process of the source did not end in good order", "exit", how, "words", words.text())
		}
		return nil
	case !lost:
		return err
	}
	how = cmp.Or(how, "it ended by itself")
	s.env.Log.Error("the process of the source has ended; the gateway and its other sources go on", "pid", p.pid(), "exit", how, "stack", words.text())
	if said := words.gist(); said != "" {
		how += ": " + said
	}
	return penstock.Errorf(penstock.Unavailable, "the process of the source has ended: %s", how)
}

// pair returns two sockets that are connected: a connection, and a file for the
// other process.
func pair() (*net.UnixConn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	mine, theirs := os.NewFile(uintptr(fds[0]), "gateway"), os.NewFile(uintptr(fds[1]), "source")
	defer mine.Close()
	conn, err := socketOf(mine)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

// socketOf returns the connection that a file is.
func socketOf(f *os.File) (*net.UnixConn, error) {
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, penstock.Errorf(penstock.Invalid, "a %s socket is no pair of sockets", c.LocalAddr().Network())
	}
	return conn, nil
}

// wanted returns from which level on the log takes records.
func wanted(ctx context.Context, log *slog.Logger) slog.Level {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn} {
		if log.Enabled(ctx, level) {
			return level
		}
	}
	return slog.LevelError
}
