package session

import (
	"time"

	"github.com/penstock/penstock/link"
)

// Times of a sender, as docs/link-protocol.md has them.
const (
	firstBackoff = time.Second
	lastBackoff  = time.Minute
	firstTimeout = time.Second            // before the first measurement of a round trip
	leastTimeout = 200 * time.Millisecond // of a resend
	leastReorder = 10 * time.Millisecond

	leastHeartbeat = 100 * time.Millisecond
)

// firstFlight is how many frames go out before the first ack on a carrier that
// does not push back.
const firstFlight = 10

// SenderConfig are the settings of a session at the controller.
type SenderConfig struct {
	Address    uint16
	Controller string
	Token      string // empty when the carrier says who it is
	Client     string // name and version of the program
	Epoch      uint64 // of the reports; 0 asks the gateway: see [Event.Epoch]
	Largest    int    // bytes of payload of a frame on this carrier, before the gateway says less
	// Stream says that the carrier loses nothing as long as it stands: TLS on TCP.
	// Nothing is resent within a session then.
	Stream bool
	// Polled says that the gateway gives turns: frames go out in a turn only.
	Polled  bool
	Seal    int                  // bytes that the carrier puts around each frame to seal it; 0 for none
	Rate    int                  // bytes a second of the carrier; 0 when it pushes back, or nobody knows
	Rand    func() uint64        // for the jitter of back-offs
	Signals func() []link.Signal // what the modem says now, nil for nothing
}

// Event is what a frame from the gateway meant for the controller's program.
type Event struct {
	// Committed is true when the committed mark moved: see [Sender.Committed].
	Committed bool
	// Epoch is not 0 when the gateway was asked for it: the program has to keep it
	// before it sends, and to encode its reports with it.
	Epoch   uint64
	Welcome *link.Welcome    // of a session that begins
	Time    *link.TimeAnswer // to a request
	Refusal *link.Refusal    // of a report, or of the session
	Bye     *link.Bye
	// Behind is not 0 when the gateway has numbers up to it that this controller
	// never gave out: it lost its sequence, or another uses its name. The session
	// does not begin. The owner has to take a new epoch, and a new sender.
	Behind uint64
	// Lost says that the session is over: a stream has to be closed.
	Lost bool
}

type phase uint8

const (
	resting  phase = iota // waits for the back-off
	greeting              // said hello
	ready                 // may send
)

// Sender is the controller's end of one session. It knows which numbers there are
// and what became of them; the reports themselves stay with its owner. It holds a
// few bytes for each report under way. It is not safe for concurrent use.
type Sender struct {
	config    SenderConfig
	phase     phase
	connected bool
	newest    uint64 // highest number offered
	settled   settled
	flight    flight
	window    uint64
	largest   int
	heartbeat time.Duration
	heard     time.Time // the last good frame from the gateway
	said      time.Time // the last frame to the gateway
	retryAt   time.Time // of the next hello
	backoff   backoff
	pace      pace
	ask       ask
	askTime   bool
	stuck     uint64
	out       []byte
	ack       link.Ack
}

// NewSender returns a sender for the reports of an epoch: those above committed up
// to newest are held by the owner; both are 0 for a new epoch.
func NewSender(c SenderConfig, newest, committed uint64) *Sender {
	s := &Sender{
		config: c, newest: newest, largest: min(c.Largest, link.MaxPayload),
		backoff: backoff{rand: c.Rand}, pace: pace{rate: c.Rate, polled: c.Polled, budget: -1, around: c.Seal},
	}
	s.ask.never = c.Stream
	s.settled = settled{epoch: c.Epoch, accepted: committed, committed: committed}
	s.flight.reset(committed)
	return s
}

// Epoch returns the epoch of the reports, 0 while it has to be asked for.
func (s *Sender) Epoch() uint64 { return s.settled.epoch }

// Committed returns the number up to which the reports may be forgotten.
func (s *Sender) Committed() uint64 { return s.settled.committed }

// Accepted returns the number up to which the gateway of this session, or of the
// last, has what it needs.
func (s *Sender) Accepted() uint64 { return s.settled.base() }

// Waiting returns how many reports are not accepted.
func (s *Sender) Waiting() uint64 { return s.newest - min(s.newest, s.settled.base()) }

// Open tells whether the session takes data.
func (s *Sender) Open() bool { return s.connected && s.phase == ready }

// Largest returns how many bytes the encoding of a report may have on this carrier.
func (s *Sender) Largest() int { return s.largest }

// Offer says that the owner holds the reports up to newest.
func (s *Sender) Offer(newest uint64) { s.newest = max(s.newest, newest) }

// AskTime has the next output ask for the gateway's time.
func (s *Sender) AskTime() { s.askTime = true }

// Connected says that the carrier can take frames: the sender says hello.
func (s *Sender) Connected(now time.Time) {
	s.connected, s.phase, s.retryAt = true, resting, now
	s.pace.budget = -1
}

// Disconnected says that the carrier takes no more. Everything that was not
// accepted is sent again in the next session.
func (s *Sender) Disconnected() {
	s.connected, s.phase = false, resting
}

// Backoff returns how long to wait before the next connection, longer each time
// until an ack comes.
func (s *Sender) Backoff() time.Duration { return s.backoff.next(0) }

// Bye ends the session: the frame is in the next output.
func (s *Sender) Bye(reason string) {
	if s.connected && s.phase != resting {
		m := link.Bye{Reason: reason}
		s.out = m.Append(s.out, s.header())
	}
	s.phase = resting
	s.connected = false
}

func (s *Sender) header() link.Header { return link.Header{Address: s.config.Address} }

// Receive takes a frame of the session. An error says what was wrong with it; it
// was dropped then, and the session goes on.
func (s *Sender) Receive(now time.Time, f link.Frame) (Event, error) {
	if f.Address != s.config.Address || !s.connected {
		return Event{}, nil
	}
	if !f.Kind.FromGateway() {
		return Event{}, link.FaultKind.Errorf("a %v comes from a controller: the line sends back what it gets", f.Kind)
	}
	s.heard = now
	switch f.Kind {
	case link.KindWelcome:
		return s.welcome(now, f.Payload)
	case link.KindAck:
		return s.acked(now, f.Payload)
	case link.KindRefusal:
		return s.refused(now, f.Payload)
	case link.KindTimeAnswer:
		e := Event{Time: &link.TimeAnswer{}}
		return e, e.Time.Decode(f.Payload)
	case link.KindTurn:
		return s.turn(f.Payload)
	}
	e := Event{Bye: &link.Bye{Gateway: true}}
	if err := e.Bye.Decode(f.Payload); err != nil {
		return Event{}, err
	}
	e.Lost = true
	s.rest(now, e.Bye.Retry)
	return e, nil
}

// rest ends the session until the back-off, or the time that the gateway gave, is over.
func (s *Sender) rest(now time.Time, retry time.Duration) {
	s.phase = resting
	s.retryAt = now.Add(s.backoff.next(retry))
}

func (s *Sender) turn(payload []byte) (Event, error) {
	var m link.Turn
	if err := m.Decode(payload); err != nil {
		return Event{}, err
	}
	s.pace.budget = int(min(m.Budget, link.MaxPayload))
	return Event{}, nil
}

func (s *Sender) welcome(now time.Time, payload []byte) (Event, error) {
	m := &link.Welcome{}
	if err := m.Decode(payload); err != nil {
		return Event{}, err
	}
	if m.Version != link.ProtocolVersion || s.phase != greeting || m.Epoch != s.settled.epoch {
		return Event{}, nil // of a hello before
	}
	e := Event{Welcome: m}
	if m.Epoch == 0 {
		e.Epoch = max(m.LastEpoch+1, uint64(max(m.Time, 0)/int64(time.Millisecond)))
		s.settled.epoch = e.Epoch
		s.phase, s.retryAt = resting, now
		return e, nil
	}
	if top := max(m.Accepted, m.Committed); top > s.newest {
		s.rest(now, 0)
		return Event{Welcome: m, Behind: top, Lost: true}, nil
	}
	s.phase = ready
	s.window, s.heartbeat = m.Window, max(m.Heartbeat, leastHeartbeat)
	s.largest = min(s.config.Largest, int(min(m.Largest, link.MaxPayload)))
	s.said = now
	// Another gateway may answer, which has less than the last one accepted.
	committed := max(s.settled.committed, m.Committed)
	e.Committed = committed > s.settled.committed
	s.settled = settled{epoch: m.Epoch, accepted: m.Accepted, committed: committed, runs: s.settled.runs[:0]}
	s.flight.reset(s.settled.base())
	s.flight.unit = min(s.largest, 1200) + reportCost
	s.flight.cwnd = firstFlight * s.flight.unit
	s.ask.reset()
	s.ask.heard(now, &s.settled, s.flight.trip.usually(), s.heartbeat)
	return e, nil
}

func (s *Sender) acked(now time.Time, payload []byte) (Event, error) {
	m := &s.ack
	if err := m.Decode(payload); err != nil {
		return Event{}, err
	}
	if m.Epoch != s.settled.epoch || s.phase != ready {
		return Event{}, nil
	}
	top := m.Base()
	if m.Count > 0 {
		top = m.Ranges[m.Count-1].Last
	}
	if top > s.newest {
		return Event{}, link.FaultPayload.Errorf("ack: %d is settled, but %d is the highest number given out: another controller may use this name", top, s.newest)
	}
	s.window = m.Window
	before := s.settled.base()
	e := Event{Committed: s.settled.raise(m.Accepted, m.Committed)}
	progress := s.flight.settleThrough(now, s.settled.base())
	for _, r := range m.Ranges[:m.Count] {
		progress = s.flight.settle(now, r) || progress
	}
	if progress || s.settled.base() > before {
		s.backoff.reset()
	}
	if !s.config.Stream {
		s.flight.findLost(now)
	}
	s.ask.heard(now, &s.settled, s.flight.trip.usually(), s.heartbeat)
	return e, nil
}

func (s *Sender) refused(now time.Time, payload []byte) (Event, error) {
	m := &link.Refusal{}
	if err := m.Decode(payload); err != nil {
		return Event{}, err
	}
	e := Event{Refusal: m}
	if m.Session {
		e.Lost = true
		s.rest(now, m.Retry)
		if m.Reason == "hello" && s.backoff.last <= firstBackoff {
			s.retryAt = now
		}
		return e, nil
	}
	if m.Epoch != s.settled.epoch || s.phase != ready {
		return Event{}, nil
	}
	switch m.Verdict {
	case link.Later:
		s.flight.postpone(m.Seq, now.Add(max(m.Retry, s.backoff.jitter(firstBackoff))))
	case link.Settled:
		s.flight.settle(now, link.Range{First: m.Seq, Last: m.Seq})
	case link.Hollow:
		if s.flight.hollow(m.Seq) {
			m.Verdict = link.Settled // it was empty before: there is nothing more to try
		}
	}
	return e, nil
}

// Next returns when [Sender.Output] should be called at the latest, if nothing
// happens before: the zero time for never.
func (s *Sender) Next() time.Time {
	if !s.connected || s.config.Polled {
		return time.Time{}
	}
	if s.phase != ready {
		return s.retryAt
	}
	next := earliest(s.said.Add(s.heartbeat), s.heard.Add(silences*s.heartbeat))
	if !s.config.Stream {
		next = earliest(earliest(next, s.flight.timeout()), s.ask.due)
	}
	next = earliest(next, s.flight.laterAt)
	if s.pace.rate > 0 && s.hasData() && s.flight.cost < s.limit() {
		next = earliest(next, s.pace.from)
	}
	return next
}

// earliest returns the earlier of two times, of which zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Stuck returns the number of a report that is larger than [Sender.Largest], 0 for
// none. It holds up those after it, until the owner drops it, that is, gives an
// empty report for it, or another carrier takes it.
func (s *Sender) Stuck() uint64 { return s.stuck }

// Interval returns the heartbeat that the gateway wants.
func (s *Sender) Interval() time.Duration { return s.heartbeat }
