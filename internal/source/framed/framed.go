package framed

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/serialport"
	"github.com/penstock/penstock/internal/source"
)

// Source takes frames. See the package.
type Source struct {
	config    Config
	env       source.Env
	port      *evidence.Page
	principal *penstock.Principal
}

var _ penstock.Source = (*Source)(nil)

// New returns a source of a configuration that was validated.
func New(c Config, env source.Env) (*Source, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Source{
		config: c.withDefaults(), env: env, port: env.Evidence.Port(env.Name), principal: source.Own(env.Name, c.Controllers),
	}, nil
}

// dialTimeout is how long a device may take to answer a connection.
const dialTimeout = 10 * time.Second

// Run implements [penstock.Source].
func (s *Source) Run(ctx context.Context, next penstock.Handler) error {
	switch c := &s.config; {
	case c.Serial != nil:
		return s.serial(ctx, next)
	case c.Listen != "":
		return s.listen(ctx, next)
	case c.UDP != "":
		return s.datagrams(ctx, next)
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", s.config.Connect)
	if err != nil {
		return penstock.Errorf(penstock.Unavailable, "connect: %w", err)
	}
	s.env.Status.OK()
	return s.stream(ctx, conn, &place{peer: conn.RemoteAddr().String()}, next)
}

// serial reads a line until it fails.
func (s *Source) serial(ctx context.Context, next penstock.Handler) error {
	port, err := serialport.Open(*s.config.Serial)
	if err != nil {
		return err
	}
	s.env.Status.OK()
	return s.stream(ctx, &source.Line{Port: port, Page: s.port}, &place{peer: s.env.Name}, next)
}

// listen takes connections until the listener fails.
func (s *Source) listen(ctx context.Context, next penstock.Handler) error {
	listener, err := s.env.Listen(s.env.Name, s.config.Listen)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	defer listener.Close()
	var devices sync.WaitGroup
	defer devices.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.env.Bound("sources."+s.env.Name, listener.Addr().String())
	s.env.Status.OK()
	places := newPlaces(s.config.Connections, s.config.Silence)
	for {
		conn, err := source.Accept(ctx, listener, s.env.Log)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return penstock.Errorf(penstock.Unavailable, "listen: %w", err)
		}
		mine := s.admit(places, conn)
		if mine == nil {
			continue
		}
		devices.Go(func() {
			defer mine.leave()
			s.port.Count(evidence.Connected)
			err := s.stream(ctx, conn, mine, next)
			s.port.Count(evidence.Lost)
			s.env.Log.Debug("a connection has ended", "peer", mine.peer, "error", err)
		})
	}
}

// admit gives a connection its place. Where there is none it tells the device to
// come later, if the configuration has a word for that, and closes.
func (s *Source) admit(places *places, conn net.Conn) *place {
	peer := conn.RemoteAddr().String()
	mine, gone := places.enter(s.env.Now(), conn, peer)
	if gone != nil {
		s.port.Bad(evidence.Timeout, []byte(gone.peer), "all places are taken, and this address brought no frame for longest: its connection was closed for another")
		gone.conn.Close()
	}
	if mine == nil {
		s.port.Bad(evidence.Refused, []byte(peer), "more connections than the source takes; this is the address of one that was closed")
		if later := s.config.Answers.Later; later != nil && conn.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
			_, _ = conn.Write(later.make(nil)) // it is closed in any case
		}
		conn.Close()
	}
	return mine
}

// ended tells whether err is the end of a connection that the source closed
// itself because ctx ended.
func ended(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, net.ErrClosed) || penstock.CodeOf(err) == penstock.Closed)
}
