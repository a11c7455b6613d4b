package link

import (
	"encoding/binary"
	"fmt"
)

// ProtocolVersion is the version of the link protocol that this package speaks.
const ProtocolVersion = 1

// Sizes of frames, in bytes.
const (
	FrameOverhead = frameHeader + 4 // a frame without its payload
	MaxPayload    = 1 << 20         // payload of any frame
	MaxGreeting   = 1 << 10         // payload of any frame before the welcome

	frameHeader = 10 // version, features, kind, address, length, header check
)

// FeatureCRC32C is the feature bit of frames whose checksum is CRC-32C.
const FeatureCRC32C = 1 << 0

// FrameFeatures has a bit for each feature that this package can read.
const FrameFeatures = FeatureCRC32C

// Kind says what a frame is for. Bit 4 is set in kinds that the gateway sends.
type Kind byte

// The kinds of frames.
const (
	KindHello       Kind = 0x01
	KindData        Kind = 0x02
	KindHeartbeat   Kind = 0x03
	KindTimeRequest Kind = 0x04
	KindOver        Kind = 0x05
	KindBye         Kind = 0x06

	KindWelcome    Kind = 0x11
	KindAck        Kind = 0x12
	KindRefusal    Kind = 0x13
	KindTimeAnswer Kind = 0x14
	KindTurn       Kind = 0x15
	KindGatewayBye Kind = 0x16
)

// FromGateway tells whether frames of this kind come from the gateway.
func (k Kind) FromGateway() bool { return k&0x10 != 0 }

// String returns the kind's name in docs/link-protocol.md.
func (k Kind) String() string {
	switch k {
	case KindHello:
		return "hello"
	case KindData:
		return "data"
	case KindHeartbeat:
		return "heartbeat"
	case KindTimeRequest:
		return "time request"
	case KindOver:
		return "over"
	case KindBye, KindGatewayBye:
		return "bye"
	case KindWelcome:
		return "welcome"
	case KindAck:
		return "ack"
	case KindRefusal:
		return "refusal"
	case KindTimeAnswer:
		return "time answer"
	case KindTurn:
		return "turn"
	}
	return fmt.Sprintf("kind 0x%02x", byte(k))
}

func (k Kind) known() bool {
	return k >= KindHello && k <= KindBye || k >= KindWelcome && k <= KindGatewayBye
}

// Frame is one frame of the link protocol.
type Frame struct {
	Kind     Kind
	Features byte   // bits of FrameFeatures; FeatureCRC32C chooses the checksum
	Address  uint16 // which session on the carrier; 0 where there is only one
	Payload  []byte // at most MaxPayload bytes
}

// Header is what the writer of a frame chooses beside its kind and payload.
type Header struct {
	Features byte   // bits of FrameFeatures that both sides named
	Address  uint16 // which session on the carrier; 0 where there is only one
}

// AppendFrame appends the frame to dst and returns the longer slice. A payload
// of more than [MaxPayload] gets a frame that no reader takes.
func AppendFrame(dst []byte, f Frame) []byte {
	start := len(dst)
	dst = beginFrame(dst, Header{f.Features, f.Address}, f.Kind)
	return endFrame(append(dst, f.Payload...), start)
}

// beginFrame appends a header without length and check. The payload follows, and
// then [endFrame].
func beginFrame(dst []byte, h Header, k Kind) []byte {
	dst = append(dst, ProtocolVersion, h.Features, byte(k))
	dst = binary.LittleEndian.AppendUint16(dst, h.Address)
	return append(dst, 0, 0, 0, 0, 0)
}

// endFrame completes the frame that begins at start and ends where dst ends.
func endFrame(dst []byte, start int) []byte {
	f := dst[start:]
	n := len(f) - frameHeader
	f[5], f[6], f[7] = byte(n), byte(n>>8), byte(n>>16)
	binary.LittleEndian.PutUint16(f[8:], headerCheck(f[:8]))
	return appendChecksum(dst, start)
}

// NextFrame reads the frame at the start of b and returns it with its size. Its
// payload is a part of b, and is not looked into. A size of 0 without an error
// says that the frame is not whole yet.
//
// A frame that has to be refused is an error with a [Fault] and, when it can be
// skipped because its header holds, its size, which may be more than b has; a
// size of 0 then says that there is no way to find the frame after it. A payload
// of more than limit bytes is refused before it is waited for.
func NextFrame(b []byte, limit int) (f Frame, size int, err error) {
	size, err = FrameSize(b, limit)
	switch {
	case err != nil:
		return Frame{}, size, err
	case size == 0 || size > len(b):
		return Frame{}, 0, nil
	}
	if extra := b[1] &^ FrameFeatures; extra != 0 {
		return Frame{}, size, FaultFeature.Errorf("the frame needs the features 0x%02x, which this program does not know: update it", extra)
	}
	body, sum := b[:size-4], binary.LittleEndian.Uint32(b[size-4:])
	if checksum(b[1], body) != sum {
		return Frame{}, size, badChecksum(body, sum)
	}
	f = Frame{Kind: Kind(b[2]), Features: b[1], Address: binary.LittleEndian.Uint16(b[3:]), Payload: body[frameHeader:]}
	if !f.Kind.known() {
		return Frame{}, size, FaultKind.Errorf("%v is not known to this program: update it", f.Kind)
	}
	return f, size, nil
}

// FrameSize returns the size of the frame that begins b, as soon as its header
// is whole, and 0 before. Errors are those of [NextFrame] that the header alone
// can tell; a size that comes with one is of a frame that can be skipped.
func FrameSize(b []byte, limit int) (int, error) {
	if len(b) < frameHeader {
		return 0, nil
	}
	if want, got := headerCheck(b[:8]), binary.LittleEndian.Uint16(b[8:]); want != got {
		return 0, FaultHeader.Errorf("the header % x has the check 0x%04x, not 0x%04x: this is no frame, or it was damaged", b[:8], want, got)
	}
	n := int(b[5]) | int(b[6])<<8 | int(b[7])<<16
	size := FrameOverhead + n
	if b[0] != ProtocolVersion {
		return size, FaultVersion.Errorf("the frame has version %d, this program reads version %d: update the older of the two", b[0], ProtocolVersion)
	}
	if n > min(limit, MaxPayload) {
		return size, FaultLength.Errorf("the frame has %d bytes of payload, at most %d are taken here: send fewer or smaller reports in it", n, min(limit, MaxPayload))
	}
	return size, nil
}

// badChecksum tells damage from a sender that computes another CRC.
func badChecksum(body []byte, sum uint32) error {
	want := "CRC-32/ISO-HDLC"
	if body[1]&FeatureCRC32C != 0 {
		want = "CRC-32C"
	}
	if got := variantOf(body, sum); got != "" {
		return FaultVariant.Errorf("the checksum is %s, and has to be %s: the sender's program is wrong, not the cable", got, want)
	}
	return FaultChecksum.Errorf("the frame has the %s 0x%08x, not 0x%08x: it was damaged on its way", want, checksum(body[1], body), sum)
}

// WholeFrame reads a frame that has to fill b. Besides those of [NextFrame] it
// returns the error of [FaultCOBS] when b is longer or shorter than the frame.
func WholeFrame(b []byte, limit int) (Frame, error) {
	f, size, err := NextFrame(b, limit)
	if err == nil && (size == 0 || size != len(b)) {
		err = FaultCOBS.Errorf("a block of %d bytes is not exactly one frame: a delimiter was damaged", len(b))
	}
	return f, err
}
