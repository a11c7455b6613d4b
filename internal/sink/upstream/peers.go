package upstream

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/penstock/penstock/internal/sink"
)

// Peers returns the centre, or the proxy on the way. The configuration was validated.
func (c *Config) Peers() []sink.Peer {
	s, err := newSettings(*c)
	if err != nil {
		return nil
	}
	if s.proxy != nil {
		address := s.proxy.Host
		return []sink.Peer{{Address: address, Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		}}}
	}
	return []sink.Peer{{Address: s.server.Address, Dial: func(ctx context.Context) (net.Conn, error) {
		config, err := s.tlsConfig()
		if err != nil {
			return nil, err
		}
		return (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", s.server.Address)
	}}}
}
