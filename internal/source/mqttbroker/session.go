package mqttbroker

import (
	"context"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/source/mqttbroker/fanout"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// sessionKey tells sessions apart. An identifier belongs to the credential that
// shows it: the same one under another credential is another client, so that
// nobody can take a session over or keep its owner out.
type sessionKey struct{ credential, id string }

// session is what the broker keeps of a client, connected or not.
type session struct {
	key        sessionKey
	subscriber *fanout.Subscriber
	wake       chan struct{} // there may be something to send

	mu       sync.Mutex       // guards everything below
	received *[1 << 10]uint64 // QoS 2: identifiers that were taken and not released; nil for none
	held     int              // how many these are
	expiry   time.Duration
	will     *wire.Message // nil for none
	willAt   time.Time     // when it is to be published; zero while connected
}

func newSession(key sessionKey, hub *fanout.Hub) *session {
	s := &session{key: key, wake: make(chan struct{}, 1)}
	s.subscriber = hub.Join(func() {
		select {
		case s.wake <- struct{}{}:
		default: // it is awake
		}
	})
	return s
}

// has tells whether a publish of QoS 2 was taken and not yet released.
func (s *session) has(id uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received != nil && s.received[id>>6]&(1<<(id&63)) != 0
}

// unreleased returns how many publishes of QoS 2 were taken and not yet released.
func (s *session) unreleased() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// receive notes that a publish of QoS 2 was taken.
func (s *session) receive(id uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.received == nil {
		s.received = new([1 << 10]uint64)
	}
	if bit := uint64(1) << (id & 63); s.received[id>>6]&bit == 0 {
		s.received[id>>6] |= bit
		s.held++
	}
}

// release forgets a publish of QoS 2, and tells whether it was known.
func (s *session) release(id uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.received == nil || s.received[id>>6]&(1<<(id&63)) == 0 {
		return false
	}
	s.received[id>>6] &^= 1 << (id & 63)
	s.held--
	return true
}

// keep changes how long the session outlives its connection.
func (s *session) keep(d time.Duration) {
	s.mu.Lock()
	s.expiry = d
	s.mu.Unlock()
}

// forgetWill takes the will back, as a client that leaves in peace does.
func (s *session) forgetWill() {
	s.mu.Lock()
	s.will = nil
	s.mu.Unlock()
}

// sessions are all sessions of a broker.
type sessions struct {
	limit int

	mu  sync.Mutex // guards everything below
	all map[sessionKey]*stay
}

// stay is a session with what becomes of it.
type stay struct {
	*session
	conn *conn     // nil while the client is away
	ends time.Time // when it is forgotten, while the client is away
}

func newSessions(limit int) *sessions {
	return &sessions{limit: limit, all: map[sessionKey]*stay{}}
}

// attach gives the connection its session. A connection that has it is ended
// first, and waited for: what it received must be decided about before the same
// client goes on.
func (ss *sessions) attach(ctx context.Context, c *conn) (present bool, r *refusal) {
	key := sessionKey{c.client.Principal.Credential, c.client.ID}
	patience := time.NewTimer(connectPatience)
	defer patience.Stop()
	for {
		old := ss.occupant(key)
		if old == nil {
			if present, r, ok := ss.enter(ctx, c, key); ok {
				return present, r
			}
			continue
		}
		old.end(endTaken)
		select {
		case <-old.gone:
		case <-patience.C:
			return false, &refusal{wire.ServerBusy, oldUnavailable, "what the client published before is not decided about yet: try again later"}
		case <-ctx.Done():
			return false, &refusal{wire.ShuttingDown, oldUnavailable, endStopped.text}
		case <-c.done:
			return false, &refusal{wire.ServerBusy, oldUnavailable, c.why.text}
		}
	}
}

func (ss *sessions) occupant(key sessionKey) *conn {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s := ss.all[key]; s != nil {
		return s.conn
	}
	return nil
}

// enter puts the connection into its session, a new one where there is none or
// the client wants none. It returns false when another connection came before.
func (ss *sessions) enter(ctx context.Context, c *conn, key sessionKey) (present bool, r *refusal, ok bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.all[key]
	if s != nil && s.conn != nil {
		return false, nil, false
	}
	if s != nil && c.connect.CleanStart {
		c.discard(ctx, s)
		s = nil
	}
	present = s != nil
	if s == nil {
		if len(ss.all) >= ss.limit && !ss.evict(ctx, c) {
			return false, &refusal{wire.QuotaExceeded, oldUnavailable, "the broker has as many clients as it may have"}, true
		}
		s = &stay{session: newSession(key, c.hub)}
		ss.all[key] = s
	}
	s.conn, c.session = c, s.session
	s.begin(c)
	return present, nil, true
}

// begin makes the session that of a new connection.
func (s *session) begin(c *conn) {
	s.mu.Lock()
	s.expiry, s.will, s.willAt = expiry(&c.connect, c.config.SessionExpiry.Std()), c.connect.Will, time.Time{}
	s.mu.Unlock()
	p := c.connect.Properties
	s.subscriber.Connect(c.client, fanout.Link{
		Version: c.version, Window: int(p.Number(wire.ReceiveMaximum)), Largest: int(p.Number(wire.MaximumPacket)),
	})
}

// evict forgets the session of a client that is away and would be forgotten next.
// ss.mu is held.
func (ss *sessions) evict(ctx context.Context, c *conn) bool {
	var next *stay
	for _, s := range ss.all {
		if s.conn == nil && (next == nil || s.ends.Before(next.ends)) {
			next = s
		}
	}
	if next == nil {
		return false
	}
	c.discard(ctx, next)
	return true
}

// discard forgets a session. sessions.mu is held.
func (b *broker) discard(ctx context.Context, s *stay) {
	delete(b.sessions.all, s.key)
	b.hub.Leave(s.subscriber)
	if w := s.takeWill(); w != nil {
		b.publishWill(ctx, s.session, w)
	}
}

// takeWill returns the will that is still to be published, nil for none.
func (s *session) takeWill() *wire.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.will
	s.will = nil
	return w
}
