package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/penstock/penstock/bench/bodies"
	"github.com/penstock/penstock/bench/process"
	"github.com/penstock/penstock/internal/sim"
)

// settings are the flags.
type settings struct {
	gateway     string
	length      time.Duration
	rounds      int
	rate        float64
	connections int
}

// A state is how the receiver is while it is measured.
type state struct {
	name     string
	p50, p99 []time.Duration // one a round
}

func main() {
	var s settings
	flag.StringVar(&s.gateway, "gateway", "bin/penstock", "the gateway's `program`")
	flag.DurationVar(&s.length, "for", 5*time.Second, "length of each measurement")
	flag.IntVar(&s.rounds, "rounds", 5, "how often each state is measured, in turn; the table has the medians")
	flag.Float64Var(&s.rate, "rate", 500, "reports a second")
	flag.IntVar(&s.connections, "connections", 16, "connections that send them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := s.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "logging:", err)
		os.Exit(1)
	}
}

func (s settings) run(ctx context.Context) (err error) {
	if s.length <= 0 || s.rounds < 1 || s.rate <= 0 || s.connections < 1 {
		return errors.New("every number must be positive; see -help")
	}
	home, err := os.MkdirTemp("", "penstock-logging-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home) // a temporary directory that stays harms nobody
	r, err := newReceiver(home)
	if err != nil {
		return err
	}
	if err := r.start(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	program, err := filepath.Abs(s.gateway)
	if err != nil {
		return err
	}
	gateway, err := process.Gateway(ctx, program, filepath.Join(home, "data"), "--set", "log.level=info", "--set", "log.format=off", "--set", "log.repeats.burst=0",
		"--set", "middleware=[authenticate, limit, log: {every: 1}, checksum, decode, validate, stamp]",
		"--set", fmt.Sprintf("log.outputs=[{name: udp, syslog: {to: 'udp://%s'}}, {name: tcp, syslog: {to: 'tcp://%s'}}]", r.udp, r.tcp))
	if err != nil {
		return err
	}
	defer gateway.Stop()
	states := []*state{{name: "runs"}, {name: "hangs, with its connections open"}, {name: "is stopped"}}
	for range s.rounds {
		if err := s.round(ctx, gateway.Endpoint, r, states); err != nil {
			return err
		}
	}
	came, err := r.lines()
	if err != nil {
		return err
	}
	return s.print(states, came)
}

// round measures each state once. It begins and ends with a receiver that runs.
func (s settings) round(ctx context.Context, e sim.Endpoint, r *receiver, states []*state) error {
	for n, change := range []func() error{
		func() error { return nil },
		func() error { return r.hold(true) },
		func() error { return r.stop() },
	} {
		if err := change(); err != nil {
			return err
		}
		spread, err := s.load(ctx, e)
		if err != nil {
			return fmt.Errorf("while rsyslog %s: %w", states[n].name, err)
		}
		states[n].p50 = append(states[n].p50, spread.Quantile(0.5))
		states[n].p99 = append(states[n].p99, spread.Quantile(0.99))
	}
	return r.start()
}

// load sends reports at the rate and returns how long their acknowledgements took,
// after a time to get used to the state.
func (s settings) load(ctx context.Context, e sim.Endpoint) (*sim.Spread, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var latency sim.Latency
	var senders sync.WaitGroup
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: e.Roots, MinVersion: tls.VersionTLS13}, MaxIdleConnsPerHost: s.connections,
	}}
	defer client.CloseIdleConnections()
	warm := s.length / 5
	epoch := uint64(time.Now().UnixMicro())
	for n := range s.connections {
		body := bodies.JSON(n, 1, epoch)
		senders.Go(func() {
			tick := time.NewTicker(time.Duration(float64(s.connections) / s.rate * float64(time.Second)))
			defer tick.Stop()
			for ctx.Err() == nil {
				took, err := send(client, e, body(nil))
				if err != nil {
					cancel(err)
					return
				}
				latency.Add(took)
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	err := pause(ctx, warm)
	before := latency.Spread()
	if err == nil {
		err = pause(ctx, s.length)
	}
	spread := latency.Spread().Since(before)
	cancel(nil)
	senders.Wait()
	return spread, err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// send sends a report and returns how long its acknowledgement took.
func send(client *http.Client, e sim.Endpoint, body []byte) (time.Duration, error) {
	request, err := http.NewRequest(http.MethodPost, e.URL+"/v1/reports", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+e.Token)
	request.Header.Set("Content-Type", "application/json")
	began := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the gateway answers %s: %.200s: %w", response.Status, answer, err)
	}
	return time.Since(began), nil
}

func (s settings) print(states []*state, came int) error {
	fmt.Printf("%.0f reports a second over %d connections, each a line of the log by UDP and TCP; medians of %d rounds; %d lines came\n\n", s.rate, s.connections, s.rounds, came)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RSYSLOG\tP50\tP99\tRANGE OF P99\tOF THAT WITH IT")
	for _, one := range states {
		p99 := median(one.p99)
		fmt.Fprintf(table, "%s\t%v\t%v\t%v to %v\t%.2f\n", one.name, median(one.p50), p99, one.p99[0], one.p99[len(one.p99)-1], p99.Seconds()/median(states[0].p99).Seconds())
	}
	return table.Flush()
}

// median sorts the figures, rounds them and returns the one in the middle.
func median(figures []time.Duration) time.Duration {
	slices.Sort(figures)
	for n, f := range figures {
		figures[n] = f.Round(10 * time.Microsecond)
	}
	return figures[len(figures)/2]
}
