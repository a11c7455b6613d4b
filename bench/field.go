package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/penstock/penstock/bench/field"
	"github.com/penstock/penstock/bench/process"
	"github.com/penstock/penstock/internal/pause"
	"github.com/penstock/penstock/internal/sim"
)

// fieldSide measures what the field asks of a gateway: all its connections at once,
// and its polled devices.
func (s settings) fieldSide(ctx context.Context) error {
	if s.field > 0 {
		if err := s.allConnected(ctx); err != nil {
			return fmt.Errorf("fleet of the field: %w", err)
		}
	}
	if s.polled > 0 {
		if err := s.polledFleets(ctx); err != nil {
			return fmt.Errorf("polled fleets: %w", err)
		}
	}
	return nil
}

// allConnected runs the fleet of the field: a steady time, then a kill of the gateway
// after which all come back at once, then the books.
func (s settings) allConnected(ctx context.Context) error {
	data := filepath.Join(s.directory, "field")
	ports, err := freeAddresses(3)
	if err != nil {
		return err
	}
	run := func() (*process.Process, error) {
		return process.Gateway(ctx, s.gateway, data, "--set", "listen.link="+ports[0], "--set", "listen.mqtt="+ports[1], "--set", "listen.https="+ports[2], "--set", "mqtt.tls=on")
	}
	gateway, err := run()
	if err != nil {
		return err
	}
	defer func() { gateway.Stop() }() // it may be another by then
	fleet, err := field.New(field.Options{Link: s.members, MQTT: s.members, LinkAddress: ports[0], MQTTAddress: ports[1], Endpoint: gateway.Endpoint})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer fleet.Wait()
	defer cancel()
	first, err := fleet.Connect(ctx)
	if err != nil {
		return err
	}
	t := newTable(fmt.Sprintf("The fleet of the field: %d controllers of the link protocol and %d of MQTT, each with an address and a TLS connection of its own, for %v",
		s.members, s.members, s.field), "what", "value")
	t.row("all connected after", duration(first))
	if err := s.steady(ctx, gateway, fleet, t); err != nil {
		return err
	}
	broken := time.Now()
	gateway.Kill()
	if gateway, err = run(); err != nil {
		return err
	}
	ready := time.Since(broken)
	before := spreads(fleet)
	returns, err := fleet.Back(ctx, broken)
	if err != nil {
		return err
	}
	t.row("killed with -9, ready again after", duration(ready))
	for i, part := range fleet.Parts() {
		r := returns[i]
		t.row(part.Name+": half, 99 %, the last are back after the kill", duration(r.Half)+", "+duration(r.Most)+", "+duration(r.Last))
		t.row(part.Name+": most attempts that one needed", fmt.Sprint(r.Attempts))
		t.row(part.Name+": p99 of an acknowledgement meanwhile", duration(part.Latency.Spread().Since(before[i]).Quantile(0.99)))
		t.row(part.Name+": nothing waits any more after", duration(r.Caught))
	}
	_, peak, err := gateway.Memory()
	if err != nil {
		return err
	}
	t.row("gateway, peak memory when all came back", size(peak))
	fleet.Finish()
	return s.fieldBooks(ctx, gateway, fleet, t)
}

// steady measures the fleet while nothing happens.
func (s settings) steady(ctx context.Context, gateway *process.Process, fleet *field.Fleet, t *table) error {
	idle, _, err := gateway.Memory()
	if err != nil {
		return err
	}
	fleet.Start()
	if err := pause.For(ctx, min(12*time.Second, s.field/5)); err != nil { // every controller and point is new once
		return err
	}
	used, err := gateway.CPU()
	if err != nil {
		return err
	}
	began, before := time.Now(), spreads(fleet)
	if err := pause.For(ctx, s.field); err != nil {
		return err
	}
	after, err := gateway.CPU()
	if err != nil {
		return err
	}
	took := time.Since(began)
	_, peak, err := gateway.Memory()
	if err != nil {
		return err
	}
	for i, part := range fleet.Parts() {
		s := part.Latency.Spread().Since(before[i])
		t.row(part.Name+": reports/s", number(float64(s.Count())/took.Seconds()))
		t.row(part.Name+": p50, p99, p99.9 of an acknowledgement", duration(s.Quantile(0.5))+", "+duration(s.Quantile(0.99))+", "+duration(s.Quantile(0.999)))
	}
	t.row("gateway, processors", fmt.Sprintf("%.3f", (after-used).Seconds()/took.Seconds()))
	t.row("gateway, memory with all connected; peak with all reporting", size(idle)+"; "+size(peak))
	return nil
}

func spreads(fleet *field.Fleet) (s []*sim.Spread) {
	for _, part := range fleet.Parts() {
		s = append(s, part.Latency.Spread())
	}
	return s
}

// fieldBooks holds the record and the ledger against the fleet.
func (s settings) fieldBooks(ctx context.Context, gateway *process.Process, fleet *field.Fleet, t *table) error {
	if err := gateway.Rest(ctx); err != nil {
		return err
	}
	reader := sim.NewReader(gateway.Endpoint)
	defer reader.Close()
	b, err := fleet.Check(ctx, reader)
	if err != nil {
		return err
	}
	t.row("ledger: received = accepted + duplicate + rejected", fmt.Sprintf("%d = %d + %d + %d", b.Received, b.Accepted, b.Duplicate, b.Rejected))
	t.row("reports acknowledged to the fleet, committed", fmt.Sprintf("%d, %d", b.Reports, b.Committed))
	t.row("samples sent, in the record once and unchanged, wrong, missing", fmt.Sprintf("%d, %d, %d, %d", b.Samples, b.Stored, b.Wrong, b.Missing))
	t.print()
	if !b.Exact() {
		return fmt.Errorf("the books do not agree: %+v", *b)
	}
	return nil
}

// freeAddresses returns addresses on this machine whose ports nobody has.
func freeAddresses(n int) (addresses []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // it only held the port
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}
