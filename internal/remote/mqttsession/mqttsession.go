// Package mqttsession is the state of a session with a broker of MQTT, for the source
// that subscribes and the sink that publishes.
package mqttsession

import (
	"io"
	"sync"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho/session"
	"github.com/eclipse/paho.golang/paho/session/state"
)

// guarded is the library's own state without its race.
type guarded struct {
	*state.State

	mu    sync.Mutex // held while a PUBREC is answered; guards what follows
	ended bool       // there is no connection to answer on
}

// New returns the library's own session, in memory, without its race: the library answers
// a PUBREC on the connection without asking whether that is still there. One that comes
// while the connection ends would be written to no connection at all, which ends the
// whole process.
func New() session.SessionManager { return &guarded{State: state.NewInMemory(), ended: true} }

// ConAckReceived implements [session.SessionManager].
func (s *guarded) ConAckReceived(to io.Writer, c *packets.Connect, a *packets.Connack) error {
	err := s.State.ConAckReceived(to, c, a)
	s.end(false)
	return err
}

// PacketReceived implements the same. A PUBREC behind the end of the connection needs
// no answer: the next connection sends the message again.
func (s *guarded) PacketReceived(p *packets.ControlPacket, to chan<- *packets.Publish) error {
	if p.Type != packets.PUBREC {
		return s.State.PacketReceived(p, to)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	return s.State.PacketReceived(p, to)
}

// ConnectionLost implements the same. The library has closed the connection by then, so
// that no answer stands in its way.
func (s *guarded) ConnectionLost(d *packets.Disconnect) error {
	s.end(true)
	return s.State.ConnectionLost(d)
}

// Close implements the same.
func (s *guarded) Close() error {
	s.end(true)
	return s.State.Close()
}

func (s *guarded) end(ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = ended
}
