package doctor

import (
	"context"
	"net"
)

// Subject is the gateway that is examined.
type Subject struct {
	File      string   // of its configuration; empty without one
	Problem   error    // why the configuration does not hold; the rest is then what is known all the same
	Warnings  []string // what is odd in it
	Data      string   // data directory
	Keys      string   // directory of the key-encryption key; empty when it is below Data
	Listeners []Listener
	TLS       TLS
	Quota     int64 // bytes that the spool may take
	Peers     []Peer
	Clients   int // most connections at once
	Sizes     []Size
}

// Listener is a port that the gateway listens on.
type Listener struct {
	Key     string `json:"key"`     // of the configuration
	Network string `json:"network"` // "tcp" or "udp"
	Address string `json:"address"` // host:port
}

// TLS names the files of the gateway's certificate. Empty names are those that
// the gateway makes.
type TLS struct {
	Cert, Key, ClientCA string
}

// Peer is what the gateway connects to.
type Peer struct {
	Key     string // of the configuration
	Address string // host:port
	Impact  int    // 1 to 10; 0 for that of a broker
	// Dial connects and, where the gateway would, agrees on TLS.
	Dial func(context.Context) (net.Conn, error)
}

// Size is something that the gateway chose by itself.
type Size struct {
	Name   string // of it
	Value  string // what was chosen
	Reason string // from what, and how it is overridden
}
