package mqttbroker

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/door"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/mqttbroker/edge"
	"github.com/penstock/penstock/internal/source/mqttbroker/fanout"
	"github.com/penstock/penstock/internal/source/mqttbroker/place"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
	"github.com/penstock/penstock/internal/topic"
)

// Broker is the source: one listener and everything that its clients left with
// it.
type Broker struct {
	address config.Address
	config  Config
	places  place.Map
	nodes   *edge.Nodes // nil without Sparkplug B
	tls     *tls.Config // nil for plain text
	env     source.Env
}

var _ penstock.Source = (*Broker)(nil)

// New returns a broker that listens at the address.
func New(address config.Address, c Config, env source.Env) (*Broker, error) {
	router, err := c.router()
	if err != nil {
		return nil, err
	}
	if c.TLS != TLSOff && env.TLS == nil {
		return nil, penstock.Errorf(penstock.Invalid, "mqtt.tls: %s needs a certificate, and the node has none", c.TLS)
	}
	b := &Broker{address: address, config: c, places: place.Map{Router: router}, env: env}
	if router.Has(topic.Sparkplug) {
		if b.nodes, err = source.NewEdges[*edge.Message](env, c.Sparkplug); err != nil {
			return nil, penstock.Errorf(penstock.Invalid, "mqtt.sparkplug: %w", err)
		}
		b.places.Subject = b.nodes.Subject
	}
	if c.TLS != TLSOff {
		b.tls = listenerTLS(env.TLS, c.TLS == TLSLegacy)
	}
	return b, nil
}

// broker is a Broker at work: what lives as long as one Run.
type broker struct {
	*Broker
	log      *slog.Logger
	port     *evidence.Page
	next     penstock.Handler
	door     *door.Doorman
	conns    atomic.Int64
	sessions *sessions
	hub      *fanout.Hub
	edges    *edge.Desk // nil without Sparkplug B
	work     sync.WaitGroup
}

// connections is how many there may be: one of each client, and those that come in
// place of another or are turned away.
func (b *Broker) connections() int { return b.config.MaxClients + b.config.MaxClients/4 + 64 }

// The times of a connection.
const (
	connectPatience = 10 * time.Second // until it has shown who it is
	packetPatience  = 30 * time.Second // for the rest of a packet that has begun
	writePatience   = 20 * time.Second // for a client to take what is sent to it
	lastWord        = time.Second      // for a client to take its last packet
)

// Run accepts connections until ctx ends or the listener fails. It returns when
// every connection has ended.
func (b *Broker) Run(ctx context.Context, next penstock.Handler) error {
	l, err := b.env.Listen(listenName, string(b.address))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	run := &broker{
		Broker: b, log: b.env.Log, port: b.env.Evidence.Port(b.env.Name), next: next, door: door.New(b.config.Admit, b.connections()),
		sessions: newSessions(b.config.MaxClients),
	}
	run.hub = fanout.New(fanout.Options{Limits: b.config.limits(), Now: b.env.Now, Lost: run.lost})
	defer run.work.Wait()
	defer cancel()
	run.work.Go(func() {
		<-ctx.Done()
		l.Close() // the port is free when Run returns
	})
	if b.env.Bound != nil {
		b.env.Bound("listen."+listenName, l.Addr().String())
	}
	run.work.Go(func() { run.keepHouse(ctx) })
	run.work.Go(func() { run.door.Run(ctx) })
	if b.nodes != nil {
		run.edges = edge.NewDesk(b.nodes, edge.Options{Env: b.env, Next: next, Retry: b.config.Retry.Std(), Publish: run.command, Go: run.work.Go})
		run.edges.Begin(ctx)
		run.work.Go(func() { run.edges.Run(ctx) })
	}
	b.env.Status.OK()
	return run.accept(ctx, l)
}

// command sends subscribers what the gateway itself has to say to a controller.
func (b *broker) command(m *wire.Message) {
	where := b.places.Of(m.Topic)
	b.distribute(fanout.NewMessage(m, where.Controller, &fanout.Client{Principal: source.Own(b.env.Name, nil)}, b.env.Now()))
}

// listenName is the name of the listener, under which a process manager may hand
// it over.
const listenName = "mqtt"

func (b *broker) accept(ctx context.Context, l net.Listener) error {
	for {
		nc, err := source.Accept(ctx, l, b.log)
		switch {
		case ctx.Err() != nil:
			if err == nil {
				nc.Close()
			}
			return nil
		case err != nil:
			return penstock.Errorf(penstock.Unavailable, "listen.%s: %w", listenName, err)
		}
		if b.conns.Add(1) > int64(b.connections()) {
			b.conns.Add(-1)
			nc.Close()
			b.port.Count(evidence.Refused)
			continue
		}
		c := newConn(b, nc)
		b.work.Go(func() {
			defer b.conns.Add(-1)
			c.serve(ctx)
		})
	}
}

// lost counts a message that a subscriber does not get. The first one of each is
// worth a line in the log.
func (b *broker) lost(c *fanout.Client, first bool) {
	b.port.Count(evidence.Overrun)
	if first {
		b.log.Warn("a subscriber takes its messages slower than they come, or takes only short ones: the oldest are dropped",
			"client", c.ID, "peer", c.Peer, "queue", b.config.Queue)
	}
}
