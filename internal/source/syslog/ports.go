package syslog

import "github.com/penstock/penstock/internal/source"

// Ports returns what is listened on.
func (c *Config) Ports() []source.Port {
	var ports []source.Port
	for _, p := range []source.Port{{Network: "udp", Address: string(c.UDP)}, {Network: "tcp", Address: string(c.TCP)}, {Network: "tcp", Address: string(c.TLS)}} {
		if p.Address != "" && p.Address != "off" {
			ports = append(ports, p)
		}
	}
	return ports
}
