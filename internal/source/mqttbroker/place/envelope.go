package place

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

// Envelope makes an envelope of a message that carries reports, received now, in
// nanoseconds since 1970. The name of the source is still to be set. An error is
// final.
func (p *Place) Envelope(from *fanout.Client, m *wire.Message, now int64) (penstock.Envelope, error) {
	beside := topic.Beside{}
	beside.Epoch, _ = m.Properties.User(topic.EpochName)
	beside.Seq, _ = m.Properties.User(topic.SeqName)
	beside.Key, _ = m.Properties.User(topic.KeyName)
	e, err := p.Match.Envelope(m.Payload, beside, now)
	if err != nil {
		return e, err
	}
	if media := m.Properties.Text(wire.ContentType); p.Payload == topic.Reports && media != "" {
		e.ContentType = media
	}
	declared, ok, err := declared(m)
	if err != nil {
		return e, err
	}
	if p.Payload == topic.Value { // the body is no longer what the checksum was made of
		if err := Verify(m); err != nil {
			return e, err
		}
	} else {
		e.Checksum, e.HasChecksum = declared, ok
	}
	e.Peer, e.Credential, e.Topic = from.Peer, from.Credential, m.Topic
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

// declared returns the checksum that came beside the payload, and whether one
// did.
func declared(m *wire.Message) (sum uint32, ok bool, err error) {
	text, ok := m.Properties.User(propertyChecksum)
	if !ok {
		return 0, false, nil
	}
	n, err := strconv.ParseUint(text, 16, 32)
	if err != nil || len(text) != 8 {
		return 0, false, penstock.Errorf(penstock.Invalid, "the user property crc32 is %.20q, not 8 hexadecimal digits", text)
	}
	return uint32(n), true, nil
}

// Verify holds the payload against the checksum that came beside it, where one
// did.
func Verify(m *wire.Message) error {
	want, ok, err := declared(m)
	if err != nil || !ok {
		return err
	}
	if sum := crc32.ChecksumIEEE(m.Payload); sum != want {
		return penstock.Errorf(penstock.Corrupt, "the payload's CRC-32 is %08x, and the user property crc32 says %08x", sum, want)
	}
	return nil
}
