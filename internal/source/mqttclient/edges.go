package mqttclient

import (
	"context"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/sparkplug"
	"github.com/penstock/penstock/link"
)

// edges follows the Sparkplug edge nodes behind the broker.
type edges struct {
	*Source
	poke chan struct{} // told when something new may be due

	mu    sync.Mutex // guards everything below
	host  *sparkplug.Host
	token uint64
	slots map[uint64]*source.Slot[*paho.Publish] // of the messages that are not decided
}

// newEdges returns the edges of a source. What is known of edge nodes outlives a
// lost connection: the aliases of metrics are told at births alone.
func newEdges(s *Source) (*edges, error) {
	host, err := source.Remembered(s.env, func() (*sparkplug.Host, error) {
		if s.Sparkplug == nil {
			return sparkplug.NewHost(sparkplug.Config{})
		}
		return sparkplug.NewHost(*s.Sparkplug)
	})
	return &edges{Source: s, poke: make(chan struct{}, 1), host: host, slots: map[uint64]*source.Slot[*paho.Publish]{}}, err
}

// take gives a message to the host.
func (e *edges) take(ctx context.Context, in *intake, slot *source.Slot[*paho.Publish], p *paho.Publish) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.token++
	e.slots[e.token] = slot
	e.apply(ctx, in, e.host.Step(e.env.Now(), sparkplug.Message{Token: e.token, Topic: p.Topic, Payload: p.Payload}))
	select {
	case e.poke <- struct{}{}:
	default:
	}
}

// reconnected tells the host that the connection is a new one.
func (e *edges) reconnected(ctx context.Context, in *intake) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.apply(ctx, in, e.host.Reconnected(e.env.Now()))
}

// run does what becomes due with time, until ctx ends.
func (e *edges) run(ctx context.Context, in *intake) {
	for {
		due := time.NewTimer(e.pause())
		select {
		case <-due.C:
			e.mu.Lock()
			e.apply(ctx, in, e.host.Tick(e.env.Now()))
			e.mu.Unlock()
		case <-e.poke:
		case <-ctx.Done():
			due.Stop()
			return
		}
		due.Stop()
	}
}

func (e *edges) pause() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	due, ok := e.host.Wake()
	if !ok {
		return time.Hour
	}
	return max(0, due.Sub(e.env.Now()))
}

// apply does what the host decided. e.mu is held.
func (e *edges) apply(ctx context.Context, in *intake, r sparkplug.Result) {
	for _, d := range r.Decided {
		slot := e.slots[d.Token]
		delete(e.slots, d.Token)
		if slot == nil { // it came with a connection before this one
			var err error
			if slot, err = in.window.Take(ctx, nil); err != nil {
				return
			}
		}
		slot.Submit(ctx, e.envelopes(d.Reports))
	}
	for _, c := range r.Commands {
		if _, err := in.client.Publish(ctx, &paho.Publish{Topic: c.Topic, Payload: c.Payload}); err != nil {
			e.env.Log.Warn("a command to an edge node was not sent", "topic", c.Topic, "error", err)
		}
	}
	for _, event := range r.Events {
		e.note(event)
	}
}

func (e *edges) envelopes(reports []penstock.Report) []penstock.Envelope {
	es := make([]penstock.Envelope, len(reports))
	for i := range reports {
		es[i] = penstock.Envelope{
			Source: e.env.Name, Peer: e.server.Address, ContentType: link.MediaType, Body: link.AppendReport(nil, &reports[i]),
			ReceivedTime: reports[i].ReceivedTime, Principal: source.Own(e.env.Name, e.Controllers),
		}
	}
	return es
}

// note counts an event on the port and on the controller that it names.
func (e *edges) note(event sparkplug.Event) {
	if event.Frame != nil {
		e.port.Bad(event.Event, event.Frame, event.Why)
	} else {
		e.port.Add(event.Event, event.Count)
	}
	if event.Node != "" {
		e.env.Evidence.Controller(event.Node).Add(event.Event, event.Count)
	}
	if event.Count == 0 {
		e.env.Log.Warn("Sparkplug B: "+event.Why, "controller", event.Node)
		return
	}
	e.env.Log.Debug("Sparkplug B: "+event.Why, "controller", event.Node, "event", event.Event.String(), "count", event.Count)
}
