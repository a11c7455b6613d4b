package sim_test

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/sim"
	"github.com/penstock/penstock/internal/sim/simtest"
)

const token = "secret"

// serve runs a fake gateway over TLS and returns how to reach it.
func serve(t *testing.T, faults simtest.Faults) sim.Endpoint {
	t.Helper()
	g, err := simtest.Open(token, "", faults)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(g)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // a fleet that ends leaves as it likes
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return sim.Endpoint{URL: server.URL, Token: token, Roots: roots}
}

// run sends for a while, then holds the gateway against the ledgers.
func run(t *testing.T, impair sim.Impairments, faults simtest.Faults) (*sim.Fleet, *sim.Balance) {
	t.Helper()
	endpoint := serve(t, faults)
	model, err := sim.NewModel(sim.ModelOptions{
		Seed: 1, Controllers: 12, Start: time.Now(), Interval: 20 * time.Millisecond, Speed: 3600, Epoch: 9,
	})
	if err != nil {
		t.Fatal(err)
	}
	transport, err := sim.NewHTTPS(sim.HTTPSOptions{Endpoint: endpoint, Controllers: 12, Connections: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	f, err := sim.New(sim.Options{Model: model, Transport: transport, Impair: impair, Seed: 2, Backoff: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	runUntil(ctx, f, 300)
	reader := sim.NewReader(endpoint)
	defer reader.Close()
	b, err := sim.Check(ctx, f, reader, true)
	if err != nil {
		t.Fatal(err)
	}
	return f, b
}

// runUntil runs the fleet until it has sent a number of reports and all of them
// are settled.
func runUntil(ctx context.Context, f *sim.Fleet, reports int64) {
	var watcher sync.WaitGroup
	defer watcher.Wait()
	watcher.Go(func() {
		defer f.Stop()
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for f.Stats().Reports < reports && ctx.Err() == nil {
			<-ticker.C
		}
	})
	f.Run(ctx)
}

func TestHealthyGatewayBalances(t *testing.T) {
	everything := sim.Impairments{Loss: 0.2, Duplicate: 0.2, Reorder: 0.2, Corrupt: 0.1}
	f, b := run(t, everything, simtest.Faults{DropAnswer: 17, Unavailable: 13, Page: 50})
	s := f.Stats()
	if !b.Clean() || f.Err() != nil {
		t.Fatalf("lost %d, phantom %d, mutated %d, %v: %s", b.Lost, b.Phantom, b.Mutated, f.Err(), strings.Join(b.Findings, "\n"))
	}
	if b.Sent < 300 || b.Sent != b.Accepted || b.Sent != b.Committed || b.Rejected+b.Unknown+b.Unheard != 0 {
		t.Errorf("the balance does not add up: %+v", b)
	}
	if s.Reports != b.Sent || s.Accepted != b.Accepted {
		t.Errorf("counters say %d sent and %d accepted, the ledgers %d and %d", s.Reports, s.Accepted, b.Sent, b.Accepted)
	}
	for c := range f.Model().Controllers() {
		if l := f.Ledger(c); l.Committed() == 0 || l.Committed() > l.Highest() {
			t.Errorf("the ledger of %s has the watermark %d of %d reports", f.Model().Name(c), l.Committed(), l.Highest())
		}
	}
	for name, n := range map[string]int64{
		"duplicate": s.Duplicate, "lost": s.Lost, "copies": s.Copies, "held": s.Held, "corrupted": s.Corrupted,
		"refused": s.CorruptRefused, "retries": s.Retries, "unknown": s.Unknown, "busy": s.Busy,
	} {
		if n == 0 {
			t.Errorf("no %s in the whole run: the mishaps did not happen", name)
		}
	}
	if s.CorruptRefused > s.Corrupted || s.CorruptAccepted != 0 {
		t.Errorf("%d damaged messages, %d refused, %d taken for good", s.Corrupted, s.CorruptRefused, s.CorruptAccepted)
	}
}

func TestEveryWrongIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		faults simtest.Faults
		count  func(*sim.Balance) int64
	}{
		"a report is lost":              {simtest.Faults{Lose: 40}, func(b *sim.Balance) int64 { return b.Lost }},
		"a sample is lost":              {simtest.Faults{LoseSample: 40}, func(b *sim.Balance) int64 { return b.Lost }},
		"a report is stored twice":      {simtest.Faults{StoreTwice: 40}, func(b *sim.Balance) int64 { return b.Phantom }},
		"a report is invented":          {simtest.Faults{Invent: 40}, func(b *sim.Balance) int64 { return b.Phantom }},
		"a rejected report is stored":   {simtest.Faults{RejectStored: 40}, func(b *sim.Balance) int64 { return b.Phantom }},
		"a value is changed":            {simtest.Faults{Mutate: 40}, func(b *sim.Balance) int64 { return b.Mutated }},
		"a damaged report is taken":     {simtest.Faults{SkipChecksum: true}, func(b *sim.Balance) int64 { return b.Phantom + b.Mutated + b.Lost }},
		"a report is rejected for good": {simtest.Faults{Reject: 40}, func(b *sim.Balance) int64 { return b.Rejected }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			impair := sim.Impairments{}
			if c.faults.SkipChecksum {
				impair.Corrupt = 0.5
			}
			_, b := run(t, impair, c.faults)
			if c.count(b) == 0 {
				t.Errorf("not found: %+v", b)
			}
			if c.faults.Reject == 0 && len(b.Findings) == 0 {
				t.Error("nothing is said about it")
			}
		})
	}
}
