package wire

import "encoding/binary"

// appendVarint appends a number of at most 28 bits.
func appendVarint(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

func varintSize(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// appendText appends a text or bytes, which have at most 65,535 bytes.
func appendText[T string | []byte](dst []byte, s T) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

func appendHead(dst []byte, t Type, flags byte, length int) []byte {
	return appendVarint(append(dst, byte(t)<<4|flags), length)
}

func (f *Field) size() int {
	switch ruleOf(f.ID).form {
	case formFlag:
		return 2
	case formShort:
		return 3
	case formLong:
		return 5
	case formVarint:
		return 1 + varintSize(int(f.Number))
	case formText, formBytes:
		return 3 + len(f.Text)
	case formPair:
		return 5 + len(f.Text) + len(f.Value)
	}
	return 0
}

// size returns the bytes of the properties without their length.
func (p Properties) size() (n int) {
	for i := range p {
		n += p[i].size()
	}
	return n
}

func appendProperties(dst []byte, p Properties) []byte {
	dst = appendVarint(dst, p.size())
	for i := range p {
		f := &p[i]
		dst = append(dst, byte(f.ID))
		switch ruleOf(f.ID).form {
		case formFlag:
			dst = append(dst, byte(f.Number))
		case formShort:
			dst = binary.BigEndian.AppendUint16(dst, uint16(f.Number))
		case formLong:
			dst = binary.BigEndian.AppendUint32(dst, f.Number)
		case formVarint:
			dst = appendVarint(dst, int(f.Number))
		case formText, formBytes:
			dst = appendText(dst, f.Text)
		case formPair:
			dst = appendText(appendText(dst, f.Text), f.Value)
		}
	}
	return dst
}

// AppendConnack appends a CONNACK packet. In version 3.1.1 the code is that
// version's return code.
func AppendConnack(dst []byte, version byte, c Connack) []byte {
	body := []byte{0, byte(c.Code)}
	if c.Present {
		body[0] = 1
	}
	if version == V5 {
		body = appendProperties(body, c.Properties)
	}
	return append(appendHead(dst, CONNACK, 0, len(body)), body...)
}

// PublishSize returns the bytes of a PUBLISH packet, and those of its body.
func PublishSize(version byte, p *Publish) (whole, body int) {
	body = 2 + len(p.Topic) + len(p.Payload)
	if p.QoS > 0 {
		body += 2
	}
	if version == V5 {
		n := p.Properties.size()
		body += varintSize(n) + n
	}
	return 1 + varintSize(body) + body, body
}

// AppendPublish appends a PUBLISH packet.
func AppendPublish(dst []byte, version byte, p *Publish) []byte {
	flags := p.QoS << 1
	if p.Dup {
		flags |= 8
	}
	if p.Retain {
		flags |= 1
	}
	_, length := PublishSize(version, p)
	dst = appendText(appendHead(dst, PUBLISH, flags, length), p.Topic)
	if p.QoS > 0 {
		dst = binary.BigEndian.AppendUint16(dst, p.ID)
	}
	if version == V5 {
		dst = appendProperties(dst, p.Properties)
	}
	return append(dst, p.Payload...)
}

// AppendAck appends a PUBACK, PUBREC, PUBREL or PUBCOMP packet.
func AppendAck(dst []byte, version byte, a Ack) []byte {
	var flags byte
	if a.Type == PUBREL {
		flags = 2
	}
	if version != V5 || a.Code == Success && a.Reason == "" {
		return binary.BigEndian.AppendUint16(appendHead(dst, a.Type, flags, 2), a.ID)
	}
	var p Properties
	if a.Reason != "" {
		p = Properties{{ID: ReasonString, Text: a.Reason}}
	}
	n := p.size()
	dst = appendHead(dst, a.Type, flags, 3+varintSize(n)+n)
	dst = append(binary.BigEndian.AppendUint16(dst, a.ID), byte(a.Code))
	return appendProperties(dst, p)
}

// AppendSuback appends a SUBACK or UNSUBACK packet; an UNSUBACK of version 3.1.1
// has no codes.
func AppendSuback(dst []byte, version byte, t Type, id uint16, codes []Code) []byte {
	length := 2
	if version == V5 {
		length++
	}
	withCodes := version == V5 || t == SUBACK
	if withCodes {
		length += len(codes)
	}
	dst = binary.BigEndian.AppendUint16(appendHead(dst, t, 0, length), id)
	if version == V5 {
		dst = append(dst, 0)
	}
	if withCodes {
		for _, c := range codes {
			dst = append(dst, byte(c))
		}
	}
	return dst
}

// AppendEmpty appends a packet without a body: PINGREQ or PINGRESP.
func AppendEmpty(dst []byte, t Type) []byte { return append(dst, byte(t)<<4, 0) }

// AppendDisconnect appends a DISCONNECT packet. In version 3.1.1 it has neither
// code nor reason.
func AppendDisconnect(dst []byte, version byte, d Disconnect) []byte {
	if version != V5 || d.Code == Success && d.Reason == "" && len(d.Properties) == 0 {
		return AppendEmpty(dst, DISCONNECT)
	}
	p := d.Properties
	if d.Reason != "" {
		p = append(p[:len(p):len(p)], Field{ID: ReasonString, Text: d.Reason})
	}
	n := p.size()
	dst = append(appendHead(dst, DISCONNECT, 0, 1+varintSize(n)+n), byte(d.Code))
	return appendProperties(dst, p)
}

// AppendConnect appends a CONNECT packet.
func AppendConnect(dst []byte, c *Connect) []byte {
	var flags byte
	if c.CleanStart {
		flags |= 2
	}
	body := append(appendText([]byte(nil), "MQTT"), c.Version, 0, byte(c.KeepAlive>>8), byte(c.KeepAlive))
	if c.Version == V5 {
		body = appendProperties(body, c.Properties)
	}
	body = appendText(body, c.ClientID)
	if w := c.Will; w != nil {
		flags |= 4 | w.QoS<<3
		if w.Retain {
			flags |= 0x20
		}
		if c.Version == V5 {
			body = appendProperties(body, w.Properties)
		}
		body = appendText(appendText(body, w.Topic), w.Payload)
	}
	if c.User != "" || c.Password != "" && c.Version == V311 {
		flags |= 0x80
		body = appendText(body, c.User)
	}
	if c.Password != "" {
		flags |= 0x40
		body = appendText(body, c.Password)
	}
	body[7] = flags
	return append(appendHead(dst, CONNECT, 0, len(body)), body...)
}

// AppendSubscribe appends a SUBSCRIBE packet.
func AppendSubscribe(dst []byte, version byte, s *Subscribe) []byte {
	body := binary.BigEndian.AppendUint16(nil, s.ID)
	if version == V5 {
		var p Properties
		if s.SubscriptionID > 0 {
			p = Properties{{ID: SubscriptionID, Number: s.SubscriptionID}}
		}
		body = appendProperties(body, p)
	}
	for _, sub := range s.Subscriptions {
		options := sub.QoS | sub.RetainHandling<<4
		if sub.NoLocal {
			options |= 4
		}
		if sub.RetainAsPublished {
			options |= 8
		}
		body = append(appendText(body, sub.Filter), options)
	}
	return append(appendHead(dst, SUBSCRIBE, 2, len(body)), body...)
}

// AppendUnsubscribe appends an UNSUBSCRIBE packet.
func AppendUnsubscribe(dst []byte, version byte, u *Unsubscribe) []byte {
	body := binary.BigEndian.AppendUint16(nil, u.ID)
	if version == V5 {
		body = append(body, 0)
	}
	for _, filter := range u.Filters {
		body = appendText(body, filter)
	}
	return append(appendHead(dst, UNSUBSCRIBE, 2, len(body)), body...)
}
