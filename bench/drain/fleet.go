package drain

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock/penstock/internal/sim"
)

// The epochs of the controllers: one in which the backlog is, and the present one.
const (
	pastEpoch = 1
	liveEpoch = 2
)

// connections are those that the whole fleet of the past shares. The live fleet has one
// a controller.
const connections = 32

// fleet is a simulated fleet and what carries its reports.
type fleet struct {
	*sim.Fleet
	transport sim.Transport
}

// newFleet returns a fleet of pump stations; with a gate it is that of the past.
func newFleet(e sim.Endpoint, o sim.ModelOptions, g *gate) (*fleet, error) {
	o.Seed, o.Kind, o.Interval, o.Speed = 1, "pump station", Interval, 6
	model, err := sim.NewModel(o)
	if err != nil {
		return nil, err
	}
	over := sim.HTTPSOptions{Endpoint: e, Controllers: o.Controllers}
	if g != nil {
		over.Connections = connections
	}
	transport, err := sim.NewHTTPS(over)
	if err != nil {
		return nil, err
	}
	f := &fleet{transport: transport}
	options := sim.Options{Model: model, Transport: transport, Timeout: time.Minute}
	if g != nil {
		g.Transport = transport
		options.Transport, options.InFlight, options.Timeout = g, 2, time.Hour
	}
	f.Fleet, err = sim.New(options)
	return f, err
}

// samples returns how many samples so many reports of the fleet have.
func (f *fleet) samples(reports int64) int64 { return reports * int64(f.Model().Points(0)) }

// gate holds back all reports of a controller but its first until it is opened.
type gate struct {
	sim.Transport
	opened chan struct{}
}

func newGate() *gate { return &gate{opened: make(chan struct{})} }

func (g *gate) open() { close(g.opened) }

// Send implements [sim.Transport].
func (g *gate) Send(ctx context.Context, m sim.Message) (sim.Answer, error) {
	if m.Report.Identity.Seq > 1 {
		select {
		case <-g.opened:
		case <-ctx.Done():
			return sim.Answer{}, fmt.Errorf("%w: %w", sim.ErrUnknown, ctx.Err())
		}
	}
	return g.Transport.Send(ctx, m)
}
