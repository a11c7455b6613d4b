package source

import (
	"context"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/sparkplug"
	"github.com/penstock/penstock/link"
)

// Edges follows the Sparkplug B edge nodes that a source hears. O is what the
// source keeps of a message until it is decided about. It is safe for concurrent
// use.
type Edges[O any] struct {
	env  Env
	poke chan struct{} // told when something new may be due
	*followed[O]
}

// followed is what outlives a failure of the source: the aliases of metrics are
// told at births alone.
type followed[O any] struct {
	mu      sync.Mutex // guards everything below
	host    *sparkplug.Host
	token   uint64
	origins map[uint64]O // of the messages that are not decided
}

// EdgeWay is the way of what was decided. It must not call back, and should not
// block: every other message waits for it.
type EdgeWay[O any] interface {
	// Decided takes the reports of a message, which may have come with a run of
	// the source before this one.
	Decided(ctx context.Context, from O, d sparkplug.Decided)
	// Command publishes at QoS 0, not retained.
	Command(ctx context.Context, c sparkplug.Command) error
}

// NewEdges returns the edge nodes of a source: those that the source before it
// knew, where there was one. A nil configuration is the zero one.
func NewEdges[O any](env Env, c *sparkplug.Config) (*Edges[O], error) {
	if c == nil {
		c = &sparkplug.Config{}
	}
	kept, err := Remembered(env, func() (*followed[O], error) {
		host, err := sparkplug.NewHost(*c)
		return &followed[O]{host: host, origins: map[uint64]O{}}, err
	})
	return &Edges[O]{env: env, poke: make(chan struct{}, 1), followed: kept}, err
}

// Subject returns whom a topic is about. See [sparkplug.Host.Subject].
func (e *Edges[O]) Subject(name string) (sparkplug.Subject, error) { return e.host.Subject(name) }

// Take gives a message to the host, to which the payload belongs from now on.
func (e *Edges[O]) Take(ctx context.Context, way EdgeWay[O], from O, name string, payload []byte) {
	if s, err := e.Subject(name); err == nil && s.Speaks {
		e.env.Evidence.Controller(s.Controller).Count(evidence.Received)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.token++
	e.origins[e.token] = from
	e.apply(ctx, way, e.host.Step(e.env.Now(), sparkplug.Message{Token: e.token, Topic: name, Payload: payload}))
	select {
	case e.poke <- struct{}{}:
	default:
	}
}

// Reconnected says that messages may be missing before the next ones.
func (e *Edges[O]) Reconnected(ctx context.Context, way EdgeWay[O]) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.apply(ctx, way, e.host.Reconnected(e.env.Now()))
}

// Run does what becomes due with time, until ctx ends.
func (e *Edges[O]) Run(ctx context.Context, way EdgeWay[O]) {
	for {
		due := time.NewTimer(e.pause())
		select {
		case <-due.C:
			e.tick(ctx, way)
		case <-e.poke:
		case <-ctx.Done():
			due.Stop()
			return
		}
		due.Stop()
	}
}

func (e *Edges[O]) tick(ctx context.Context, way EdgeWay[O]) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.apply(ctx, way, e.host.Tick(e.env.Now()))
}

func (e *Edges[O]) pause() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	due, ok := e.host.Wake()
	if !ok {
		return time.Hour
	}
	return max(0, due.Sub(e.env.Now()))
}

// apply does what the host decided. e.mu is held.
func (e *Edges[O]) apply(ctx context.Context, way EdgeWay[O], r sparkplug.Result) {
	for _, event := range r.Events {
		e.note(event)
	}
	for _, d := range r.Decided {
		from := e.origins[d.Token]
		delete(e.origins, d.Token)
		way.Decided(ctx, from, d)
	}
	for _, c := range r.Commands {
		if err := way.Command(ctx, c); err != nil {
			e.env.Log.Warn("a command to an edge node was not sent", "topic", c.Topic, "error", err)
		}
	}
}

// note counts an event on the port and on the controller that it names.
func (e *Edges[O]) note(event sparkplug.Event) {
	port := e.env.Evidence.Port(e.env.Name)
	if event.Frame != nil {
		port.Bad(event.Event, event.Frame, event.Why)
	} else {
		port.Add(event.Event, event.Count)
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

// ReportEnvelopes returns an envelope a report, like the one that is given in all
// but content type, body and time of receipt.
func ReportEnvelopes(like penstock.Envelope, reports []penstock.Report) []penstock.Envelope {
	es := make([]penstock.Envelope, len(reports))
	for i := range reports {
		es[i] = like
		es[i].ContentType, es[i].Body = link.MediaType, link.AppendReport(nil, &reports[i])
		es[i].ReceivedTime = reports[i].ReceivedTime
	}
	return es
}
