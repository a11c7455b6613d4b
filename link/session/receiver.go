package session

import (
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// helloTime is how long a session may take to its hello.
const helloTime = 10 * time.Second

// silences is after how many heartbeats without a frame a session is over.
const silences = 3

// ReceiverConfig are the settings of a session at the gateway.
type ReceiverConfig struct {
	Address   uint16        // of the session's frames
	Window    int           // what data frames under way may count, in bytes: see [Batch.Cost]
	Largest   int           // bytes of payload of the largest frame taken on this carrier
	Heartbeat time.Duration // after which an idle controller shows that it is there
	SameDisk  bool          // spool and record stand on one disk
	// Implicit lets data come without a hello, where the carrier says who sends: a
	// sealed datagram. The session takes its controller from the first report.
	Implicit bool
}

// Do is what the owner of a [Receiver] has to do after a frame.
type Do uint8

// What there is to do.
const (
	Nothing      Do = iota
	Authenticate    // judge Effect.Hello, and call [Receiver.Admit] or [Receiver.Deny]
	Submit          // hand Effect.Batch to the pipeline, and call [Receiver.Judged] with its outcome
	Finish          // send what [Receiver.Output] has, and end the session and its stream
)

// Effect is what follows from a frame.
type Effect struct {
	Do      Do
	Hello   link.Hello    // for Authenticate
	Batch   Batch         // for Submit
	Signals []link.Signal // what the modem said, good until the next frame
	Err     error         // what was wrong with the frame, for the evidence
}

// Batch is a data frame on its way through the pipeline.
type Batch struct {
	Epoch   uint64 // of all its reports
	Reports int
	Body    []byte // of media type [link.MediaType]; a part of the frame's payload
	session uint32 // which hello it came under
}

// Cost is what the batch counts against the window.
func (b *Batch) Cost() int { return len(b.Body) + b.Reports*reportCost }

type stage uint8

const (
	fresh   stage = iota // before the hello
	judging              // the hello is being judged
	open
	over
)

// Receiver is the gateway's end of one session. The zero value is of no use: see
// [NewReceiver]. It is not safe for concurrent use. It holds no report: its size
// does not depend on what comes.
type Receiver struct {
	config     ReceiverConfig
	stage      stage
	session    uint32 // counts hellos of another controller or epoch
	controller string
	features   byte // for frames to the controller: see link.Header
	settled    settled
	underWay   int // cost of the batches that are not judged
	ackDue     bool
	heard      time.Time // when the last good frame came, or the session began
	out        []byte
	scratch    scratch
}

// scratch is what would else be allocated a frame.
type scratch struct {
	ack       link.Ack
	heartbeat link.Heartbeat
}

// NewReceiver returns a session that waits for its hello.
func NewReceiver(c ReceiverConfig, now time.Time) *Receiver {
	return &Receiver{config: c, heard: now}
}

// Controller returns the name of the session's controller, "" before the hello.
func (r *Receiver) Controller() string { return r.controller }

// Epoch returns the epoch of the newest data or hello, 0 before.
func (r *Receiver) Epoch() uint64 { return r.settled.epoch }

// Open tells whether the session takes data.
func (r *Receiver) Open() bool { return r.stage == open }

// Limit returns how many bytes of payload a frame may have now.
func (r *Receiver) Limit() int {
	if r.stage == open || r.config.Implicit {
		return r.config.Largest
	}
	return min(r.config.Largest, link.MaxGreeting)
}

// Full tells whether the window is used up, so that the owner of a stream reads no
// further until a batch was judged.
func (r *Receiver) Full() bool { return r.underWay >= r.config.Window }

// Deadline returns when the session is over if no frame comes: see [Receiver.Expired].
func (r *Receiver) Deadline() time.Time {
	if r.stage == open {
		return r.heard.Add(silences * r.config.Heartbeat)
	}
	return r.heard.Add(helloTime)
}

// Expired ends the session when its deadline is over, and tells whether it is.
func (r *Receiver) Expired(now time.Time) bool {
	if r.stage == over || now.Before(r.Deadline()) {
		return r.stage == over
	}
	r.Bye("idle", 0)
	return true
}

// Bye ends the session from the gateway's side: the reason is one word, retry when
// the controller should come again, 0 for its own back-off.
func (r *Receiver) Bye(reason string, retry time.Duration) {
	if r.stage == over {
		return
	}
	r.stage = over
	m := link.Bye{Gateway: true, Reason: reason, Retry: retry}
	r.out = m.Append(r.out, r.header())
}

// Output returns the frames to send, one after another, and forgets them. An ack
// that covers all that was judged since the last call stands at their end: call it
// once for all that is at hand. The frames are good until the next call of any
// method.
func (r *Receiver) Output() []byte {
	if r.ackDue && r.stage == open {
		r.settled.fill(&r.scratch.ack)
		r.appendAck()
	}
	r.ackDue = false
	out := r.out
	r.out = r.out[:0]
	if cap(out) > maxKept {
		r.out = nil
	}
	return out
}

// maxKept is the largest buffer that a session holds on to.
const maxKept = 4 << 10

func (r *Receiver) appendAck() {
	r.scratch.ack.Window = uint64(r.config.Window)
	r.out = r.scratch.ack.Append(r.out, r.header())
}

func (r *Receiver) header() link.Header {
	return link.Header{Features: r.features, Address: r.config.Address}
}

// Receive takes a frame of the session.
func (r *Receiver) Receive(now time.Time, f link.Frame) Effect {
	if r.stage == over {
		return Effect{Do: Finish}
	}
	if f.Kind.FromGateway() {
		return r.broken(link.FaultKind.Errorf("a %v comes from the gateway, and not to it: the line sends back what it gets", f.Kind))
	}
	if r.stage != judging {
		r.heard = now
	}
	switch f.Kind {
	case link.KindHello:
		return r.hello(f.Payload)
	case link.KindTimeRequest:
		return r.timeRequest(now, f.Payload)
	case link.KindData:
		return r.data(f.Payload)
	case link.KindHeartbeat:
		return r.heartbeat(f.Payload)
	case link.KindBye:
		r.stage = over
		return Effect{Do: Finish}
	case link.KindOver:
		return r.checked((&link.Over{}).Decode(f.Payload))
	}
	return Effect{}
}

// broken refuses the session for a frame that a sound program does not send.
func (r *Receiver) broken(err error) Effect {
	reason := string(penstock.ReasonMalformed)
	if code := penstock.CodeOf(err); code == penstock.Unsupported || code == penstock.TooLarge {
		reason = code.String()
	}
	r.refuse(reason, 0, err.Error())
	return Effect{Do: Finish, Err: err}
}

func (r *Receiver) checked(err error) Effect {
	if err != nil {
		return r.broken(err)
	}
	return Effect{}
}

// refuse ends the session with a refusal.
func (r *Receiver) refuse(reason string, retry time.Duration, text string) {
	r.stage = over
	m := link.Refusal{Session: true, Reason: reason, Retry: retry, Text: text}
	r.out = m.Append(r.out, r.header())
}

// Broken refuses the session for a frame that could not be read: err is that of
// [link.NextFrame]. It is for streams; on other carriers such a frame is dropped.
func (r *Receiver) Broken(err error) Effect { return r.broken(err) }

func (r *Receiver) hello(payload []byte) Effect {
	if r.stage == judging {
		return Effect{}
	}
	var e Effect
	if err := e.Hello.Decode(payload); err != nil {
		return r.broken(err)
	}
	if e.Hello.Oldest > link.ProtocolVersion {
		return r.broken(link.FaultVersion.Errorf("the controller speaks version %d of the link protocol at least, this gateway %d: update it", e.Hello.Oldest, link.ProtocolVersion))
	}
	r.stage = judging
	e.Do, e.Signals = Authenticate, e.Hello.Signals
	return e
}

// Standing is what the gateway knows of a controller when it says hello.
type Standing struct {
	LastEpoch           uint64 // highest epoch known, 0 for none
	LastBoot            uint64 // highest boot number under the key of a sealed carrier, else 0
	Accepted, Committed uint64 // marks of the hello's epoch, 0 where it is 0 or not known
}

// Admit answers a hello that may begin a session: it welcomes the controller.
func (r *Receiver) Admit(now time.Time, h *link.Hello, s Standing) {
	if r.stage != judging {
		return
	}
	if h.Controller != r.controller || h.Epoch != r.settled.epoch { // else the hello came twice
		r.session++
		r.settled = settled{epoch: h.Epoch, runs: r.settled.runs[:0]}
	}
	r.stage, r.heard, r.controller = open, now, h.Controller
	r.settled.raise(s.Accepted, s.Committed)
	m := link.Welcome{
		Version: link.ProtocolVersion, Features: h.Features & link.FrameFeatures,
		Epoch: h.Epoch, LastEpoch: s.LastEpoch, LastBoot: s.LastBoot, Accepted: s.Accepted, Committed: s.Committed,
		Time: now.UnixNano(), Window: uint64(r.config.Window), Largest: uint64(r.config.Largest), Heartbeat: r.config.Heartbeat,
	}
	if r.config.SameDisk {
		m.Flags = link.SameDisk
	}
	if h.Epoch == 0 { // it will come again with an epoch
		r.stage = fresh
	}
	r.out = m.Append(r.out, r.header())
}

// Deny answers a hello that may not begin a session, with the cause. After it the
// session is over.
func (r *Receiver) Deny(err error) {
	if r.stage == judging {
		r.refuse(sessionReason(err), penstock.RetryAfterOf(err), err.Error())
	}
}

// sessionReason returns the word for a session that is refused.
func sessionReason(err error) string {
	switch code := penstock.CodeOf(err); code {
	case penstock.Unauthenticated, penstock.Forbidden, penstock.Limited, penstock.Unavailable, penstock.Full,
		penstock.Unsupported, penstock.TooLarge, penstock.Closed:
		return code.String()
	case penstock.NotFound:
		return string(penstock.ReasonUnknown)
	case penstock.Invalid:
		return string(penstock.ReasonMalformed)
	}
	return penstock.Unavailable.String()
}

func (r *Receiver) timeRequest(now time.Time, payload []byte) Effect {
	var q link.TimeRequest
	if err := q.Decode(payload); err != nil {
		return r.broken(err)
	}
	if r.stage == open || r.config.Implicit {
		m := link.TimeAnswer{T1: q.T1, T2: now.UnixNano(), T3: now.UnixNano()}
		r.out = m.Append(r.out, r.header())
	}
	return Effect{}
}

func (r *Receiver) heartbeat(payload []byte) Effect {
	m := &r.scratch.heartbeat
	if err := m.Decode(payload); err != nil {
		return r.broken(err)
	}
	if r.stage != open {
		return r.stranger()
	}
	r.ackDue = r.settled.epoch > 0
	return Effect{Signals: m.Signals}
}

// stranger answers a frame that needs a session where there is none.
func (r *Receiver) stranger() Effect {
	if r.stage == judging {
		return Effect{} // the welcome is on its way
	}
	r.refuse("hello", 0, "no session is open here: say hello first")
	return Effect{Do: Finish}
}
