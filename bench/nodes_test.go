package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/bodies"
	"github.com/penstock/penstock/bench/process"
	"github.com/penstock/penstock/internal/sim"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/pgtest"
	"github.com/penstock/penstock/link"
)

// Sizes of the load on nodes that share a record.
const (
	nodeConnections = 4
	nodeReadings    = 100
	nodeLength      = 5 * time.Second
)

// BenchmarkNodes has one, two and three gateways deliver to one PostgreSQL while each is
// sent to, and weighs the processor time of both. All stand on one machine, so that
// the rate says little, and the processor time of a million samples much. It needs
// bin/penstock (make build).
func BenchmarkNodes(b *testing.B) {
	program, err := findGateway("../bin/penstock")
	if err != nil {
		b.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) {
			database, err := pgtest.Start(os.TempDir(), "shared_buffers = 512MB", "max_wal_size = 8GB")
			if err != nil {
				b.Fatal(err)
			}
			defer database.Close()
			nodes := make([]*process.Process, n)
			for i := range nodes {
				if nodes[i], err = startNode(b.Context(), program, b.TempDir(), database); err != nil {
					b.Fatal(err)
				}
				defer nodes[i].Stop()
			}
			testkit.Eventually(b, func() bool {
				return database.Number(b, "postgres", "SELECT count(*) FROM pg_tables WHERE schemaname = 'penstock' AND tablename = 'settled'") > 0
			}, "the tables")
			for b.Loop() {
				weigh(b, nodes, database)
			}
		})
	}
}

// startNode starts a gateway whose record is the database.
func startNode(ctx context.Context, program, dir string, database *pgtest.Server) (*process.Process, error) {
	config, data := filepath.Join(dir, "penstock.yaml"), filepath.Join(dir, "data")
	text := fmt.Sprintf(`listen: {https: "127.0.0.1:0", health: "off"}
log: {level: warn}
sinks: [{name: central, record: true, postgres: {server: "postgres://127.0.0.1:%s/postgres", user: postgres}}]
`, database.Port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := process.Start(ctx, func() (sim.Endpoint, error) {
		return process.EndpointOf(ctx, data, filepath.Join(data, "run", "addresses.json"))
	}, program, "serve", "--config", config, "--data", data, "--allow-root")
	if err != nil {
		return nil, err
	}
	p.Books = true
	return p, nil
}

// weigh loads all nodes at once and reports what that cost, until the database has
// everything.
func weigh(b *testing.B, nodes []*process.Process, database *pgtest.Server) {
	epoch := uint64(time.Now().UnixMicro())
	stored := database.Number(b, "postgres", "SELECT coalesce(sum(samples), 0)::bigint FROM penstock.settled")
	ours, theirs, began := nodesTime(b, nodes), serverTime(b, database), time.Now()
	errs := make([]error, len(nodes))
	var work sync.WaitGroup
	for i, node := range nodes {
		l := load{
			endpoint: node.Endpoint, connections: nodeConnections, length: nodeLength, media: link.MediaType,
			body: func(connection int) bodies.Maker {
				return bodies.Binary(i*nodeConnections+connection, nodeReadings, epoch)
			},
		}
		work.Go(func() { _, errs[i] = l.run(b.Context(), node) })
	}
	work.Wait()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	samples := float64(database.Number(b, "postgres", "SELECT sum(samples)::bigint FROM penstock.settled") - stored)
	b.ReportMetric(samples/took.Seconds(), "samples/s")
	b.ReportMetric((nodesTime(b, nodes)-ours).Seconds()/samples*1e6, "node-cpu-s/million")
	b.ReportMetric((serverTime(b, database)-theirs).Seconds()/samples*1e6, "postgres-cpu-s/million")
}

func nodesTime(b *testing.B, nodes []*process.Process) (total time.Duration) {
	for _, n := range nodes {
		used, err := n.CPU()
		if err != nil {
			b.Fatal(err)
		}
		total += used
	}
	return total
}

// serverTime returns the processor time of a PostgreSQL.
func serverTime(b *testing.B, s *pgtest.Server) time.Duration {
	used, err := s.CPU()
	if err != nil {
		b.Fatal(err)
	}
	return used
}
