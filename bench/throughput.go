package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/bench/bodies"
	"github.com/penstock/penstock/bench/process"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/link"
)

// A work is one kind of load with its floors.
type work struct {
	name     string
	media    string
	readings int // a request
	body     func(connection, readings int, epoch uint64) bodies.Maker
	floor    float64 // readings a second; 0: none
	cpuFloor float64 // server CPU seconds a million readings; 0: none
	bare     bool    // against the bare server
	mqtt     int     // connections to the MQTT broker; 0: HTTPS
}

const mediaJSON = "application/json"

// The floors were set on a machine that answered so many empty requests a second
// over TLS with bare net/http. Machines differ, and one differs from hour to hour:
// what the same load comes to in a run tells how fast its machine is.
const (
	helloName   = "bare net/http, empty"
	helloFloors = 88_000
)

// The works that more is measured of than their speed.
const (
	singleName  = "JSON x1"
	batchesName = "JSON x100"
)

// works are the loads in the order in which a round runs them: the bare server
// stands beside the gateway's load with the same bodies.
var works = []work{
	{name: helloName, media: mediaJSON, readings: 1, body: bodies.Empty, bare: true},
	{name: "bare net/http, JSON x1", media: mediaJSON, readings: 1, body: bodies.JSON, bare: true},
	{name: singleName, media: mediaJSON, readings: 1, body: bodies.JSON, floor: 20_000, cpuFloor: 50},
	{name: "bare net/http, JSON x100", media: mediaJSON, readings: 100, body: bodies.JSON, bare: true},
	{name: batchesName, media: mediaJSON, readings: 100, body: bodies.JSON, floor: 1_000_000, cpuFloor: 1.1},
	{name: "binary x100", media: link.MediaType, readings: 100, body: bodies.Binary, floor: 1_500_000, cpuFloor: 0.8},
	{name: "MQTT QoS 1, JSON x1, 256 connections, plain text", readings: 1, body: bodies.JSON, floor: 40_000, mqtt: 256},
}

// machine measures the disk and the decoders, which no server can outdo.
func (s settings) machine() ([]flushes, error) {
	flushed, err := measureFlushes(s.directory, s.length/4)
	if err != nil {
		return nil, err
	}
	t := newTable("The machine", "what", "a second", "p50", "p99")
	for _, f := range flushed {
		t.row(fmt.Sprintf("write %s + fdatasync", size(int64(f.size))), number(f.perSecond), duration(f.p50), duration(f.p99))
	}
	var text reportjson.Decoder
	var reports []penstock.Report
	decoded, err := measureDecoder(bodies.JSON(0, 100, 1), 100, s.length/4, func(body []byte) (int, error) {
		var err error
		if reports, err = text.Decode(body, reports[:0]); err != nil {
			return 0, err
		}
		return len(reports[0].Samples), nil
	})
	if err != nil {
		return nil, err
	}
	t.row("decode JSON x100 only, readings, one processor", number(decoded), "", "")
	if decoded, err = measureDecoder(bodies.Binary(0, 100, 1), 100, s.length/4, bodies.Decoder()); err != nil {
		return nil, err
	}
	t.row("decode binary x100 only, readings, one processor", number(decoded), "", "")
	t.print()
	return flushed, nil
}

// trial is a work with the server that does it, and how it did.
type trial struct {
	work
	server  *process.Process
	data    string // of a gateway: one of its own, so that no load pays what another left to do
	figures []figure
}

// throughput loads gateways and the bare server in turn.
func (s *settings) throughput(ctx context.Context, flushed []flushes) error {
	chosen := slices.DeleteFunc(slices.Clone(works), func(w work) bool { return !strings.Contains(w.name, s.only) })
	if len(chosen) == 0 {
		return nil
	}
	directory := filepath.Join(s.directory, "bare")
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return err
	}
	bare, err := startBare(ctx, directory)
	if err != nil {
		return err
	}
	defer bare.Stop()
	trials := make([]*trial, len(chosen))
	for i, w := range chosen {
		t := &trial{work: w, server: bare, data: filepath.Join(s.directory, fmt.Sprint("throughput-", i))}
		if trials[i] = t; w.bare {
			continue
		}
		if t.server, err = process.Gateway(ctx, s.gateway, t.data); err != nil {
			return err
		}
		defer func() { t.server.Stop() }() // it may be another by then
	}
	for range s.rounds {
		for _, t := range trials {
			f, err := s.load(t, 0).run(ctx, t.server)
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			t.figures = append(t.figures, f)
		}
	}
	if chosen[0].name == helloName {
		s.speed = trials[0].median().perSecond() / helloFloors
		fmt.Printf("\nThis machine answers %s empty requests a second over TLS; that of the floors answered %s. \"Scaled\" holds a figure against the floor times %.2f.\n",
			number(trials[0].median().perSecond()), number(helloFloors), s.speed)
	}
	s.printThroughput(trials)
	if s.only != "" {
		return nil
	}
	return s.beside(ctx, trials, flushed)
}

// beside measures what else the gateways tell after their loads.
func (s *settings) beside(ctx context.Context, trials []*trial, flushed []flushes) error {
	named := func(name string) *trial {
		return trials[slices.IndexFunc(trials, func(t *trial) bool { return t.name == name })]
	}
	if err := s.details(ctx, named(singleName), flushed); err != nil {
		return err
	}
	if s.idle > 0 {
		if err := s.idleConnections(ctx); err != nil {
			return fmt.Errorf("idle connections: %w", err)
		}
	}
	t := named(batchesName)
	t.server.Kill()
	killed := time.Now()
	again, err := process.Gateway(ctx, s.gateway, t.data)
	if err != nil {
		return err
	}
	t.server = again
	fmt.Printf("\nReady again %s after kill -9, with %s of data.\n", duration(time.Since(killed)), size(usage(t.data)))
	return nil
}

// load returns a run of the trial. Each has its own epoch, so that its sequences
// begin anew.
func (s settings) load(t *trial, rate float64) load {
	epoch := uint64(time.Now().UnixMicro())
	l := load{
		endpoint: t.server.Endpoint, connections: s.connections, warm: s.length / 5, length: s.length, rate: rate, media: t.media,
		body: func(connection int) bodies.Maker { return t.body(connection, t.readings, epoch) },
	}
	if t.mqtt > 0 {
		l.connections = t.mqtt
		l.open = func() (sender, error) { return dialMQTT(t.server) }
	}
	return l
}

// median returns the figure in the middle by throughput.
func (t *trial) median() figure {
	sorted := slices.SortedFunc(slices.Values(t.figures), func(a, b figure) int { return cmp.Compare(a.perSecond(), b.perSecond()) })
	return sorted[len(sorted)/2]
}

func (s settings) printThroughput(trials []*trial) {
	t := newTable(fmt.Sprintf("Throughput over TLS 1.3, %d connections with one request each, durable acknowledgements; medians of %d", s.connections, s.rounds),
		"work", "readings/s", "range", "of the floor", "scaled", "of bare", "server CPU s/M", "of the floor", "scaled", "with the record", "p50", "p99", "peak memory")
	bare := map[string]float64{}
	for _, w := range trials {
		f := w.median()
		rate := f.perSecond() * float64(w.readings)
		shape := fmt.Sprint(w.media, w.readings)
		ofBare, ofFloor, scaled, ofCPU, scaledCPU := "", "", "", "", ""
		if w.bare {
			bare[shape] = rate
		} else if b := bare[shape]; b > 0 {
			ofBare = fmt.Sprintf("%.2f", rate/b)
		}
		if w.floor > 0 {
			ofFloor, scaled = ratio(rate, w.floor), ratio(rate, w.floor*s.speed)
		}
		if w.cpuFloor > 0 {
			ofCPU, scaledCPU = ratio(w.cpuFloor, f.cpuPerMillion(w.readings)), ratio(w.cpuFloor, f.cpuPerMillion(w.readings)*s.speed)
		}
		low, high := rate, rate
		for _, f := range w.figures {
			low = min(low, f.perSecond()*float64(w.readings))
			high = max(high, f.perSecond()*float64(w.readings))
		}
		t.row(w.name, number(rate), number(low)+" – "+number(high), ofFloor, scaled, ofBare, fmt.Sprintf("%.2f", f.cpuPerMillion(w.readings)), ofCPU, scaledCPU,
			fmt.Sprintf("%.2f", f.whole/float64(w.readings)*1e6),
			duration(f.p50), duration(f.p99), size(f.peak))
	}
	t.print()
}

// details measures latency at half of the load that the gateway can take.
func (s settings) details(ctx context.Context, t *trial, flushed []flushes) error {
	half, err := s.load(t, t.median().perSecond()/2).run(ctx, t.server)
	if err != nil {
		return err
	}
	table := newTable("Beside it", "what", "value", "floor", "of the floor", "scaled", "note")
	disk := flushed[1].p99
	table.row("p99 of an acknowledgement at half load, JSON x1", duration(half.p99), "5 ms", ratio(5*float64(time.Millisecond), float64(half.p99)), ratio(5*float64(time.Millisecond), float64(half.p99)*s.speed),
		fmt.Sprintf("%.1f × the p99 of a 4 KiB flush in this run; %s requests/s", float64(half.p99)/float64(disk), number(half.perSecond())))
	table.print()
	return nil
}
