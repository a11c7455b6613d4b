package opcua

import (
	"net"
	"net/url"

	"github.com/penstock/penstock/internal/source"
)

// usualPort is that of OPC UA over TCP.
const usualPort = "4840"

// Peers returns the server, none when its address does not hold.
func (c *Config) Peers() []source.Peer {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Hostname() == "" {
		return nil // Validate says why
	}
	port := u.Port()
	if port == "" {
		port = usualPort
	}
	return []source.Peer{source.PlainPeer(net.JoinHostPort(u.Hostname(), port))}
}
