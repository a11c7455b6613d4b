package sink

import (
	"context"
	"net"
)

// Peer is what a sink connects to, for whoever asks beforehand whether it answers. The
// settings of an adapter that connects have Peers() []Peer.
type Peer struct {
	Address string // host:port
	// Dial connects, and agrees on TLS where the sink would.
	Dial func(context.Context) (net.Conn, error)
}
