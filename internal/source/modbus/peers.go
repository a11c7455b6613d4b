package modbus

import "github.com/penstock/penstock/internal/source"

// Peers returns the devices and gateways that are reached over TCP.
func (c *Config) Peers() []source.Peer {
	var peers []source.Peer
	for _, line := range c.Lines {
		for _, address := range []string{line.TCP, line.RTUOverTCP} {
			if address != "" {
				peers = append(peers, source.PlainPeer(address))
			}
		}
	}
	return peers
}
