package fanout

import (
	"slices"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// Client is who is at the other end of a connection. It never changes.
type Client struct {
	ID         string
	Peer       string // network address
	Credential penstock.Credential
	Principal  *penstock.Principal
}

// Everything tells whether the client's scope is all controllers.
func (c *Client) Everything() bool { return slices.Contains(c.Principal.Scope, "*") }

// mayRead tells whether the client may have a message. What names no controller
// is for those only who may have everything.
func (c *Client) mayRead(m *Message) bool {
	if m.controller != "" {
		return c.Principal.Scope.Covers(m.controller)
	}
	return c.Everything()
}

// same tells whether it is the same client, maybe over another connection.
func (c *Client) same(other *Client) bool {
	return c.ID == other.ID && c.Principal.Credential == other.Principal.Credential
}

// Message is a published message on its way to the subscribers. It never changes.
type Message struct {
	wire.Message
	controller string // that the topic names, empty for none
	from       *Client
	expires    time.Time // zero for never
}

// NewMessage returns a message as the subscribers get it, published by a client
// under a topic that names the controller, if it names one.
func NewMessage(m *wire.Message, controller string, from *Client, now time.Time) *Message {
	kept := &Message{Message: *m, controller: controller, from: from}
	if n := m.Properties.Number(wire.MessageExpiry); n > 0 {
		kept.expires = now.Add(time.Duration(n) * time.Second)
	}
	// An alias is a matter of one connection, the delay of a will one of the server.
	kept.Properties = slices.DeleteFunc(slices.Clone(m.Properties), func(f wire.Field) bool { return f.ID == wire.TopicAlias || f.ID == wire.WillDelay })
	return kept
}

// overhead is what a message weighs beside its bytes.
const overhead = 256

func (m *Message) size() int64 {
	n := overhead + len(m.Topic) + len(m.Payload)
	for i := range m.Properties {
		n += len(m.Properties[i].Text) + len(m.Properties[i].Value)
	}
	return int64(n)
}

// left returns what remains of the message's time, and whether it is over. A
// message without an end has none left and is never over.
func (m *Message) left(now time.Time) (left time.Duration, over bool) {
	if m.expires.IsZero() {
		return 0, false
	}
	left = m.expires.Sub(now)
	return left, left <= 0
}
