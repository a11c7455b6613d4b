package source

import (
	"context"
	"net"
	"time"

	"github.com/penstock/penstock/internal/remote"
	"github.com/penstock/penstock/internal/tlsfiles"
)

// dialTimeout bounds a connection without TLS.
const dialTimeout = 10 * time.Second

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

// ServerPeer returns a server as a peer.
func ServerPeer(s remote.Server, settings tlsfiles.Client) Peer {
	return Peer{Address: s.Address, Dial: func(ctx context.Context) (net.Conn, error) { return s.Dial(ctx, settings) }}
}

// PlainPeer returns a peer at a TCP address, without TLS.
func PlainPeer(address string) Peer {
	return Peer{Address: address, Dial: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", address)
	}}
}
