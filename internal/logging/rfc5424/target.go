package rfc5424

import (
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/penstock/penstock/internal/logging/flat"
)

// Target is where messages go.
type Target struct {
	Network string // udp, tcp, tls or unix
	Address string // host:port, or the path of a socket
}

// ports are the usual ones by network.
var ports = map[string]string{"udp": "514", "tcp": "514", "tls": "6514"}

// ParseTarget reads udp://HOST[:PORT], tcp://…, tls://… or unix:///PATH.
func ParseTarget(text string) (Target, error) {
	wrong := fmt.Errorf("%q is not a target: write udp://HOST:514, tcp://HOST:514, tls://HOST:6514 or unix:///dev/log", text)
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return Target{}, wrong
	}
	if u.Scheme == "unix" {
		if u.Host != "" || len(u.Path) < 2 {
			return Target{}, wrong
		}
		return Target{"unix", u.Path}, nil
	}
	usual, known := ports[u.Scheme]
	if !known || u.Hostname() == "" || u.Path != "" {
		return Target{}, wrong
	}
	port := u.Port()
	if port == "" {
		port = usual
	}
	if port == "0" {
		return Target{}, errors.New("0 is no port that a receiver can have")
	}
	return Target{u.Scheme, net.JoinHostPort(u.Hostname(), port)}, nil
}

// Encoder returns the function that encodes lines for this target.
func (t Target) Encoder(h Header) flat.Encode {
	switch t.Network {
	case "tcp", "tls":
		return counted(h.encoder(maxStream))
	case "udp":
		return h.encoder(maxDatagram)
	}
	return h.encoder(maxStream)
}
