package fanout

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// The bounds of what is sent to a subscriber at once.
const (
	maxWindow  = 128      // messages that it has not acknowledged
	writeBytes = 32 << 10 // in one write, a message more at most
)

// delivery is a message for one subscriber.
type delivery struct {
	message *Message
	qos     byte
	retain  bool
	ids     []uint32 // of its subscriptions
}

// sent is a delivery that the subscriber has to acknowledge.
type sent struct {
	delivery
	id       uint16
	over     *Link // that it was sent over last
	released bool  // QoS 2: PUBREC came, PUBREL is on its way
}

// Link is the connection of a subscriber, as far as sending goes.
type Link struct {
	Version byte
	Window  int // messages that may be unacknowledged, 0 for any number
	Largest int // bytes of the longest packet that the client takes, 0 for any
}

// outbox is what waits for one subscriber.
type outbox struct {
	hub    *Hub
	signal func() // there may be something to send

	mu       sync.Mutex // guards everything below
	link     *Link      // nil while the client is away
	client   *Client    // as it connected last
	queue    []delivery
	inflight []*sent // in the order of sending
	last     uint16  // packet identifier
	dropped  bool    // a message was, and that was told
}

// Connect sends over a new connection from now on, first what the last one left
// unacknowledged.
func (o *outbox) Connect(c *Client, l Link) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l.Window == 0 || l.Window > maxWindow {
		l.Window = maxWindow
	}
	o.client, o.link = c, &l
}

// Client returns the client as it connected last.
func (o *outbox) Client() *Client {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.client
}

// reader returns the client as it connected last, and whether it is there.
func (o *outbox) reader() (c *Client, here bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.client, o.link != nil
}

// Away keeps what waits until the client is back.
func (o *outbox) Away() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.link = nil
}

// clear forgets everything.
func (o *outbox) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.queue {
		o.hub.queued.give(o.queue[i].message.size())
	}
	for _, s := range o.inflight {
		o.hub.queued.give(s.message.size())
	}
	o.link, o.queue, o.inflight = nil, nil, nil
}

// put adds a delivery. Messages of QoS 0 are for clients that are there.
func (o *outbox) put(d delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.link == nil && d.qos == 0 {
		return
	}
	if len(o.queue) >= o.hub.limits.Queue {
		o.drop(&o.queue[0])
		o.queue[0] = delivery{} // the message is not to be held by the array
		o.queue = o.queue[1:]
	}
	if !o.hub.queued.take(d.message.size()) {
		o.lost()
		return
	}
	o.queue = append(o.queue, d)
	o.signal()
}

func (o *outbox) drop(d *delivery) {
	o.hub.queued.give(d.message.size())
	o.lost()
}

// lost counts a message that a subscriber does not get.
func (o *outbox) lost() {
	o.hub.lost(o.client, !o.dropped)
	o.dropped = true
}

// Fill appends the packets that may be sent now.
func (o *outbox) Fill(dst []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.link
	if l == nil {
		return dst
	}
	unacknowledged := 0
	for _, s := range o.inflight {
		if s.over != l && unacknowledged < l.Window {
			dst = o.resend(dst, l, s)
		}
		if s.over == l {
			unacknowledged++
		}
	}
	n, now := 0, o.hub.now()
	for ; n < len(o.queue) && len(dst) < writeBytes; n++ {
		d := &o.queue[n]
		if d.qos > 0 && unacknowledged >= l.Window {
			break
		}
		var ok bool
		if dst, ok = o.send(dst, l, d, now); ok && d.qos > 0 {
			unacknowledged++
		} else {
			o.hub.queued.give(d.message.size())
		}
		o.queue[n] = delivery{}
	}
	if o.queue = o.queue[n:]; len(o.queue) == 0 {
		o.queue = nil // the array may have grown large
	}
	return dst
}

// send appends a message that is sent for the first time, unless its time is over
// or the client could not take it.
func (o *outbox) send(dst []byte, l *Link, d *delivery, now time.Time) ([]byte, bool) {
	left, over := d.message.left(now)
	if over {
		return dst, false
	}
	p := publishOf(d, left)
	if whole, _ := wire.PublishSize(l.Version, &p); l.Largest > 0 && whole > l.Largest {
		o.lost()
		return dst, false
	}
	if d.qos > 0 {
		p.ID = o.nextID()
		o.inflight = append(o.inflight, &sent{delivery: *d, id: p.ID, over: l})
	}
	return wire.AppendPublish(dst, l.Version, &p), true
}

func (o *outbox) resend(dst []byte, l *Link, s *sent) []byte {
	s.over = l
	if s.released {
		return wire.AppendAck(dst, l.Version, wire.Ack{Type: wire.PUBREL, ID: s.id})
	}
	left, _ := s.message.left(o.hub.now())
	p := publishOf(&s.delivery, max(left, time.Second)) // it was sent: it has to be sent to its end
	p.ID, p.Dup = s.id, true
	return wire.AppendPublish(dst, l.Version, &p)
}

// publishOf returns the packet of a delivery; left is what remains of the
// message's time, 0 when it has no end.
func publishOf(d *delivery, left time.Duration) wire.Publish {
	p := wire.Publish{Message: d.message.Message}
	p.QoS, p.Retain = d.qos, d.retain
	if !d.message.expires.IsZero() || len(d.ids) > 0 {
		p.Properties = slices.Clone(p.Properties)
		for i := range p.Properties {
			if f := &p.Properties[i]; f.ID == wire.MessageExpiry {
				f.Number = uint32((left + time.Second - 1) / time.Second)
			}
		}
		for _, id := range d.ids {
			p.Properties = append(p.Properties, wire.Field{ID: wire.SubscriptionID, Number: id})
		}
	}
	return p
}

// nextID returns a packet identifier that is not in use. There are far fewer in
// use than there are.
func (o *outbox) nextID() uint16 {
	for {
		o.last++
		if o.last != 0 && o.find(o.last) < 0 {
			return o.last
		}
	}
}

func (o *outbox) find(id uint16) int {
	return slices.IndexFunc(o.inflight, func(s *sent) bool { return s.id == id })
}

// Received notes a PUBREC, and tells whether its message is known.
func (o *outbox) Received(a wire.Ack) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := o.find(a.ID)
	if i < 0 {
		return false
	}
	if a.Code.Failed() {
		o.remove(i)
		return true
	}
	o.inflight[i].released = true
	return true
}

// Settled notes a PUBACK or PUBCOMP.
func (o *outbox) Settled(id uint16) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := o.find(id); i >= 0 {
		o.remove(i)
	}
}

func (o *outbox) remove(i int) {
	o.hub.queued.give(o.inflight[i].message.size())
	o.inflight = slices.Delete(o.inflight, i, i+1)
	o.signal()
}

// budget is a number of bytes that many share.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }
