package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/penstock/penstock/bench/polled"
	"github.com/penstock/penstock/bench/process"
	"github.com/penstock/penstock/internal/pause"
	"github.com/penstock/penstock/internal/sim"
)

// The polled fleets: lines of devices at 9,600 baud, each polled for 60 registers,
// which keeps a line busy for four fifths of its time.
const (
	polledLines   = 40
	polledDevices = 25
	polledEvery   = 5 * time.Second
	polledWarm    = 30 * time.Second // in which the dead ones are found
)

// polledFleets polls two plants beside each other: one where all live, and one where
// a tenth is dead. The living of both must be as punctual.
func (s settings) polledFleets(ctx context.Context) error {
	var plants []*polled.Plant
	text := "sources:\n"
	for _, name := range []string{"all-live", "tenth-dead"} {
		p, err := polled.Start(polled.Options{Name: name, Lines: s.polledLines(), Devices: polledDevices, Every: polledEvery, Dead: name == "tenth-dead"})
		if err != nil {
			return err
		}
		defer p.Close()
		plants = append(plants, p)
		text += p.Config()
	}
	file := filepath.Join(s.directory, "polled.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	gateway, err := process.Gateway(ctx, s.gateway, filepath.Join(s.directory, "polled"), "-c", file)
	if err != nil {
		return err
	}
	defer gateway.Stop()
	if err := pause.For(ctx, min(polledWarm, s.polled)); err != nil {
		return err
	}
	from := time.Now()
	used, err := gateway.CPU()
	if err != nil {
		return err
	}
	if err := pause.For(ctx, s.polled); err != nil {
		return err
	}
	to := time.Now()
	after, err := gateway.CPU()
	if err != nil {
		return err
	}
	_, peak, err := gateway.Memory()
	if err != nil {
		return err
	}
	if err := pause.For(ctx, polledEvery+time.Second); err != nil { // the last slots come to their end
		return err
	}
	if err := gateway.Rest(ctx); err != nil {
		return err
	}
	fmt.Printf("\nBoth polled by one gateway, for %v: %.3f processors, %s of memory at its peak.\n", s.polled, (after-used).Seconds()/to.Sub(from).Seconds(), size(peak))
	return s.printPolled(ctx, gateway, plants, from, to)
}

// polledLines is how many lines a plant has: fewer for a short look.
func (s settings) polledLines() int {
	if s.polled < polledWarm {
		return polledLines / 20
	}
	return polledLines
}

func (s settings) printPolled(ctx context.Context, gateway *process.Process, plants []*polled.Plant, from, to time.Time) error {
	reader := sim.NewReader(gateway.Endpoint)
	defer reader.Close()
	t := newTable(fmt.Sprintf("%d Modbus devices on %d lines at 9,600 baud, polled every %v, once with all alive and once with a tenth dead",
		s.polledLines()*polledDevices, s.polledLines(), polledEvery),
		"plant", "living", "their slots", "stored", "missed", "wrong", "p50 late", "p99 late", "worst")
	var wrong, stored int
	for i, p := range plants {
		p.Close()
		l, err := p.Lateness(ctx, reader, from, to)
		if err != nil {
			return err
		}
		t.row([]string{"all live", "a tenth dead"}[i], fmt.Sprint(l.Living), fmt.Sprint(l.Slots), fmt.Sprint(l.Stored), fmt.Sprint(l.Missed), fmt.Sprint(l.Wrong),
			duration(l.Quantile(0.5)), duration(l.Quantile(0.99)), duration(l.Quantile(1)))
		wrong, stored = wrong+l.Wrong, stored+l.Stored
	}
	t.print()
	if wrong > 0 || stored == 0 {
		return fmt.Errorf("%d values are wrong, %d are right", wrong, stored)
	}
	return nil
}
