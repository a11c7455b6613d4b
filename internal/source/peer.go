package source

import (
	"context"
	"net"

	"github.com/penstock/penstock/internal/tlsfiles"
)

// Peer is what a source connects to, for whoever asks beforehand whether it
// answers. The settings of an adapter that connects have Peers() []Peer.
type Peer struct {
	Address string // host:port
	// Dial connects, and agrees on TLS where the source would.
	Dial func(context.Context) (net.Conn, error)
}

// Port is what a source listens on. The settings of an adapter that listens have
// Ports() []Port.
type Port struct {
	Network string // "tcp" or "udp"
	Address string // host:port
}

// Peer returns the server as a peer.
func (s Server) Peer(settings tlsfiles.Client) Peer {
	return Peer{Address: s.Address, Dial: func(ctx context.Context) (net.Conn, error) { return s.Dial(ctx, settings) }}
}

// PlainPeer returns a peer at a TCP address, without TLS.
func PlainPeer(address string) Peer {
	return Peer{Address: address, Dial: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", address)
	}}
}
