package framed

import "github.com/penstock/penstock/internal/source"

// Peers returns the device that is reached over TCP, if there is one.
func (c *Config) Peers() []source.Peer {
	if c.Connect == "" {
		return nil
	}
	return []source.Peer{source.PlainPeer(c.Connect)}
}

// Ports returns what is listened on.
func (c *Config) Ports() []source.Port {
	var ports []source.Port
	if c.Listen != "" {
		ports = append(ports, source.Port{Network: "tcp", Address: c.Listen})
	}
	if c.UDP != "" {
		ports = append(ports, source.Port{Network: "udp", Address: c.UDP})
	}
	return ports
}
