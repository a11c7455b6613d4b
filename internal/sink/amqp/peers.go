package amqp

import (
	"context"
	"net"

	"github.com/penstock/penstock/internal/sink"
)

// Peers returns the broker. The configuration was validated.
func (c *Config) Peers() []sink.Peer {
	s, err := newSettings(*c)
	if err != nil {
		return nil
	}
	return []sink.Peer{{Address: s.server.Address, Dial: func(ctx context.Context) (net.Conn, error) { return s.server.Dial(ctx, s.TLS) }}}
}
