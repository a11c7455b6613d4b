package mqtt

import (
	"context"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
)

// maxLatest is of how many topics the sink remembers how new their kept message is.
const maxLatest = 1 << 20

// Sink publishes to one broker. It connects when there is something to write, and
// again after whatever broke the connection.
type Sink struct {
	settings
	env     sink.Env
	latest  map[string]int64 // with retain: source time of what the broker keeps, by topic
	edge    *edge            // nil unless the sink is an edge node of Sparkplug B
	session *session         // nil while there is none
	closed  bool
}

// New returns a sink that is not connected yet. Errors have code
// [penstock.Invalid].
func New(c Config, env sink.Env) (*Sink, error) {
	s, err := newSettings(c)
	if err != nil {
		return nil, err
	}
	if s.ClientID == "" {
		s.ClientID = "penstock-" + env.Name + "-sink"
	}
	sink := &Sink{settings: s, env: env, latest: map[string]int64{}}
	if s.Sparkplug != nil {
		sink.edge, err = newEdge(*s.Sparkplug, env)
	}
	return sink, err
}

// Write implements [penstock.Sink]. It returns when the broker has acknowledged every
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
	if s.edge != nil {
		err := s.edge.write(ctx, s.session, rs)
		s.settle(!stop())
		return err
	}
	w := writing{session: s.session, failed: map[int]error{}}
	for i, r := range rs {
		w.report(ctx, i, r, s.keep)
	}
	for len(w.pending) > 0 {
		w.settle(ctx)
	}
	s.settle(!stop())
	return w.outcome(len(rs))
}

// settle lets go of a connection that is of no more use.
func (s *Sink) settle(abandoned bool) {
	if abandoned || s.session.over() {
		s.session.close()
		s.session = nil
	}
}

// keep tells whether the broker is to keep a message: when it is newer than what the
// broker has. What is too much to remember is forgotten: then the order of delivery
// decides.
func (s *Sink) keep(m message) bool {
	name := m.packet.Topic
	before, known := s.latest[name]
	if !s.Retain || m.historical || known && m.newest < before {
		return false
	}
	if !known && len(s.latest) >= maxLatest {
		clear(s.latest)
	}
	s.latest[name] = m.newest
	return true
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
