package mqttclient

import (
	"context"
	"errors"

	"github.com/eclipse/paho.golang/paho"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/topic"
)

// intake takes the messages of one connection and acknowledges them.
type intake struct {
	*Source
	client *paho.Client
	window *source.Window[*paho.Publish] // nil stands for a message of a connection before
	ready  chan struct{}                 // closed when messages may be taken

	old     bool // the broker speaks 3.1.1
	present bool // the session was there when the connection was made
}

// stale tells whether a message is a retained one that nobody wants. A broker of 3.1.1
// sends those at each subscription; in MQTT 5 it was told when to.
func (in *intake) stale(p *paho.Publish) bool {
	return in.old && p.Retain && (in.present || !in.Retained)
}

// receive takes a message; while it waits, nothing is read from the broker.
func (in *intake) receive(ctx context.Context, p *paho.Publish) {
	select {
	case <-in.ready:
	case <-ctx.Done():
		return
	}
	slot, err := in.window.Take(ctx, p)
	if err != nil {
		return // the connection ends, and the broker sends it again
	}
	in.port.Count(evidence.Received)
	if in.stale(p) {
		slot.Submit(ctx, nil)
		return
	}
	m, found := in.router.Match(p.Topic)
	if found && m.Payload == topic.Sparkplug {
		in.edges.Take(ctx, in, origin{in, slot}, p.Topic, p.Payload)
		return
	}
	slot.Submit(ctx, in.messages.Envelopes(m, found, source.Message{Topic: p.Topic, Payload: p.Payload, Properties: propertiesOf(p)}))
}

// propertiesOf returns the user properties; of several with one name the first
// holds.
func propertiesOf(p *paho.Publish) penstock.Properties {
	if p.Properties == nil || len(p.Properties.User) == 0 {
		return nil
	}
	properties := make(penstock.Properties, len(p.Properties.User))
	for _, u := range p.Properties.User {
		if _, taken := properties[u.Key]; !taken {
			properties[u.Key] = u.Value
		}
	}
	return properties
}

// Settle implements [source.Settler]. The library sends the acknowledgements in
// order.
func (in *intake) Settle(p *paho.Publish, outcomes []penstock.Outcome) error {
	if p == nil {
		return nil
	}
	in.messages.Settled(p.Topic, p.Payload, outcomes)
	// Without its connection the library knows the message no more. That ends for
	// the connection's own reason, and the broker sends the message again.
	if err := in.client.Ack(p); err != nil && !errors.Is(err, paho.ErrPacketNotFound) {
		return penstock.Errorf(penstock.Unavailable, "acknowledge a message: %w", err)
	}
	return nil
}

// Flush implements [source.Settler].
func (in *intake) Flush() error { return nil }
