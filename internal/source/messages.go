package source

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/topic"
)

// Messages turns what a broker delivers into envelopes. It serves sources that
// speak for the controllers of their configuration.
type Messages struct {
	Env         Env
	Peer        string         // the broker's address
	Controllers penstock.Scope // for which it may speak
}

// Message is what a broker delivered under a topic.
type Message struct {
	Topic      string
	Payload    []byte // belongs to the envelope from now on
	Properties penstock.Properties
	Key        string // idempotency key that the protocol itself has, empty for none
}

// Envelopes returns the envelope of a message, or none when it can never become
// one; then the evidence says why. The match is that of the topic, and found
// tells whether there is one.
func (s *Messages) Envelopes(m topic.Match, found bool, d Message) []penstock.Envelope {
	port := s.Env.Evidence.Port(s.Env.Name)
	if !found {
		port.Bad(evidence.Refused, d.Payload, "no topic of the configuration takes "+d.Topic)
		return nil
	}
	scope, err := m.Scope(s.Controllers)
	if err != nil {
		port.Bad(evidence.Refused, d.Payload, err.Error())
		return nil
	}
	beside := topic.Beside{Epoch: d.Properties[topic.EpochName], Seq: d.Properties[topic.SeqName], Key: d.Properties[topic.KeyName]}
	if beside.Key == "" {
		beside.Key = d.Key
	}
	e, err := m.Envelope(d.Payload, beside, s.Env.Now().UnixNano())
	if err != nil {
		port.Bad(evidence.Malformed, d.Payload, d.Topic+": "+err.Error())
		return nil
	}
	if m.Controller != "" {
		s.Env.Evidence.Controller(m.Controller).Count(evidence.Received)
	}
	e.Source, e.Peer, e.Topic, e.Properties = s.Env.Name, s.Peer, d.Topic, d.Properties
	e.Principal = Own(s.Env.Name, scope)
	return []penstock.Envelope{e}
}

// TooLarge returns the envelope of a message above the limit of its source: it is
// refused for good, and in the books of what names no controller. Only its first
// bytes are kept.
func (s *Messages) TooLarge(d Message, size, limit int, key string) []penstock.Envelope {
	return []penstock.Envelope{{
		Source: s.Env.Name, Peer: s.Peer, Topic: d.Topic, Body: d.Payload, ReceivedTime: s.Env.Now().UnixNano(), Principal: Own(s.Env.Name, s.Controllers),
		Refusal: penstock.Errorf(penstock.TooLarge, "a message of %d bytes, above %s (%d)", size, key, limit),
	}}
}

// Settled notes in the evidence what became of a message, and tells whether
// something in it was refused for good.
func (s *Messages) Settled(name string, payload []byte, outcomes []penstock.Outcome) (refused bool) {
	why := Refusal(outcomes)
	if why == "" {
		return false
	}
	event := evidence.Refused
	if err := outcomes[0].Err; err != nil && penstock.CodeOf(err) != penstock.TooLarge {
		event = evidence.Malformed
	}
	s.Env.Evidence.Port(s.Env.Name).Bad(event, payload, name+": "+why)
	return true
}
