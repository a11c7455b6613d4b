// Package place says what the configuration knows of a topic: what its messages
// carry, whom they are about, and who may publish and subscribe there.
package place

import (
	"github.com/penstock/penstock/internal/source/mqttbroker/fanout"
	"github.com/penstock/penstock/internal/sparkplug"
	"github.com/penstock/penstock/internal/topic"
)

// Map knows the places of a broker. It is safe for concurrent use.
type Map struct {
	Router *topic.Router
	// Subject tells whom a topic of Sparkplug B is about. It may be nil when the
	// router has none.
	Subject func(name string) (sparkplug.Subject, error)
}

// Place is what the configuration says of a topic.
type Place struct {
	topic.Match
	Reports bool  // its messages carry reports
	Err     error // why nobody may publish there, nil for a good topic
	command bool  // its messages tell the controller what to do
}

// Of returns the place of a topic.
func (m *Map) Of(name string) (p Place) {
	if p.Match, p.Reports = m.Router.Match(name); p.Payload != topic.Sparkplug {
		return p
	}
	s, err := m.Subject(name)
	p.Controller, p.Reports, p.Err, p.command = s.Controller, s.Speaks, err, !s.Speaks
	return p
}

// Edge tells whether an edge node of Sparkplug B speaks there.
func (p *Place) Edge() bool { return p.Reports && p.Payload == topic.Sparkplug }

// MayPublish tells whether a client may publish at the place. Outside of the
// configured topics, and to tell a controller what to do, nobody but a client for
// all controllers may.
func (p *Place) MayPublish(c *fanout.Client) bool {
	if p.Controller != "" && !p.command {
		return c.Principal.Scope.Covers(p.Controller)
	}
	return p.Reports || c.Everything()
}

// MayAsk tells whether a filter can match anything that the client may have. What
// it really gets is decided a message.
func (m *Map) MayAsk(c *fanout.Client, pattern string) bool {
	return c.Everything() || m.Router.Reach(pattern, func(controller string, known bool) bool {
		return !known || c.Principal.Scope.Covers(controller)
	})
}
