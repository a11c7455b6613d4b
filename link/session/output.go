package session

import (
	"time"

	"github.com/penstock/penstock/link"
)

// Load returns the encoding of the report with a number: an empty report where
// hollow is true, or where the owner dropped it. It is good until the next call.
type Load func(seq uint64, hollow bool) []byte

// Output returns the frames to send now, one after another. Call it after each
// frame that came, each [Sender.Offer], and when [Sender.Next] is due. The frames
// are good until the next call.
//
// Lost says that nothing was heard for too long: a stream has to be closed; on
// other carriers the sender says hello again by itself.
func (s *Sender) Output(now time.Time, load Load) (frames []byte, lost bool) {
	if !s.connected {
		return s.take(), false
	}
	if s.phase == ready && s.heartbeat > 0 && !now.Before(s.heard.Add(silences*s.heartbeat)) {
		lost = true
		s.rest(now, 0)
	}
	if s.pace.outside() {
		return s.take(), lost
	}
	switch {
	case s.phase != ready:
		if !now.Before(s.retryAt) && !(lost && s.config.Stream) {
			s.hello(now)
		}
	default:
		s.talk(now, load)
	}
	if s.config.Polled {
		m := link.Over{Waiting: s.Waiting()}
		s.out = m.Append(s.out, s.header())
		s.pace.budget = -1
	}
	return s.take(), lost
}

// take returns the output and forgets it.
func (s *Sender) take() []byte {
	out := s.out
	s.out = s.out[:0]
	return out
}

// talk says what an open session has to say.
func (s *Sender) talk(now time.Time, load Load) {
	if !s.config.Stream {
		s.flight.expire(now)
	}
	s.flight.wake(now)
	before := len(s.out)
	if s.askTime {
		m := link.TimeRequest{T1: now.UnixNano()}
		s.out = m.Append(s.out, s.header())
		s.askTime = false
	}
	data := false // its ack answers what a heartbeat would ask
	for s.hasData() && s.frame(now, load) {
		data = true
	}
	silent := len(s.out) == before && !now.Before(s.said.Add(s.heartbeat))
	if s.ask.question(now, s.heartbeat) && !data || silent {
		start := len(s.out)
		m := link.Heartbeat{Newest: s.newest, Waiting: s.Waiting(), Signals: s.signals()}
		s.out = m.Append(s.out, s.header())
		s.pace.spend(now, len(s.out)-start)
	}
	if len(s.out) > before {
		s.said = now
	}
}

func (s *Sender) signals() []link.Signal {
	if s.config.Signals == nil {
		return nil
	}
	return s.config.Signals()
}

func (s *Sender) hello(now time.Time) {
	m := link.Hello{
		Oldest: link.ProtocolVersion, Newest: link.ProtocolVersion, Features: link.FrameFeatures,
		Controller: s.config.Controller, Epoch: s.settled.epoch, Token: s.config.Token, Client: s.config.Client, Signals: s.signals(),
	}
	s.out = m.Append(s.out, s.header())
	s.said, s.phase = now, greeting
	s.retryAt = now.Add(s.backoff.next(0))
}

func (s *Sender) hasData() bool { return s.flight.pick(s.newest) > 0 }

// limit returns what may be in flight.
func (s *Sender) limit() int {
	limit := int(min(s.window, 1<<30))
	if !s.config.Stream {
		limit = min(limit, s.flight.cwnd)
	}
	return limit
}

// frame appends a data frame, and tells whether it did. A frame may always go where
// nothing is in flight, unless the window is closed.
func (s *Sender) frame(now time.Time, load Load) bool {
	if s.window == 0 || now.Before(s.pace.from) {
		return false
	}
	room := s.pace.room(s.largest)
	s.stuck = 0
	start, reports, size := len(s.out), 0, 0
	for reports < link.MaxReports {
		seq := s.flight.pick(s.newest)
		if seq == 0 {
			break
		}
		e := s.flight.entry(seq)
		report := load(seq, e != nil && e.hollow)
		cost := len(report) + reportCost
		if len(report) > s.largest {
			s.stuck = seq
		}
		if size+len(report) > room || s.flight.cost > 0 && s.flight.cost+cost > s.limit() {
			break
		}
		if reports == 0 {
			s.out = link.BeginData(s.out, s.header())
		}
		s.out = append(s.out, report...)
		s.flight.launch(now, seq, cost)
		size += len(report)
		reports++
	}
	if reports == 0 {
		return false
	}
	s.out = link.EndFrame(s.out, start)
	s.pace.spend(now, len(s.out)-start)
	return true
}
