// Package edge leads what Sparkplug B edge nodes publish to the broker through the
// state that is kept of them into the pipeline.
package edge

import (
	"context"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/mqttbroker/fanout"
	"github.com/penstock/penstock/internal/source/mqttbroker/place"
	"github.com/penstock/penstock/internal/source/mqttbroker/reason"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
	"github.com/penstock/penstock/internal/sparkplug"
)

// Nodes are the edge nodes of a broker. They outlive a failure of it.
type Nodes = source.Edges[*Message]

// Options are what a desk needs.
type Options struct {
	Env     source.Env
	Next    penstock.Handler
	Retry   time.Duration       // how long what was refused for now is submitted again
	Publish func(*wire.Message) // sends a command to who subscribed to it
	Go      func(func())        // runs something that whoever runs the desk waits for
}

// Desk takes the messages of edge nodes while a broker is at work.
type Desk struct {
	nodes *Nodes
	Options
}

// NewDesk returns the desk of a broker that begins to work.
func NewDesk(nodes *Nodes, o Options) *Desk { return &Desk{nodes, o} }

// Begin decides about what the broker before this one left. It is called before
// any message is taken.
func (d *Desk) Begin(ctx context.Context) { d.nodes.Reconnected(ctx, d) }

// Run does what becomes due with time, until ctx ends.
func (d *Desk) Run(ctx context.Context) { d.nodes.Run(ctx, d) }

// Take gives a message to the host. An error is final: nothing was taken.
func (d *Desk) Take(ctx context.Context, from *fanout.Client, m *wire.Message) (*Message, error) {
	if err := place.Verify(m); err != nil {
		return nil, err
	}
	taken := &Message{desk: d, from: from, topic: m.Topic, decided: make(chan struct{})}
	d.nodes.Take(ctx, d, taken, m.Topic, m.Payload)
	return taken, nil
}

// Last takes the will of an edge node, which is its death, and tells whether it was
// accepted. Nobody would send it again.
func (d *Desk) Last(ctx context.Context, from *fanout.Client, m *wire.Message) bool {
	taken, err := d.Take(ctx, from, m)
	if err != nil {
		d.Env.Evidence.Port(d.Env.Name).Bad(evidence.Refused, m.Payload, "a will: "+err.Error())
		return false
	}
	return taken.alone(ctx, m.Payload)
}

// Decided implements [source.EdgeWay].
func (d *Desk) Decided(ctx context.Context, m *Message, decided sparkplug.Decided) {
	m.err = decided.Err
	if len(decided.Reports) > 0 {
		m.envelopes = source.ReportEnvelopes(penstock.Envelope{
			Source: d.Env.Name, Peer: m.from.Peer, Credential: m.from.Credential, Topic: m.topic,
		}, decided.Reports)
		m.ticket = d.Next.Submit(ctx, m.envelopes)
	}
	before := m.desk != d
	m.desk = d
	close(m.decided)
	if before { // the connection that it came with is no more
		d.Go(func() { m.alone(ctx, nil) })
	}
}

// Command implements [source.EdgeWay].
func (d *Desk) Command(_ context.Context, c sparkplug.Command) error {
	d.Publish(&wire.Message{Topic: c.Topic, Payload: c.Payload})
	return nil
}

// alone waits for a message for which no client waits, and tells whether it was
// accepted.
func (m *Message) alone(ctx context.Context, payload []byte) bool {
	o, err := m.Outcome(ctx, func(d time.Duration) error { return source.Pause(ctx, d) })
	if err != nil {
		return false
	}
	v := reason.Of(&o)
	if v.Code != wire.Success {
		m.desk.Env.Evidence.Port(m.desk.Env.Name).Bad(evidence.Refused, payload, m.topic+": "+v.Text)
	}
	return v.Code == wire.Success
}
