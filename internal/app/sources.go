package app

import (
	"crypto/rand"
	"net"

	"github.com/penstock/penstock/internal/app/datadir"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/app/views"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/source"
)

// newSources returns the set of the gateway's sources, at work on what the
// configuration says.
func (g *gateway) newSources() *source.Set {
	o := source.Options{
		Env: source.Env{
			Evidence: g.evidence, Auth: g.fleet, Keys: g.fleet, Marks: views.Marks{Intake: g.intake}, SameDisk: g.record.Name == settings.HistorianName, TLS: g.tls.Config(), Bound: g.bound.Add, Log: component(g.Log, "sources"), Now: g.Now, Rand: rand.Reader,
			Files: g.dir.File("sources"),
			Listen: func(name, address string) (net.Listener, error) {
				l, err := g.listeners.inherited.Listen(name, datadir.Key(name), config.Address(address))
				if err != nil {
					return nil, err
				}
				return g.memory.Listener(g.doors.Clients(l)), nil
			},
			ListenPacket: func(name, address string) (net.PacketConn, error) {
				return g.listeners.inherited.ListenPacket(name, datadir.Key(name), config.Address(address))
			},
			Lets: g.doors.Gate.Lets,
		},
		Handler: g.memory.Handler(g.pipeline),
		Status: func(name string) (source.Status, func()) {
			c := g.health.Watched(sourceHealth + name)
			return c, c.Remove
		},
	}
	g.share(&o)
	set := source.NewSet(o)
	set.Apply(g.Config.SourceSpecs())
	return set
}
