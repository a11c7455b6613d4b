package amqp

import (
	"context"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
)

// Sink publishes to one broker. It connects when there is something to write, and
// again after whatever broke the connection.
type Sink struct {
	settings
	env     sink.Env
	session *session // nil while there is none
	closed  bool
}

// New returns a sink that is not connected yet. Errors have code
// [penstock.Invalid].
func New(c Config, env sink.Env) (*Sink, error) {
	s, err := newSettings(c)
	if err != nil {
		return nil, err
	}
	return &Sink{settings: s, env: env}, nil
}

// Write implements [penstock.Sink]. It returns when the broker has confirmed every
// message, or when it is known which ones it has not.
func (s *Sink) Write(ctx context.Context, rs []*penstock.Report) error {
	switch {
	case s.closed:
		return penstock.Errorf(penstock.Closed, "the sink is closed")
	case ctx.Err() != nil:
		return ctx.Err()
	case len(rs) == 0:
		return nil
	}
	if s.session == nil {
		opened, err := s.open(ctx)
		if err != nil {
			return err
		}
		s.session = opened
	}
	// A broker that does not read makes a publish wait for ever: only the end of the
	// connection ends that.
	stop := context.AfterFunc(ctx, s.session.abandon)
	w := writing{session: s.session, failed: map[int]error{}, returned: map[string]string{}}
	w.write(ctx, rs)
	if abandoned := !stop(); abandoned || s.session.channel.IsClosed() {
		s.session.close()
		s.session = nil
	}
	return w.outcome(rs)
}

// Close implements [penstock.Sink].
func (s *Sink) Close() error {
	s.closed = true
	if s.session != nil {
		s.session.close()
		s.session = nil
	}
	return nil
}
