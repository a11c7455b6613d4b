package wire

// DecodeConnect reads the body of a CONNECT packet. A version other than 3.1.1
// and 5 is an error of code [UnsupportedVersion], with the version in the result.
func DecodeConnect(body []byte) (Connect, error) {
	c := cursor{rest: body}
	var p Connect
	name := c.text("name of the protocol")
	p.Version = c.byte("version")
	if c.err == nil && (name != "MQTT" || p.Version != V311 && p.Version != V5) {
		c.fail(UnsupportedVersion, "the client speaks %.16q version %d; this server speaks MQTT 3.1.1 (4) and 5", name, p.Version)
	}
	flags := c.byte("flags")
	if c.err == nil && flags&1 != 0 {
		c.fail(Malformed, "the reserved flag of CONNECT is set")
	}
	p.CleanStart = flags&2 != 0
	p.KeepAlive = c.short("keep alive")
	if p.Version == V5 {
		p.Properties = c.properties(CONNECT)
	}
	p.ClientID = c.text("client identifier")
	p.Will = c.will(p.Version, flags)
	if flags&0x80 != 0 {
		p.User = c.text("user name")
	}
	if flags&0x40 != 0 {
		if p.Version == V311 && flags&0x80 == 0 {
			c.fail(Malformed, "there is a password without a user name, which version 3.1.1 does not allow")
		}
		p.Password = string(c.bytes("password"))
	}
	return p, c.end()
}

// will reads the will that the flags of a CONNECT announce, nil for none.
func (c *cursor) will(version, flags byte) *Message {
	qos, retain := flags>>3&3, flags&0x20 != 0
	if flags&4 == 0 {
		if qos > 0 || retain {
			c.fail(Malformed, "the flags of CONNECT describe a will that is not there")
		}
		return nil
	}
	m := &Message{QoS: qos, Retain: retain}
	if qos == 3 {
		c.fail(Malformed, "the will has QoS 3")
	}
	if version == V5 {
		m.Properties = c.properties(will)
	}
	m.Topic = c.text("will topic")
	m.Payload = c.bytes("will payload")
	return m
}

// DecodePublish reads the body of a PUBLISH packet into p; flags are the lower
// half of the packet's first byte. The payload is a part of body.
func DecodePublish(flags byte, body []byte, version byte, p *Publish) error {
	c := cursor{rest: body}
	*p = Publish{Dup: flags&8 != 0, Message: Message{QoS: flags >> 1 & 3, Retain: flags&1 != 0}}
	switch {
	case p.QoS == 3:
		c.fail(Malformed, "the PUBLISH packet has QoS 3")
	case p.QoS == 0 && p.Dup:
		c.fail(Malformed, "the PUBLISH packet is marked as sent again with QoS 0")
	}
	p.Topic = c.text("topic")
	if p.QoS > 0 {
		p.ID = c.id()
	}
	if version == V5 {
		p.Properties = c.properties(PUBLISH)
	}
	p.Payload = c.rest
	return c.err
}

// DecodeAck reads the body of a PUBACK, PUBREC, PUBREL or PUBCOMP packet.
func DecodeAck(t Type, body []byte, version byte) (Ack, error) {
	c := cursor{rest: body}
	a := Ack{Type: t, ID: c.id()}
	if version == V5 && len(c.rest) > 0 {
		a.Code = Code(c.byte("reason code"))
		if len(c.rest) > 0 {
			a.Reason = c.properties(t).Text(ReasonString)
		}
	}
	return a, c.end()
}

// DecodeSubscribe reads the body of a SUBSCRIBE packet. Whether the filters are
// good is for the caller to see. A packet with more than limit filters is an
// error.
func DecodeSubscribe(body []byte, version byte, limit int) (Subscribe, error) {
	c := cursor{rest: body}
	s := Subscribe{ID: c.id()}
	if version == V5 {
		s.SubscriptionID = c.properties(SUBSCRIBE).Number(SubscriptionID)
	}
	for len(c.rest) > 0 {
		if len(s.Subscriptions) == limit {
			c.fail(QuotaExceeded, "the packet has more than %d filters", limit)
			break
		}
		filter, options := c.text("filter"), c.byte("options of a filter")
		reserved := byte(0xfc)
		if version == V5 {
			reserved = 0xc0
		}
		sub := Subscription{
			Filter: filter, QoS: options & 3, NoLocal: options&4 != 0, RetainAsPublished: options&8 != 0, RetainHandling: options >> 4 & 3,
		}
		if sub.QoS == 3 || sub.RetainHandling == 3 || options&reserved != 0 {
			c.fail(Malformed, "the options %#02x of a filter are none", options)
		}
		s.Subscriptions = append(s.Subscriptions, sub)
	}
	if c.err == nil && len(s.Subscriptions) == 0 {
		c.fail(ProtocolError, "the SUBSCRIBE packet has no filter")
	}
	return s, c.err
}

// DecodeUnsubscribe reads the body of an UNSUBSCRIBE packet. A packet with more
// than limit filters is an error.
func DecodeUnsubscribe(body []byte, version byte, limit int) (Unsubscribe, error) {
	c := cursor{rest: body}
	u := Unsubscribe{ID: c.id()}
	if version == V5 {
		c.properties(UNSUBSCRIBE)
	}
	for len(c.rest) > 0 {
		if len(u.Filters) == limit {
			c.fail(QuotaExceeded, "the packet has more than %d filters", limit)
			break
		}
		u.Filters = append(u.Filters, c.text("filter"))
	}
	if c.err == nil && len(u.Filters) == 0 {
		c.fail(ProtocolError, "the UNSUBSCRIBE packet has no filter")
	}
	return u, c.err
}

// DecodeDisconnect reads the body of a DISCONNECT packet.
func DecodeDisconnect(body []byte, version byte) (Disconnect, error) {
	c := cursor{rest: body}
	var d Disconnect
	if version == V5 && len(c.rest) > 0 {
		d.Code = Code(c.byte("reason code"))
		if len(c.rest) > 0 {
			d.Properties = c.properties(DISCONNECT)
			d.Reason = d.Properties.Text(ReasonString)
		}
	}
	return d, c.end()
}

// DecodeConnack reads the body of a CONNACK packet. In version 3.1.1 the code is
// that version's return code.
func DecodeConnack(body []byte, version byte) (Connack, error) {
	c := cursor{rest: body}
	k := Connack{Present: c.byte("flags")&1 != 0, Code: Code(c.byte("reason code"))}
	if version == V5 {
		k.Properties = c.properties(CONNACK)
	}
	return k, c.end()
}

// DecodeSuback reads the body of a SUBACK or UNSUBACK packet.
func DecodeSuback(t Type, body []byte, version byte) (id uint16, codes []Code, err error) {
	c := cursor{rest: body}
	id = c.id()
	if version == V5 {
		c.properties(t)
	}
	for _, b := range c.rest {
		codes = append(codes, Code(b))
	}
	return id, codes, c.err
}
