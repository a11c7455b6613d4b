// Package allow refuses who connects from a network that may not.
package allow

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/penstock/penstock"
)

// List names the networks that may connect: 10.0.0.0/8, or one address. An empty
// list lets everybody in.
type List []string

// Validate returns an error of code [penstock.Invalid] for each entry that is no
// network.
func (l List) Validate() error {
	_, err := l.prefixes()
	return err
}

func (l List) prefixes() ([]netip.Prefix, error) {
	var list []netip.Prefix
	var problems []error
	for _, text := range l {
		p, err := Network(text)
		problems = append(problems, err)
		list = append(list, p)
	}
	return list, errors.Join(problems...)
}

// Covers tells whether everybody in the network may connect, by the list or from this
// machine. What cannot be read of the list counts as not there.
func (l List) Covers(network netip.Prefix) bool {
	if len(l) == 0 || network.Addr().IsLoopback() {
		return true
	}
	for _, text := range l {
		if p, err := Network(text); err == nil && p.Bits() <= network.Bits() && p.Contains(network.Addr()) {
			return true
		}
	}
	return false
}

// Network reads a network as people write it: an address alone is itself. The
// error has code [penstock.Invalid].
func Network(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, penstock.Errorf(penstock.Invalid, "%q is no network: write one such as 10.0.0.0/8, or an address", text)
	}
	return p.Masked(), nil
}

// tellEvery is how often refusals are logged at most.
const tellEvery = 10 * time.Second

// Gate lets in whom a list names, and the machine itself. It is safe for
// concurrent use.
type Gate struct {
	list []netip.Prefix
	log  *slog.Logger
	now  func() time.Time

	mu      sync.Mutex // guards what follows
	refused uint64
	told    time.Time
}

// NewGate returns the gate of a list. The error is that of [List.Validate].
func NewGate(l List, log *slog.Logger, now func() time.Time) (*Gate, error) {
	list, err := l.prefixes()
	if err != nil {
		return nil, err
	}
	return &Gate{list: list, log: log, now: now}, nil
}

// Lets tells whether the address may connect. A refusal is counted, and logged now
// and then.
func (g *Gate) Lets(from netip.Addr) bool {
	from = from.Unmap().WithZone("")
	if len(g.list) == 0 || from.IsLoopback() {
		return true
	}
	for _, p := range g.list {
		if p.Contains(from) {
			return true
		}
	}
	g.refuse(from)
	return false
}

func (g *Gate) refuse(from netip.Addr) {
	g.mu.Lock()
	g.refused++
	refused, now := g.refused, g.now()
	tell := now.Sub(g.told) >= tellEvery
	if tell {
		g.told = now
	}
	g.mu.Unlock()
	if tell {
		g.log.Warn("refused: listen.allow does not name the address", "peer", from.String(), "refused_since_start", refused)
	}
}

// Refused returns how many connections and datagrams were refused.
func (g *Gate) Refused() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}

// Listener returns a listener that closes the connections of strangers before a
// byte of theirs is read.
func (g *Gate) Listener(l net.Listener) net.Listener {
	if len(g.list) == 0 {
		return l
	}
	return listener{l, g}
}

type listener struct {
	net.Listener
	gate *Gate
}

// Accept implements [net.Listener].
func (l listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		at, ok := conn.RemoteAddr().(*net.TCPAddr)
		if !ok { // a socket of the machine's own
			return conn, nil
		}
		if l.gate.Lets(at.AddrPort().Addr()) {
			return conn, nil
		}
		if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
			_ = tcp.SetLinger(0) // nothing of it is to stay behind in the kernel
		}
		conn.Close()
	}
}
