package link

import (
	"encoding/binary"
	"time"

	"github.com/penstock/penstock"
)

// Limits of the strings in frames, in bytes.
const (
	MaxToken   = 512
	MaxClient  = 64
	MaxReason  = 32
	MaxText    = 255
	MaxSignals = 8
)

// Hello begins a session.
type Hello struct {
	Oldest, Newest byte     // versions of the protocol that the controller speaks
	Features       uint64   // bits that the controller can read
	Controller     string   // its name
	Epoch          uint64   // of the reports to come; 0 asks for the last one
	Token          string   // empty when the carrier says who it is
	Client         string   // name and version of the software, may be empty
	Signals        []Signal // what the modem says
}

// Append appends a frame with the message to dst and returns the longer slice.
func (m *Hello) Append(dst []byte, h Header) []byte {
	start := len(dst)
	dst = beginFrame(dst, h, KindHello)
	dst = append(dst, m.Oldest, m.Newest)
	dst = binary.AppendUvarint(dst, m.Features)
	dst = appendString(dst, m.Controller)
	dst = binary.AppendUvarint(dst, m.Epoch)
	if m.Token == "" {
		dst = append(dst, 0)
	} else {
		dst = appendString(append(dst, 1), m.Token)
	}
	dst = appendString(dst, m.Client)
	dst = appendSignals(dst, m.Signals)
	return endFrame(dst, start)
}

// Decode reads the payload of a hello into m. It keeps nothing of the payload.
// The error has the fault [FaultPayload]; what m then holds means nothing.
func (m *Hello) Decode(payload []byte) error {
	c := cursor{b: payload, sample: -1}
	*m = Hello{Oldest: c.byte("oldest"), Newest: c.byte("newest"), Features: c.uvarint("features")}
	if c.err == nil && (m.Oldest == 0 || m.Oldest > m.Newest) {
		c.fail("newest", "versions %d to %d are no range", m.Oldest, m.Newest)
	}
	m.Controller = c.string("controller", penstock.MaxName)
	if c.err == nil {
		c.check("controller", penstock.CheckControllerName(m.Controller))
	}
	m.Epoch = c.sequence("epoch")
	switch form := c.byte("credential"); form {
	case 0:
	case 1:
		if m.Token = c.string("token", MaxToken); m.Token == "" {
			c.fail("token", "a token that is said to follow is empty")
		}
	default:
		c.fail("credential", "%d is no form of credential", form)
	}
	m.Client = c.string("client", MaxClient)
	m.Signals = c.signals(nil)
	return c.end(KindHello)
}

// SameDisk is the flag of a welcome: spool and record stand on one disk, and both
// marks are lost with it.
const SameDisk = 1 << 0

// Welcome answers a hello.
type Welcome struct {
	Version             byte          // of the protocol from here on
	Features            uint64        // of those in the hello: either side may use them
	Flags               byte          // SameDisk
	Epoch               uint64        // as in the hello
	LastEpoch           uint64        // highest that the gateway knows of this controller, 0 for none
	LastBoot            uint64        // highest boot number under this key, 0 for none
	Accepted, Committed uint64        // marks of the epoch
	Time                int64         // the gateway's clock, nanoseconds since 1970 UTC
	Window              uint64        // bytes of payload of data frames that may be under way
	Largest             uint64        // bytes of payload of the largest frame that is taken
	Heartbeat           time.Duration // in whole milliseconds
}

// Append appends a frame with the message to dst and returns the longer slice.
func (m *Welcome) Append(dst []byte, h Header) []byte {
	start := len(dst)
	dst = beginFrame(dst, h, KindWelcome)
	dst = append(dst, m.Version)
	dst = binary.AppendUvarint(dst, m.Features)
	dst = append(dst, m.Flags)
	for _, n := range [...]uint64{m.Epoch, m.LastEpoch, m.LastBoot, m.Accepted, m.Committed} {
		dst = binary.AppendUvarint(dst, n)
	}
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Time))
	for _, n := range [...]uint64{m.Window, m.Largest, milliseconds(m.Heartbeat)} {
		dst = binary.AppendUvarint(dst, n)
	}
	return endFrame(dst, start)
}

// Decode reads the payload of a welcome into m. The error has the fault
// [FaultPayload]; what m then holds means nothing.
func (m *Welcome) Decode(payload []byte) error {
	c := cursor{b: payload, sample: -1}
	m.Version, m.Features = c.byte("version"), c.uvarint("features")
	if m.Flags = c.byte("flags"); m.Flags&^SameDisk != 0 {
		c.fail("flags", "0x%02x has a bit that is not defined", m.Flags)
	}
	m.Epoch, m.LastEpoch, m.LastBoot = c.sequence("epoch"), c.sequence("last epoch"), c.sequence("last boot")
	m.Accepted, m.Committed = c.sequence("accepted"), c.sequence("committed")
	m.Time = int64(c.fixed64("time"))
	m.Window, m.Largest = c.uvarint("window"), c.uvarint("largest")
	m.Heartbeat = c.milliseconds("heartbeat")
	return c.end(KindWelcome)
}

// SignalKind says what a signal measures.
type SignalKind byte

// The kinds of signals.
const (
	SignalRSSI        SignalKind = 1 // dBm
	SignalSNR         SignalKind = 2 // dB
	SignalRSRP        SignalKind = 3 // dBm
	SignalRSRQ        SignalKind = 4 // dB
	SignalOptical     SignalKind = 5 // received optical power, dBm
	SignalAttenuation SignalKind = 6 // dB
)

// Signal is what a modem says of its link.
type Signal struct {
	Kind   SignalKind // unknown kinds are to be skipped
	Tenths int64      // the value in tenths of its unit
}

func appendSignals(dst []byte, signals []Signal) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(signals)))
	for _, s := range signals {
		dst = binary.AppendUvarint(append(dst, byte(s.Kind)), zigzag(s.Tenths))
	}
	return dst
}

// signals appends the signals that the cursor stands at to dst.
func (c *cursor) signals(dst []Signal) []Signal {
	n := c.uvarint("signals")
	if n > MaxSignals {
		c.fail("signals", "there are %d, at most %d are allowed", n, MaxSignals)
	}
	for range n {
		s := Signal{SignalKind(c.byte("signal")), unzigzag(c.uvarint("value"))}
		if c.err != nil {
			return dst
		}
		for _, other := range dst {
			if other.Kind == s.Kind {
				c.fail("signal", "kind %d stands there twice", s.Kind)
				return dst
			}
		}
		dst = append(dst, s)
	}
	return dst
}
