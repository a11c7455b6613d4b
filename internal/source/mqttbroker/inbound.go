package mqttbroker

import (
	"context"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/mqttbroker/fanout"
	"github.com/penstock/penstock/internal/source/mqttbroker/filter"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// The bounds of what is submitted at once and of what waits.
const (
	batchItems = 256
	batchBytes = 256 << 10
	flowBytes  = 256 << 10 // of publishes that wait; one publish always may
)

// item is one publish under way.
type item struct {
	id       uint16
	topic    string
	qos      byte
	message  *fanout.Message // for the subscribers
	size     int             // of the packet's body
	envelope int             // its index in the batch, -1 when it carries no report
	again    bool            // QoS 2: it was received before
	refused  *wire.Error
}

// batch is what one call of Submit took, and what came between.
type batch struct {
	items     []item
	envelopes []penstock.Envelope
	bytes     int
	ticket    penstock.Ticket // nil when there are no envelopes
}

// inbound is the way of a client's publishes into the pipeline. The reader fills
// a batch and submits it; the settler completes the batches in their order.
type inbound struct {
	c       *conn
	batch   *batch // that is being filled, nil for none
	aliases map[uint16]string
	settler bool // it runs

	mu      sync.Mutex // guards everything below
	moved   sync.Cond
	items   int // under way
	bytes   int
	queue   []*batch        // submitted, the oldest first
	closed  bool            // the reader adds no more
	pending map[uint16]bool // QoS 2: identifiers under way; nil for none
	over    bool            // the connection has ended
}

func (in *inbound) init(c *conn) {
	in.c = c
	in.moved.L = &in.mu
}

// wake lets the reader see that the connection has ended.
func (in *inbound) wake() {
	in.mu.Lock()
	in.over = true
	in.mu.Unlock()
	in.moved.Broadcast()
}

// finish lets the settler end when it has completed all. The reader has ended.
func (in *inbound) finish() {
	in.mu.Lock()
	in.closed = true
	in.mu.Unlock()
	in.moved.Broadcast()
}

// publish adds one publish to the batch. It blocks while as much is under way as
// may be: that is all the pressure that a client feels.
func (in *inbound) publish(ctx context.Context, f *wire.Frame) error {
	c := in.c
	var p wire.Publish
	if err := wire.DecodePublish(f.Flags, f.Body, c.version, &p); err != nil {
		return err
	}
	if err := in.resolve(&p); err != nil {
		return err
	}
	if p.Dup {
		c.count(evidence.Resent)
	}
	it := item{id: p.ID, topic: p.Topic, qos: p.QoS, size: len(f.Body), envelope: -1}
	if err := in.room(ctx, it.size); err != nil {
		return err
	}
	if in.batch == nil {
		in.batch = &batch{}
	}
	b := in.batch
	it.again = p.QoS == 2 && in.known(p.ID)
	if p.QoS == 2 && !it.again && c.version == wire.V5 && c.session.unreleased() >= c.config.ReceiveMaximum {
		return &wire.Error{Code: wire.ReceiveMaximumPassed, Text: "the client left more publishes of QoS 2 unreleased than the receive maximum"}
	}
	if !it.again {
		in.prepare(b, &it, &p)
	}
	b.items = append(b.items, it)
	b.bytes += it.size
	if len(b.items) >= batchItems || b.bytes >= batchBytes {
		return in.submit(ctx)
	}
	return nil
}

// prepare checks what the client may, and makes an envelope of what carries
// reports.
func (in *inbound) prepare(b *batch, it *item, p *wire.Publish) {
	c := in.c
	if err := filter.CheckTopic(p.Topic); err != nil {
		it.refused = &wire.Error{Code: wire.InvalidTopic, Text: err.Error()}
		return
	}
	where := c.place(p.Topic)
	if !mayPublish(c.client, &where) {
		it.refused = &wire.Error{Code: wire.NotAuthorized, Text: "the credential may not publish to this topic"}
		return
	}
	it.message = fanout.NewMessage(&p.Message, where.Controller, c.client, c.env.Now())
	if !where.reports || len(p.Payload) == 0 && p.Retain {
		return // nothing to store: it is for the subscribers, or takes back what is retained
	}
	e, err := c.envelope(c.client, &where, &p.Message)
	if err != nil {
		it.refused = &wire.Error{Code: wire.InvalidPayload, Text: err.Error()}
		return
	}
	it.envelope = len(b.envelopes)
	b.envelopes = append(b.envelopes, e)
}

// resolve puts the topic in the place of its alias, and learns new ones.
func (in *inbound) resolve(p *wire.Publish) error {
	if p.Properties.Has(wire.SubscriptionID) {
		return &wire.Error{Code: wire.ProtocolError, Text: "a PUBLISH packet of a client has a subscription identifier"}
	}
	if !p.Properties.Has(wire.TopicAlias) {
		if p.Topic == "" {
			return &wire.Error{Code: wire.ProtocolError, Text: "a PUBLISH packet has neither a topic nor an alias of one"}
		}
		return nil
	}
	alias := uint16(p.Properties.Number(wire.TopicAlias))
	if alias == 0 || alias > maxAliases {
		return &wire.Error{Code: wire.InvalidAlias, Text: "a topic alias is outside of what CONNACK allows"}
	}
	if p.Topic != "" {
		if in.aliases == nil {
			in.aliases = map[uint16]string{}
		}
		in.aliases[alias] = p.Topic
		return nil
	}
	if p.Topic = in.aliases[alias]; p.Topic == "" {
		return &wire.Error{Code: wire.ProtocolError, Text: "a topic alias was used before it was set"}
	}
	return nil
}

// room waits until another publish may be under way. What was read already is
// submitted first: waiting for it to be settled would never end otherwise.
func (in *inbound) room(ctx context.Context, size int) error {
	if in.take(size, false) {
		return nil
	}
	if err := in.submit(ctx); err != nil {
		return err
	}
	if !in.take(size, true) {
		return in.c.ended()
	}
	return nil
}

func (in *inbound) take(size int, wait bool) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.items > 0 && (in.items >= in.c.config.ReceiveMaximum || in.bytes+size > flowBytes) && !in.over {
		if !wait {
			return false
		}
		in.moved.Wait()
	}
	if in.over {
		return false
	}
	in.items++
	in.bytes += size
	return true
}

// known tells whether a publish of QoS 2 came before and was not released. If
// not, it is under way from now on.
func (in *inbound) known(id uint16) bool {
	if in.c.session.has(id) {
		return true
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.pending[id] {
		return true
	}
	if in.pending == nil {
		in.pending = map[uint16]bool{}
	}
	in.pending[id] = true
	return false
}

// give takes the publishes of a batch off what is under way.
func (in *inbound) give(b *batch) {
	in.mu.Lock()
	in.items -= len(b.items)
	in.bytes -= b.bytes
	for i := range b.items {
		if it := &b.items[i]; it.qos == 2 && !it.again {
			delete(in.pending, it.id)
		}
	}
	in.mu.Unlock()
	in.moved.Broadcast()
}

// submit gives the batch to the pipeline and to the settler.
func (in *inbound) submit(ctx context.Context) error {
	b := in.batch
	if b == nil {
		return nil
	}
	in.batch = nil
	if len(b.envelopes) > 0 {
		b.ticket = in.c.next.Submit(ctx, b.envelopes)
	}
	in.mu.Lock()
	in.queue = append(in.queue, b) // bounded by what may be under way
	in.mu.Unlock()
	in.moved.Broadcast()
	if !in.settler {
		in.settler = true
		in.c.start(func() error { return in.settleAll(ctx) })
	}
	return nil
}

// ended returns why the connection has ended.
func (c *conn) ended() error {
	<-c.done
	return c.why
}
