package proxied

import (
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/allow"
)

// tellEvery is how often refusals are logged at most.
const tellEvery = 10 * time.Second

// Door knows the balancers. It is safe for concurrent use.
type Door struct {
	from []netip.Prefix
	log  *slog.Logger
	now  func() time.Time

	mu      sync.Mutex // guards what follows
	refused uint64
	told    time.Time
}

// New returns the door for balancers in the networks of the list. The error is that
// of [allow.List.Validate].
func New(from allow.List, log *slog.Logger, now func() time.Time) (*Door, error) {
	d := &Door{log: log, now: now}
	for _, text := range from {
		p, err := allow.Network(text)
		if err != nil {
			return nil, err
		}
		d.from = append(d.from, p)
	}
	return d, nil
}

// Listener returns a listener whose connections have the addresses of clients. It
// takes over l. Without balancers it is l itself.
func (d *Door) Listener(l net.Listener) net.Listener {
	if len(d.from) == 0 {
		return l
	}
	return newListener(l, d)
}

// Refused returns how many connections of balancers had no header that is valid.
func (d *Door) Refused() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refused
}

// balances tells whether the peer is a balancer.
func (d *Door) balances(peer net.Addr) bool {
	at, ok := peer.(*net.TCPAddr)
	if !ok {
		return false
	}
	address := at.AddrPort().Addr().Unmap().WithZone("")
	return slices.ContainsFunc(d.from, func(p netip.Prefix) bool { return p.Contains(address) })
}

// refuse counts a connection, and tells of it now and then.
func (d *Door) refuse(peer net.Addr, why error) {
	d.mu.Lock()
	d.refused++
	refused, now := d.refused, d.now()
	tell := now.Sub(d.told) >= tellEvery
	if tell {
		d.told = now
	}
	d.mu.Unlock()
	if tell {
		d.log.Warn("refused: listen.proxy names the peer as a load balancer, and its connection has no PROXY header that holds",
			"peer", peer.String(), "error", why, "refused_since_start", refused)
	}
}
