// Package doors is what every connection comes through: who it is from, where a load
// balancer stands before the gateway, and whether he may connect.
package doors

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/penstock/penstock/internal/allow"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/proxied"
)

// Doors are those of one gateway.
type Doors struct {
	Balancers *proxied.Door
	Gate      *allow.Gate
}

// Open returns the doors of a configuration. Its error has code [penstock.Invalid].
func Open(c settings.Listen, log *slog.Logger, now func() time.Time) (d Doors, err error) {
	if d.Balancers, err = proxied.New(c.Proxy, log, now); err != nil {
		return Doors{}, err
	}
	d.Gate, err = allow.NewGate(c.Allow, log, now)
	return d, err
}

// Clients returns a listener whose connections are those of clients that may connect.
func (d Doors) Clients(l net.Listener) net.Listener { return d.Gate.Listener(d.Balancers.Listener(l)) }

// Machines returns a listener for who asks for health: balancers ask for themselves.
func (d Doors) Machines(l net.Listener) net.Listener { return d.Gate.Listener(l) }

// AwaitBalancers waits until load balancers know that the gateway takes nothing new: until then
// they go on sending clients. It ends with ctx.
func AwaitBalancers(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
