package link

import (
	"encoding/binary"
	"time"

	"github.com/penstock/penstock"
)

// MaxRanges is how many ranges an ack has at most.
const MaxRanges = 32

// Range is a run of sequence numbers.
type Range struct{ First, Last uint64 }

// Ack says what is settled.
type Ack struct {
	Epoch               uint64 // of the marks and ranges
	Accepted, Committed uint64 // the marks
	Window              uint64 // bytes of payload of data frames that may be under way
	Count               int    // of Ranges
	Ranges              [MaxRanges]Range
}

// Base returns the mark above which the ranges begin: the greater of the two.
func (m *Ack) Base() uint64 { return max(m.Accepted, m.Committed) }

// Append appends a frame with the message to dst and returns the longer slice.
// The ranges have to ascend, with a gap before each.
func (m *Ack) Append(dst []byte, h Header) []byte {
	start := len(dst)
	dst = beginFrame(dst, h, KindAck)
	for _, n := range [...]uint64{m.Epoch, m.Accepted, m.Committed, m.Window, uint64(m.Count)} {
		dst = binary.AppendUvarint(dst, n)
	}
	before := m.Base()
	for _, r := range m.Ranges[:m.Count] {
		dst = binary.AppendUvarint(dst, r.First-before-1)
		dst = binary.AppendUvarint(dst, r.Last-r.First+1)
		before = r.Last
	}
	return endFrame(dst, start)
}

// Decode reads the payload of an ack into m. The error has the fault
// [FaultPayload]; what m then holds means nothing.
func (m *Ack) Decode(payload []byte) error {
	c := cursor{b: payload, sample: -1}
	m.Epoch = c.epoch()
	m.Accepted, m.Committed = c.sequence("accepted"), c.sequence("committed")
	m.Window = c.uvarint("window")
	n := c.uvarint("ranges")
	if n > MaxRanges {
		c.fail("ranges", "there are %d, at most %d are allowed", n, MaxRanges)
		n = 0
	}
	m.Count = int(n)
	before := m.Base()
	for i := range m.Ranges[:m.Count] {
		gap, run := c.sequence("gap"), c.sequence("run")
		r := Range{before + gap + 1, before + gap + run}
		if c.err == nil && (gap == 0 || run == 0 || r.Last > penstock.MaxSequence) {
			c.fail("run", "a gap of %d and a run of %d after %d are no range", gap, run, before)
		}
		m.Ranges[i], before = r, r.Last
	}
	return c.end(KindAck)
}

// Disposition says what a controller does with a report that was refused.
type Disposition byte

// The dispositions.
const (
	Later   Disposition = 0 // keep it, and send it again later
	Settled Disposition = 1 // forget it: the number is settled
	Hollow  Disposition = 2 // send an empty report under the same number: nothing was booked under it
)

// Refusal says that a report, or the session, was refused.
type Refusal struct {
	Session    bool          // the session, and not a report
	Epoch, Seq uint64        // of the report
	Verdict    Disposition   // always Later for a session
	Reason     string        // one word
	Retry      time.Duration // until it is worth trying again, in whole milliseconds, 0 when not known
	Text       string        // a sentence for the person who reads the controller's log
}

// Append appends a frame with the message to dst and returns the longer slice.
// A reason or text that is too long is cut.
func (m *Refusal) Append(dst []byte, h Header) []byte {
	start := len(dst)
	dst = beginFrame(dst, h, KindRefusal)
	about := byte(1)
	if m.Session {
		about = 0
	}
	dst = append(dst, about)
	dst = binary.AppendUvarint(dst, m.Epoch)
	dst = binary.AppendUvarint(dst, m.Seq)
	dst = append(dst, byte(m.Verdict))
	dst = appendString(dst, cut(m.Reason, MaxReason))
	dst = binary.AppendUvarint(dst, milliseconds(m.Retry))
	dst = appendString(dst, cut(m.Text, MaxText))
	return endFrame(dst, start)
}

// Decode reads the payload of a refusal into m. It keeps nothing of the payload.
// The error has the fault [FaultPayload]; what m then holds means nothing.
func (m *Refusal) Decode(payload []byte) error {
	c := cursor{b: payload, sample: -1}
	about := c.byte("about")
	*m = Refusal{Session: about == 0, Epoch: c.sequence("epoch"), Seq: c.sequence("seq"), Verdict: Disposition(c.byte("verdict"))}
	switch {
	case about > 1:
		c.fail("about", "%d is neither a session nor a report", about)
	case m.Session && (m.Epoch != 0 || m.Seq != 0 || m.Verdict != Later):
		c.fail("verdict", "a session is refused without epoch and seq, and for now only")
	case !m.Session && (m.Epoch == 0 || m.Seq == 0):
		c.fail("seq", "a report has an epoch and a seq of at least 1")
	case m.Verdict > Hollow:
		c.fail("verdict", "%d is no verdict", m.Verdict)
	}
	m.Reason = c.string("reason", MaxReason)
	m.Retry = c.milliseconds("retry")
	m.Text = c.string("text", MaxText)
	return c.end(KindRefusal)
}

// Heartbeat says that the controller is there, and what it holds.
type Heartbeat struct {
	Newest  uint64   // highest seq given out in this epoch, 0 for none
	Waiting uint64   // reports held that are not accepted
	Signals []Signal // what the modem says
}

// Append appends a frame with the message to dst and returns the longer slice.
func (m *Heartbeat) Append(dst []byte, h Header) []byte {
	start := len(dst)
	dst = beginFrame(dst, h, KindHeartbeat)
	dst = binary.AppendUvarint(dst, m.Newest)
	dst = binary.AppendUvarint(dst, m.Waiting)
	return endFrame(appendSignals(dst, m.Signals), start)
}

// Decode reads the payload of a heartbeat into m, and uses the array of
// m.Signals again. The error has the fault [FaultPayload]; what m then holds means
// nothing.
func (m *Heartbeat) Decode(payload []byte) error {
	c := cursor{b: payload, sample: -1}
	m.Newest, m.Waiting = c.sequence("newest"), c.uvarint("waiting")
	m.Signals = c.signals(m.Signals[:0])
	return c.end(KindHeartbeat)
}

// TimeRequest asks for the gateway's time.
type TimeRequest struct{ T1 int64 } // the controller's clock at sending, nanoseconds

// Append appends a frame with the message to dst and returns the longer slice.
func (m *TimeRequest) Append(dst []byte, h Header) []byte {
	start := len(dst)
	dst = beginFrame(dst, h, KindTimeRequest)
	return endFrame(binary.LittleEndian.AppendUint64(dst, uint64(m.T1)), start)
}

// Decode reads the payload of a time request into m. The error has the fault
// [FaultPayload].
func (m *TimeRequest) Decode(payload []byte) error {
	c := cursor{b: payload, sample: -1}
	m.T1 = int64(c.fixed64("t1"))
	return c.end(KindTimeRequest)
}

// TimeAnswer answers a time request. The controller's clock is behind by
// ((T2 - T1) + (T3 - T4)) / 2, where T4 is its time of receipt.
type TimeAnswer struct {
	T1 int64 // as in the request
	T2 int64 // the gateway's clock on receipt, nanoseconds since 1970 UTC
	T3 int64 // the gateway's clock at sending
}

// Append appends a frame with the message to dst and returns the longer slice.
func (m *TimeAnswer) Append(dst []byte, h Header) []byte {
	start := len(dst)
	dst = beginFrame(dst, h, KindTimeAnswer)
	for _, t := range [...]int64{m.T1, m.T2, m.T3} {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(t))
	}
	return endFrame(dst, start)
}

// Decode reads the payload of a time answer into m. The error has the fault
// [FaultPayload].
func (m *TimeAnswer) Decode(payload []byte) error {
	c := cursor{b: payload, sample: -1}
	m.T1, m.T2, m.T3 = int64(c.fixed64("t1")), int64(c.fixed64("t2")), int64(c.fixed64("t3"))
	return c.end(KindTimeAnswer)
}

// Turn gives a controller the word on a line that it shares.
type Turn struct{ Budget uint64 } // bytes that it may put on the line

// Append appends a frame with the message to dst and returns the longer slice.
func (m *Turn) Append(dst []byte, h Header) []byte {
	start := len(dst)
	dst = beginFrame(dst, h, KindTurn)
	return endFrame(binary.AppendUvarint(dst, m.Budget), start)
}

// Decode reads the payload of a turn into m. The error has the fault [FaultPayload].
func (m *Turn) Decode(payload []byte) error {
	c := cursor{b: payload, sample: -1}
	m.Budget = c.uvarint("budget")
	return c.end(KindTurn)
}

// Over ends a turn.
type Over struct{ Waiting uint64 } // reports held that are not accepted

// Append appends a frame with the message to dst and returns the longer slice.
func (m *Over) Append(dst []byte, h Header) []byte {
	start := len(dst)
	dst = beginFrame(dst, h, KindOver)
	return endFrame(binary.AppendUvarint(dst, m.Waiting), start)
}

// Decode reads the payload of an over into m. The error has the fault [FaultPayload].
func (m *Over) Decode(payload []byte) error {
	c := cursor{b: payload, sample: -1}
	m.Waiting = c.uvarint("waiting")
	return c.end(KindOver)
}

// Bye ends a session.
type Bye struct {
	Gateway bool          // it is the gateway's and not the controller's
	Reason  string        // one word for the log: stop, restart, idle
	Retry   time.Duration // before the other should try again, in whole milliseconds
}

func (m *Bye) kind() Kind {
	if m.Gateway {
		return KindGatewayBye
	}
	return KindBye
}

// Append appends a frame with the message to dst and returns the longer slice.
// A reason that is too long is cut.
func (m *Bye) Append(dst []byte, h Header) []byte {
	start := len(dst)
	dst = beginFrame(dst, h, m.kind())
	dst = appendString(dst, cut(m.Reason, MaxReason))
	return endFrame(binary.AppendUvarint(dst, milliseconds(m.Retry)), start)
}

// Decode reads the payload of a bye into m; it leaves Gateway as it is. The
// error has the fault [FaultPayload].
func (m *Bye) Decode(payload []byte) error {
	c := cursor{b: payload, sample: -1}
	m.Reason, m.Retry = c.string("reason", MaxReason), c.milliseconds("retry")
	return c.end(m.kind())
}
