package mongo

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/penstock/penstock/internal/sink"
)

// Peers returns the hosts of the server, none when the settings do not hold.
func (c *Config) Peers() []sink.Peer {
	s, err := newSettings(*c)
	if err != nil {
		return nil // Validate says why
	}
	peers := make([]sink.Peer, len(s.hosts))
	for i, host := range s.hosts {
		peers[i] = sink.Peer{Address: host, Dial: func(ctx context.Context) (net.Conn, error) { return s.dial(ctx, host) }}
	}
	return peers
}

func (s *settings) dial(ctx context.Context, host string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: connectTimeout}
	if !s.secure {
		return dialer.DialContext(ctx, "tcp", host)
	}
	base, err := s.TLS.Config()
	if err != nil {
		return nil, err
	}
	return (&tls.Dialer{NetDialer: dialer, Config: base}).DialContext(ctx, "tcp", host)
}
