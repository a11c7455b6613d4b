package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/penstock/penstock/bench/process"
	"github.com/penstock/penstock/internal/pause"
	"github.com/penstock/penstock/internal/sim"
)

// headlineInterval is how often a controller of the headline fleet reports.
const headlineInterval = 10 * time.Second

// fleet runs the headline: thousands of pump stations with 24 points, each with a
// connection of its own, and holds the store against their ledgers at the end.
func (s settings) fleet(ctx context.Context) error {
	data := filepath.Join(s.directory, "headline")
	gateway, err := process.Gateway(ctx, s.gateway, data)
	if err != nil {
		return err
	}
	defer gateway.Stop()
	fleet, transport, err := s.newFleet(gateway.Endpoint)
	if err != nil {
		return err
	}
	defer transport.Close() // idle connections
	f, err := s.drive(ctx, fleet, gateway)
	if err != nil {
		return err
	}
	reader := sim.NewReader(gateway.Endpoint)
	defer reader.Close()
	balance, err := sim.Check(ctx, fleet, reader, true)
	if err != nil {
		return err
	}
	s.printHeadline(f, balance, fleet, data)
	if !balance.Clean() || fleet.Err() != nil {
		return fmt.Errorf("the headline fleet found %d reports lost, %d phantom, %d mutated: %v %v",
			balance.Lost, balance.Phantom, balance.Mutated, fleet.Err(), balance.Findings)
	}
	return nil
}

func (s settings) newFleet(e sim.Endpoint) (*sim.Fleet, *sim.HTTPS, error) {
	model, err := sim.NewModel(sim.ModelOptions{
		Seed: 1, Controllers: s.controllers, Kind: "pump station", Start: time.Now(), Interval: headlineInterval, Speed: 6,
	})
	if err != nil {
		return nil, nil, err
	}
	transport, err := sim.NewHTTPS(sim.HTTPSOptions{Endpoint: e, Controllers: s.controllers})
	if err != nil {
		return nil, nil, err
	}
	fleet, err := sim.New(sim.Options{Model: model, Transport: transport, Timeout: time.Minute})
	return fleet, transport, err
}

// drive lets all controllers connect, then measures.
func (s settings) drive(ctx context.Context, fleet *sim.Fleet, gateway *process.Process) (figure, error) {
	var f figure
	var err error
	var watcher sync.WaitGroup
	watcher.Go(func() {
		defer fleet.Stop()
		f, err = s.watch(ctx, fleet, gateway)
	})
	fleet.Run(ctx)
	watcher.Wait()
	return f, err
}

func (s settings) watch(ctx context.Context, fleet *sim.Fleet, gateway *process.Process) (f figure, err error) {
	if err = connected(ctx, fleet); err != nil {
		return f, err
	}
	before, err := gateway.CPU()
	if err != nil {
		return f, err
	}
	accepted := fleet.Stats().Accepted
	earlier := fleet.Latency().Spread()
	started := time.Now()
	if err = pause.For(ctx, s.headline); err != nil {
		return f, err
	}
	f.length = time.Since(started)
	f.requests = fleet.Stats().Accepted - accepted
	spread := fleet.Latency().Spread().Since(earlier)
	f.p50, f.p99 = spread.Quantile(0.5), spread.Quantile(0.99)
	after, err := gateway.CPU()
	if err != nil {
		return f, err
	}
	f.cpu = after - before
	_, f.peak, err = gateway.Memory()
	return f, err
}

// connected waits until every controller was acknowledged once and one more
// interval has passed: connecting thousands at once is another measurement.
func connected(ctx context.Context, fleet *sim.Fleet) error {
	const patience = 3 * time.Minute
	end := time.Now().Add(patience)
	for i := range fleet.Model().Controllers() {
		for fleet.Ledger(i).Of(1)&sim.Acknowledged == 0 {
			if time.Now().After(end) {
				return fmt.Errorf("controller %d of the headline fleet had no acknowledgement after %v: %+v, last trouble: %v",
					i, patience, fleet.Stats(), fleet.Trouble())
			}
			if err := pause.For(ctx, 50*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return pause.For(ctx, headlineInterval)
}

func (s settings) printHeadline(f figure, b *sim.Balance, fleet *sim.Fleet, data string) {
	const points = 24
	t := newTable(fmt.Sprintf("Headline: %d controllers over TLS, a connection each, %d points every %v, for %v",
		s.controllers, points, headlineInterval, s.headline), "what", "value", "floor", "of the floor")
	t.row("readings/s", number(f.perSecond()*points), "", "")
	t.row("p50 of an acknowledgement", duration(f.p50), "", "")
	t.row("p99 of an acknowledgement", duration(f.p99), "20 ms", ratio(20*float64(time.Millisecond), float64(f.p99)))
	cores := f.cpu.Seconds() / f.length.Seconds()
	t.row("gateway, processors", fmt.Sprintf("%.3f", cores), "0.5", ratio(0.5, cores))
	const memory = 512 << 20
	t.row("gateway, peak memory", size(f.peak), size(memory), ratio(memory, float64(f.peak)))
	t.row("reports stored once and unchanged", fmt.Sprintf("%d of %d", b.Committed, b.Accepted), "all", "")
	t.row("lost, phantom, mutated", fmt.Sprintf("%d, %d, %d", b.Lost, b.Phantom, b.Mutated), "0, 0, 0", "")
	t.row("messages without an answer", fmt.Sprint(fleet.Stats().Unknown), "", "")
	if store := usage(filepath.Join(data, "store")); store > 0 {
		t.row("bytes on disk a reading, with the store's own log", fmt.Sprintf("%.2f", float64(store)/float64(b.Samples)), "", "")
	}
	t.print()
}
