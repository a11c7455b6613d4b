package mqttbroker

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/mqttbroker/fanout"
	"github.com/penstock/penstock/internal/source/mqttbroker/filter"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// subscribe answers a SUBSCRIBE packet.
func (c *conn) subscribe(f *wire.Frame) error {
	p, err := wire.DecodeSubscribe(f.Body, c.version, c.config.Subscriptions)
	if err != nil {
		return err
	}
	for _, asked := range p.Subscriptions {
		if name, _ := filter.Split(asked.Filter); name != "" && asked.NoLocal {
			return &wire.Error{Code: wire.ProtocolError, Text: "a shared subscription asks for no messages of its own client: that cannot be"}
		}
	}
	codes := make([]wire.Code, len(p.Subscriptions))
	var granted []fanout.Subscription // whose retained messages are to be sent
	for i, asked := range p.Subscriptions {
		codes[i] = c.grant(asked)
		if codes[i].Failed() {
			c.port.Bad(evidence.Refused, []byte(asked.Filter), sender(c.raw.RemoteAddr(), &c.connect)+": a subscription that the client may not have, or that is none")
			if c.version == wire.V311 {
				codes[i] = wire.Unspecified
			}
			continue
		}
		sub := fanout.Subscription{Subscription: asked, ID: p.SubscriptionID}
		added := c.hub.Subscribe(c.session.subscriber, sub)
		if sub.RetainHandling == 0 || sub.RetainHandling == 1 && added {
			granted = append(granted, sub)
		}
	}
	if err := c.write(wire.AppendSuback(nil, c.version, wire.SUBACK, p.ID, codes)); err != nil {
		return err
	}
	for _, sub := range granted {
		c.hub.SendRetained(c.session.subscriber, sub, c.valid)
	}
	return nil
}

// valid tells whether who shows the credential would be let in.
func (b *broker) valid(credential penstock.Credential) bool {
	_, err := b.env.Auth.Authenticate(credential)
	return err == nil
}

// grant returns the QoS of a subscription, or why there is none.
func (c *conn) grant(sub wire.Subscription) wire.Code {
	if filter.CheckSubscribed(sub.Filter) != nil {
		return wire.InvalidFilter
	}
	if _, pattern := filter.Split(sub.Filter); !c.places.MayAsk(c.client, pattern) {
		return wire.NotAuthorized
	}
	if n, has := c.hub.Filters(c.session.subscriber, sub.Filter); n >= c.config.Subscriptions && !has {
		return wire.QuotaExceeded
	}
	return wire.Code(sub.QoS)
}

// unsubscribe answers an UNSUBSCRIBE packet.
func (c *conn) unsubscribe(f *wire.Frame) error {
	p, err := wire.DecodeUnsubscribe(f.Body, c.version, c.config.Subscriptions)
	if err != nil {
		return err
	}
	codes := make([]wire.Code, len(p.Filters))
	for i, pattern := range p.Filters {
		if !c.hub.Unsubscribe(c.session.subscriber, pattern) {
			codes[i] = wire.NoSubscription
		}
	}
	return c.write(wire.AppendSuback(nil, c.version, wire.UNSUBACK, p.ID, codes))
}
