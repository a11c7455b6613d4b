package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/bench/bodies"
	"github.com/penstock/penstock/bench/process"
	"github.com/penstock/penstock/client/carrier"
	"github.com/penstock/penstock/link"
)

const (
	linkName     = "link, binary x24"
	linkReadings = 24
	linkDepth    = 8                // reports that a connection has under way
	linkFloor    = 500_000          // readings a second
	stormFloor   = 60 * time.Second // until all are back
	dialTime     = 2 * time.Minute  // a connection waits its turn
	dialsAtOnce  = 512              // of the generator, whose own processors have to do its half
)

// line is one connection of the link protocol.
type line struct {
	report  penstock.Report
	carrier carrier.Carrier
	waited  []time.Duration
	frame   []byte
}

// link measures the link protocol over TLS: how fast thousands of connections are
// made, what they carry, and how fast all are back after they broke at once.
func (s settings) link(ctx context.Context) error {
	if s.lines == 0 || !strings.Contains(linkName, s.only) {
		return nil
	}
	data := filepath.Join(s.directory, "link")
	gateway, err := process.Gateway(ctx, s.gateway, data)
	if err != nil {
		return err
	}
	defer gateway.Stop()
	address, err := gateway.Listens("listen.link")
	if err != nil {
		return err
	}
	lines := make([]line, s.lines)
	epoch := uint64(time.Now().UnixMicro())
	for i := range lines {
		lines[i].report = bodies.NewReport(fmt.Sprintf("line-%04d", i), linkReadings, epoch)
	}
	connect := func() (time.Duration, error) {
		began, slots := time.Now(), make(chan struct{}, dialsAtOnce)
		err := each(lines, func(l *line) error {
			slots <- struct{}{}
			defer func() { <-slots }()
			return l.connect(ctx, gateway, address)
		})
		return time.Since(began), err
	}
	defer func() {
		for i := range lines {
			if c := lines[i].carrier; c != nil {
				c.Close() // the run is over
			}
		}
	}()
	first, err := connect()
	if err != nil {
		return err
	}
	f, err := s.exchange(gateway, lines)
	if err != nil {
		return err
	}
	if err := gateway.Rest(ctx); err != nil {
		return err
	}
	for i := range lines {
		lines[i].carrier.Close() // all at once, as when a network fails
	}
	back, err := connect()
	if err != nil {
		return err
	}
	rate := f.perSecond() * linkReadings
	t := newTable(fmt.Sprintf("Link protocol over TLS, %d connections with %d reports of %d readings under way each", s.lines, linkDepth, linkReadings),
		"what", "value", "floor", "of the floor", "scaled")
	t.row("readings/s, durable", number(rate), number(linkFloor), ratio(rate, linkFloor), ratio(rate, linkFloor*s.speed))
	t.row("server CPU s a million readings", fmt.Sprintf("%.2f", f.cpuPerMillion(linkReadings)), "", "", "")
	t.row("p50, p99 of an acknowledgement", duration(f.p50)+", "+duration(f.p99), "", "", "")
	t.row("peak memory", size(f.peak), "", "", "")
	t.row("all connected after", duration(first), duration(stormFloor), ratio(stormFloor.Seconds(), first.Seconds()), "")
	t.row("all back after they broke at once", duration(back), duration(stormFloor), ratio(stormFloor.Seconds(), back.Seconds()), "")
	t.print()
	return nil
}

// each does something with every line at once, and returns the first error.
func each(lines []line, do func(*line) error) error {
	var all sync.WaitGroup
	failed := make(chan error, len(lines))
	for i := range lines {
		all.Go(func() {
			if err := do(&lines[i]); err != nil {
				failed <- err
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// connect makes the connection, says hello and waits for the welcome.
func (l *line) connect(ctx context.Context, gateway *process.Process, address string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	c, err := carrier.DialTLS(ctx, address, &tls.Config{RootCAs: gateway.Endpoint.Roots, MinVersion: tls.VersionTLS13})
	if err != nil {
		return err
	}
	l.carrier = c
	hello := link.Hello{Oldest: 1, Newest: 1, Controller: l.report.Controller, Epoch: l.report.Identity.Epoch, Token: gateway.Endpoint.Token}
	if err := c.Send(hello.Append(nil, link.Header{})); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	f, err := c.Receive()
	if err == nil && f.Kind != link.KindWelcome {
		err = refusal(f)
	}
	if err != nil {
		return fmt.Errorf("welcome: %w", err)
	}
	return nil
}

func refusal(f link.Frame) error {
	var r link.Refusal
	if f.Kind != link.KindRefusal || r.Decode(f.Payload) != nil {
		return fmt.Errorf("the gateway answered with %v", f.Kind)
	}
	return fmt.Errorf("the gateway refused: %s: %s", r.Reason, r.Text)
}

// exchange has every line send report after report, and measures after a warm-up.
func (s settings) exchange(gateway *process.Process, lines []line) (f figure, err error) {
	var measuring, over atomic.Bool
	var count atomic.Int64
	var cpu time.Duration
	var timing sync.WaitGroup
	var began time.Time
	var timingErr error
	timing.Go(func() {
		time.Sleep(s.length / 5)
		cpu, timingErr = gateway.CPU()
		began = time.Now()
		measuring.Store(true)
		time.Sleep(s.length)
		measuring.Store(false)
		f.length = time.Since(began)
		after, err := gateway.CPU()
		f.cpu = after - cpu
		if err != nil {
			timingErr = err
		}
		over.Store(true)
	})
	err = each(lines, func(l *line) error {
		for !over.Load() {
			sent := time.Now()
			if err := l.send(); err != nil {
				return err
			}
			if measuring.Load() {
				count.Add(linkDepth)
				l.waited = append(l.waited, time.Since(sent))
			}
		}
		return nil
	})
	timing.Wait()
	if err != nil || timingErr != nil {
		return f, errors.Join(err, timingErr)
	}
	f.requests = count.Load()
	var waited []time.Duration
	for i := range lines {
		waited = append(waited, lines[i].waited...)
	}
	slices.Sort(waited)
	if n := len(waited); n > 0 {
		f.p50, f.p99 = waited[n/2], waited[n*99/100]
	}
	_, f.peak, err = gateway.Memory()
	return f, err
}

// send sends the next reports, a frame each, and waits until all are acked.
func (l *line) send() error {
	l.frame = l.frame[:0]
	for range linkDepth {
		bodies.Refresh(&l.report, uint64(time.Now().UnixNano()), l.report.Identity.Seq*7919)
		l.frame = link.AppendData(l.frame, link.Header{}, link.AppendReport(nil, &l.report))
	}
	if err := l.carrier.Send(l.frame); err != nil {
		if f, lost := l.carrier.Receive(); lost == nil {
			return refusal(f) // why it was closed
		}
		return fmt.Errorf("data: %w", err)
	}
	for {
		f, err := l.carrier.Receive()
		if err != nil {
			return err
		}
		var a link.Ack
		switch {
		case f.Kind != link.KindAck:
			return refusal(f)
		case a.Decode(f.Payload) != nil:
			return fmt.Errorf("an ack makes no sense")
		case a.Accepted >= l.report.Identity.Seq:
			return nil
		}
	}
}
