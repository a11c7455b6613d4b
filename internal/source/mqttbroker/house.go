package mqttbroker

import (
	"context"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/mqttbroker/fanout"
	"github.com/penstock/penstock/internal/source/mqttbroker/reason"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// The intervals of what is done again and again.
const (
	tidyEvery  = time.Second
	checkEvery = 5 * time.Second
)

// depart leaves the session. What the connection received is decided about.
func (c *conn) depart(ctx context.Context) {
	c.session.subscriber.Away()
	c.count(evidence.Lost)
	if e := c.why.event; e != evidence.Lost && e != evidence.Malformed { // those are counted
		c.count(e)
	}
	c.log.Debug("a client has gone", "client", c.client.ID, "peer", c.client.Peer, "why", c.why.text)
	if ctx.Err() != nil {
		return // the gateway stops: that says nothing of the client
	}
	now := time.Now()
	c.sessions.mu.Lock()
	defer c.sessions.mu.Unlock()
	s := c.sessions.all[c.session.key]
	s.conn = nil
	keep, will := s.leave(now)
	s.ends = now.Add(keep)
	if will != nil {
		c.publishWill(ctx, s.session, will)
	}
	if keep == 0 {
		c.discard(ctx, s)
	}
}

// leave returns how long the session is kept, and its will if that is to be
// published at once.
func (s *session) leave(now time.Time) (keep time.Duration, will *wire.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.will == nil {
		return s.expiry, nil
	}
	delay := time.Duration(s.will.Properties.Number(wire.WillDelay)) * time.Second
	if delay == 0 || s.expiry == 0 {
		will, s.will = s.will, nil
		return s.expiry, will
	}
	s.willAt = now.Add(delay)
	return s.expiry, nil
}

// keepHouse forgets what has expired, publishes the wills that are due, and ends
// the connections of clients whose credential was revoked.
func (b *broker) keepHouse(ctx context.Context) {
	tidy, check := time.NewTicker(tidyEvery), time.NewTicker(checkEvery)
	defer tidy.Stop()
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tidy.C:
			b.tidy(ctx, time.Now())
		case <-check.C:
			b.checkCredentials()
		}
	}
}

func (b *broker) tidy(ctx context.Context, now time.Time) {
	b.sessions.mu.Lock()
	defer b.sessions.mu.Unlock()
	for _, s := range b.sessions.all {
		if s.conn != nil {
			continue
		}
		if now.After(s.ends) {
			b.discard(ctx, s)
		} else if w := s.dueWill(now); w != nil {
			b.publishWill(ctx, s.session, w)
		}
	}
}

func (s *session) dueWill(now time.Time) *wire.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.will == nil || s.willAt.IsZero() || now.Before(s.willAt) {
		return nil
	}
	w := s.will
	s.will = nil
	return w
}

// checkCredentials ends the connections whose client would not be let in again.
func (b *broker) checkCredentials() {
	for _, c := range b.connected() {
		if !b.valid(c.client.Credential) {
			c.end(endRevoked)
		}
	}
}

func (b *broker) connected() []*conn {
	b.sessions.mu.Lock()
	defer b.sessions.mu.Unlock()
	list := make([]*conn, 0, len(b.sessions.all))
	for _, s := range b.sessions.all {
		if s.conn != nil {
			list = append(list, s.conn)
		}
	}
	return list
}

// publishWill publishes a will as if its client had. It does not block: the
// broker waits for it at its end.
func (b *broker) publishWill(ctx context.Context, s *session, w *wire.Message) {
	from := s.subscriber.Client()
	b.work.Go(func() { b.willOf(ctx, from, w) })
}

func (b *broker) willOf(ctx context.Context, from *fanout.Client, w *wire.Message) {
	where := b.places.Of(w.Topic)
	if !b.valid(from.Credential) || !where.MayPublish(from) {
		return // it may no longer
	}
	m := fanout.NewMessage(w, where.Controller, from, b.env.Now())
	if where.Edge() {
		if !b.edges.Last(ctx, from, w) {
			return
		}
	} else if where.Reports && len(w.Payload) > 0 {
		e, err := where.Envelope(from, w, b.env.Now().UnixNano())
		if err != nil {
			b.port.Bad(evidence.Malformed, w.Payload, "a will: "+err.Error())
			return
		}
		e.Source = b.env.Name
		if !b.submitWill(ctx, e) {
			return
		}
	}
	b.distribute(m)
}

// distribute gives a message to the subscribers.
func (b *broker) distribute(m *fanout.Message) {
	if !b.hub.Publish(m) {
		b.port.Bad(evidence.Refused, []byte(m.Topic), "a message was not retained: as many are kept as may be")
	}
}

// submitWill tells whether the report of a will was accepted. Nobody would send
// it again, so that it is tried for as long as a publish would be.
func (b *broker) submitWill(ctx context.Context, e penstock.Envelope) bool {
	ctx, cancel := context.WithTimeout(ctx, b.config.Retry.Std())
	defer cancel()
	for {
		e.Principal = nil
		outcomes, err := b.next.Submit(ctx, []penstock.Envelope{e}).Wait(ctx)
		if err != nil {
			return false
		}
		v := reason.Of(&outcomes[0])
		if v.Code == wire.Success {
			return true
		}
		if v.Final || v.Revoked || source.Pause(ctx, max(penstock.RetryAfterOf(outcomes[0].Err), shortestPause)) != nil {
			b.port.Bad(evidence.Refused, e.Body, "a will: "+v.Text)
			return false
		}
	}
}
