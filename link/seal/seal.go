// Package seal protects frames of the link protocol where there is no TLS: each
// datagram is sealed with AES-256-GCM under the key of one controller, without a
// handshake. docs/link-protocol.md describes every byte, and what is promised.
//
// A nonce must never come twice under one key. What guards against that is the
// boot number: see [NewController].
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// Sizes of sealed datagrams, in bytes.
const (
	SecretSize  = 32                // of a link key's secret
	Overhead    = headerSize + 16   // a datagram without its frames
	MaxDatagram = 1200              // a datagram that no path splits
	headerSize  = 22                // version, features, key id, boot, counter
	nonceSize   = 12                // boot and counter
	gatewayBit  = 1 << 31           // of the counter, in datagrams from the gateway
	questionBit = 1 << 63           // of the boot, in questions
	sealVersion = 0x80 | sealFormat // a frame begins with another byte
	sealFormat  = 1
)

// IsSealed tells a sealed datagram from a frame by its first byte.
func IsSealed(b []byte) bool { return len(b) > 0 && b[0]&0x80 != 0 }

// KeyID is the public id of a link key: the eight bytes of its credential's id.
type KeyID [8]byte

// Header is the header of a sealed datagram, of which nothing is verified.
type Header struct {
	Key         KeyID
	Boot        uint64 // without the bit that marks a question
	Counter     uint32 // without the bit that marks the gateway
	Question    bool   // from a controller that does not know its boot number
	FromGateway bool
}

// Parse reads the header of a datagram, so that its key can be found. The
// error has the fault [link.FaultSeal], [link.FaultVersion] or [link.FaultFeature].
func Parse(datagram []byte) (Header, error) {
	if len(datagram) < Overhead {
		return Header{}, link.FaultSeal.Errorf("a sealed datagram has at least %d bytes, this one has %d", Overhead, len(datagram))
	}
	if datagram[0] != sealVersion {
		return Header{}, link.FaultVersion.Errorf("the datagram begins with 0x%02x, not with 0x%02x: it is not sealed, or by a newer version", datagram[0], sealVersion)
	}
	if datagram[1] != 0 {
		return Header{}, link.FaultFeature.Errorf("the datagram needs the features 0x%02x, which this program does not know: update it", datagram[1])
	}
	boot, counter := binary.LittleEndian.Uint64(datagram[10:]), binary.LittleEndian.Uint32(datagram[18:])
	s := Header{
		Key: KeyID(datagram[2:10]), Boot: boot, Counter: counter &^ gatewayBit,
		FromGateway: counter&gatewayBit != 0,
	}
	if !s.FromGateway && boot&questionBit != 0 {
		s.Boot, s.Question = boot&^questionBit, true
	}
	return s, nil
}

// append appends the header's bytes.
func (s Header) append(dst []byte) []byte {
	dst = append(append(dst, sealVersion, 0), s.Key[:]...)
	if s.Question {
		s.Boot |= questionBit
	}
	if s.FromGateway {
		s.Counter |= gatewayBit
	}
	dst = binary.LittleEndian.AppendUint64(dst, s.Boot)
	return binary.LittleEndian.AppendUint32(dst, s.Counter)
}

// Key seals and opens the datagrams of one link key.
type Key struct {
	id   KeyID
	aead cipher.AEAD
}

// NewKey returns the key with this id and secret, or an error of code
// [penstock.Invalid] when the secret has not [SecretSize] bytes.
func NewKey(id KeyID, secret []byte) (*Key, error) {
	if len(secret) != SecretSize {
		return nil, penstock.Errorf(penstock.Invalid, "the secret of a link key has %d bytes, this one has %d", SecretSize, len(secret))
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, penstock.Errorf(penstock.Internal, "link key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, penstock.Errorf(penstock.Internal, "link key: %w", err)
	}
	return &Key{id: id, aead: aead}, nil
}

// seal appends a datagram with the frames. AskerBoot is the boot field of the
// controller that a gateway's datagram answers.
func (k *Key) seal(dst []byte, s Header, askerBoot uint64, frames []byte, data *associatedData) []byte {
	start := len(dst)
	dst = s.append(dst)
	header := dst[start:]
	return k.aead.Seal(dst, header[headerSize-nonceSize:], frames, data.of(header, s.FromGateway, askerBoot))
}

// open appends the frames of a datagram to dst.
func (k *Key) open(dst, datagram []byte, fromGateway bool, askerBoot uint64, data *associatedData) ([]byte, error) {
	header := datagram[:headerSize]
	frames, err := k.aead.Open(dst, header[headerSize-nonceSize:], datagram[headerSize:], data.of(header, fromGateway, askerBoot))
	if err != nil {
		return dst, link.FaultSeal.Errorf("the datagram does not open: the key is another one, or it was changed on its way")
	}
	return frames, nil
}

// associatedData is room for what is authenticated beside the frames.
type associatedData [headerSize + 8]byte

// of returns what is authenticated beside the frames of a datagram.
func (d *associatedData) of(header []byte, fromGateway bool, askerBoot uint64) []byte {
	data := append(d[:0], header...)
	if fromGateway {
		data = binary.LittleEndian.AppendUint64(data, askerBoot)
	}
	return data
}

// check returns an error when the datagram's header is not for this key and side.
func (k *Key) check(s Header, fromGateway bool) error {
	if s.Key != k.id {
		return link.FaultSeal.Errorf("the datagram is under another key")
	}
	if s.FromGateway != fromGateway {
		return link.FaultSeal.Errorf("the datagram comes from the wrong side: it was sent back")
	}
	return nil
}
