package mqttclient

import "github.com/penstock/penstock/internal/source"

// Peers returns the broker, none when the settings do not hold.
func (c *Config) Peers() []source.Peer {
	s, err := newSettings(*c)
	if err != nil {
		return nil // Validate says why
	}
	return []source.Peer{source.ServerPeer(s.server, s.TLS)}
}
