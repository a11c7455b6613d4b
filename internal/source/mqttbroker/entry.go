package mqttbroker

import (
	"hash/crc32"
	"strconv"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/mqttbroker/fanout"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
	"github.com/penstock/penstock/internal/topic"
)

// propertyChecksum is the user property with the CRC-32/ISO-HDLC of the payload
// in 8 hexadecimal digits.
const propertyChecksum = "crc32"

// place is what the configuration says of a topic.
type place struct {
	topic.Match
	reports bool // its messages carry reports
}

func (b *broker) place(name string) (p place) {
	p.Match, p.reports = b.router.Match(name)
	return p
}

// envelope makes an envelope of a message that carries reports. An error is
// final.
func (b *broker) envelope(from *fanout.Client, p *place, m *wire.Message) (penstock.Envelope, error) {
	beside := topic.Beside{}
	beside.Epoch, _ = m.Properties.User(topic.EpochName)
	beside.Seq, _ = m.Properties.User(topic.SeqName)
	beside.Key, _ = m.Properties.User(topic.KeyName)
	e, err := p.Envelope(m.Payload, beside, b.env.Now().UnixNano())
	if err != nil {
		return e, err
	}
	if media := m.Properties.Text(wire.ContentType); p.Payload == topic.Reports && media != "" {
		e.ContentType = media
	}
	if err := checksum(&e, p, m); err != nil {
		return e, err
	}
	e.Source, e.Peer, e.Credential, e.Topic = b.env.Name, from.Peer, from.Credential, m.Topic
	for i := range m.Properties {
		if f := &m.Properties[i]; f.ID == wire.UserProperty {
			if e.Properties == nil {
				e.Properties = penstock.Properties{}
			}
			e.Properties[f.Text] = f.Value
		}
	}
	return e, nil
}

// checksum hands on the checksum that came beside the payload. That of a plain
// value is looked at here: the body is no longer what it was made of.
func checksum(e *penstock.Envelope, p *place, m *wire.Message) error {
	text, ok := m.Properties.User(propertyChecksum)
	if !ok {
		return nil
	}
	declared, err := strconv.ParseUint(text, 16, 32)
	if err != nil || len(text) != 8 {
		return penstock.Errorf(penstock.Invalid, "the user property crc32 is %.20q, not 8 hexadecimal digits", text)
	}
	if p.Payload != topic.Value {
		e.Checksum, e.HasChecksum = uint32(declared), true
		return nil
	}
	if sum := crc32.ChecksumIEEE(m.Payload); sum != uint32(declared) {
		return penstock.Errorf(penstock.Corrupt, "the payload's CRC-32 is %08x, and the user property crc32 says %08x", sum, declared)
	}
	return nil
}
