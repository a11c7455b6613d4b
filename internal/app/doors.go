package app

import (
	"log/slog"
	"net"
	"time"

	"github.com/penstock/penstock/internal/allow"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/proxied"
)

// doors are what every connection comes through: who it is from, where a load
// balancer stands before the gateway, and whether he may connect.
type doors struct {
	balancers *proxied.Door
	gate      *allow.Gate
}

func openDoors(c settings.Listen, log *slog.Logger, now func() time.Time) (d doors, err error) {
	if d.balancers, err = proxied.New(c.Proxy, log, now); err != nil {
		return doors{}, err
	}
	d.gate, err = allow.NewGate(c.Allow, log, now)
	return d, err
}

// clients returns a listener whose connections are those of clients that may connect.
func (d doors) clients(l net.Listener) net.Listener { return d.gate.Listener(d.balancers.Listener(l)) }

// machines returns a listener for who asks for health: balancers ask for themselves.
func (d doors) machines(l net.Listener) net.Listener { return d.gate.Listener(l) }

// awaitBalancers waits until load balancers know that the gateway takes nothing new: until then
// they go on sending clients. A gateway with a part that failed does not wait.
func awaitBalancers(d time.Duration, failed <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-failed:
	}
}
