package mqtt

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sparkplug"
)

// rebirthEvery is how often births are repeated at most, whoever asks for them.
const rebirthEvery = time.Second

// edge is the sink as an edge node of Sparkplug B. A nil edge is none.
type edge struct {
	now   func() time.Time
	log   *slog.Logger
	count count

	mu   sync.Mutex // guards what follows; messages are sent in the order of their numbers
	self *sparkplug.Edge
}

// newEdge returns an edge node, whose sessions are counted on from those of the process
// before.
func newEdge(c Sparkplug, env sink.Env) (*edge, error) {
	e := &edge{now: env.Now, log: env.Log, count: countOf(env)}
	before, err := e.count.last()
	if err != nil {
		e.log.Warn("the sessions of the edge node are counted from 0 again", "sink", env.Name, "error", err)
	}
	e.self, err = sparkplug.NewEdge(c.Group, c.Node, before)
	return e, err
}

// node is the edge node in one connection. A nil node is none.
type node struct {
	pings *pings
	asked chan struct{} // for births
	end   context.CancelFunc
	work  sync.WaitGroup
}

// connect returns the will of a connection, and what counts the answers of its broker.
func (e *edge) connect(o *session) (*paho.WillMessage, paho.Pinger) {
	if e == nil {
		return nil, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	death := e.self.Connect(e.now())
	if err := e.count.keep(e.self.Session()); err != nil { // reports go out all the same
		e.log.Warn("the number of the session could not be kept: after a restart an application may take the death of this session for that of the next",
			"edge_node", o.Sparkplug.Node, "error", err)
	}
	o.node = &node{pings: newPings(), asked: make(chan struct{}, 1), end: func() {}}
	return &paho.WillMessage{Topic: death.Topic, Payload: death.Payload, QoS: 1}, o.node.pings
}

// listen returns what takes commands to the edge node. It does not wait: the answers of
// the broker come after it returns.
func (e *edge) listen(o *session) []func(paho.PublishReceived) (bool, error) {
	if e == nil {
		return nil
	}
	return []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
		if e.self.WantsRebirth(p.Packet.Topic, p.Packet.Payload) {
			select {
			case o.node.asked <- struct{}{}:
			default: // it is asked for already
			}
		}
		return true, nil
	}}
}

// begin subscribes to commands and gives birth.
func (e *edge) begin(ctx context.Context, o *session) error {
	if e == nil {
		return nil
	}
	defer context.AfterFunc(ctx, o.abandon)() // a broker that does not read
	if o.most > 0 {
		e.self.Limit(max(1, int(o.most)-mostOverhead))
	}
	commands := &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: e.self.Commands(), QoS: 1}}}
	if _, err := o.client.Subscribe(ctx, commands); err != nil {
		return penstock.Errorf(penstock.Unavailable, "subscribe to %s at the broker %s, for the command to give birth again: %w", e.self.Commands(), o.server.Address, err)
	}
	if err := e.births(o); err != nil {
		return err
	}
	running, end := context.WithCancel(context.Background())
	o.node.end = end
	o.node.work.Go(func() { e.repeat(running, o) })
	return nil
}

// births sends the births of the session.
func (e *edge) births(o *session) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return o.tell(e.self.Births(e.now()))
}

// repeat gives birth again whenever that is asked for.
func (e *edge) repeat(ctx context.Context, o *session) {
	pause := time.NewTicker(rebirthEvery)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.node.asked:
		}
		if e.births(o) != nil {
			return // the connection is over
		}
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

// write sends reports, and returns when the broker has read them.
func (e *edge) write(ctx context.Context, o *session, rs []*penstock.Report) error {
	failed := map[int]error{}
	for i, r := range rs {
		if err := e.report(o, r); penstock.CodeOf(err) == penstock.Invalid || penstock.CodeOf(err) == penstock.TooLarge {
			failed[i] = err
		} else if err != nil {
			return err
		}
	}
	if err := o.node.pings.fence(ctx, o); err != nil {
		return err
	}
	if len(failed) > 0 {
		return &penstock.WriteError{Failed: failed}
	}
	return nil
}

func (e *edge) report(o *session, r *penstock.Report) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	messages, err := e.self.Report(e.now(), r)
	if err != nil {
		return err
	}
	return o.tell(messages)
}

// tell sends messages with QoS 0, as the specification has it. The lock of the edge node
// is held.
func (o *session) tell(messages []sparkplug.Command) error {
	for _, m := range messages {
		p := (&paho.Publish{Topic: m.Topic, Payload: m.Payload}).Packet()
		if _, err := p.WriteTo(o.conn); err != nil {
			o.ended(penstock.Errorf(penstock.Unavailable, "the connection to the broker %s broke: %w", o.server.Address, err))
			o.abandon()
			return penstock.Errorf(penstock.Unavailable, "the connection to the broker %s broke: %w", o.server.Address, err)
		}
		o.node.pings.PacketSent()
	}
	return nil
}

// mostOverhead is the bytes of a message beside its payload, at most: a topic has three
// names and a few words.
const mostOverhead = 1 << 10

// farewell returns the reason with which a connection is ended: an edge node has the
// broker publish its death.
func (n *node) farewell() byte {
	if n == nil {
		return packets.DisconnectNormalDisconnection
	}
	return packets.DisconnectDisconnectWithWillMessage
}

// close ends what runs for the connection, which has ended.
func (n *node) close() {
	if n == nil {
		return
	}
	n.end()
	n.work.Wait()
}
