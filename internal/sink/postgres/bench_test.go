package postgres_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/postgres"
	"github.com/penstock/penstock/internal/sink/postgres/copyrow"
	"github.com/penstock/penstock/internal/sink/postgres/schema"
	"github.com/penstock/penstock/internal/testkit/pgtest"
)

// BenchmarkDelivery settles batches of some reports of each controller, and in turn copies the
// same rows plainly into the same tables of another schema: the ceiling of the
// machine in the same run. The metric of the ceiling is the share of it.
func BenchmarkDelivery(b *testing.B) {
	for _, shape := range []struct{ controllers, samples, each int }{{655, 100, 1}, {2730, 24, 1}, {6553, 10, 1}, {6553, 10, 4}, {1000, 1, 65}} {
		b.Run(fmt.Sprintf("controllers=%d/samples=%d/reports=%d", shape.controllers, shape.samples, shape.each), func(b *testing.B) {
			s, err := pgtest.Start(os.TempDir(), "shared_buffers = 512MB", "max_wal_size = 8GB")
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			deliver(b, s, shape.controllers, shape.samples, shape.each)
		})
	}
}

func deliver(b *testing.B, s *pgtest.Server, controllers, samples, each int) {
	open := func(name string) *postgres.Record {
		r, err := postgres.New(postgres.Config{Server: "postgres://127.0.0.1:" + s.Port + "/postgres", User: "postgres", Schema: name}, env(node(name)))
		if err == nil {
			_, err = r.Resume(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = r.Close() })
		return r
	}
	penstocks := open("ours")
	settle := func(first penstock.Position, r *postgres.Record, seq uint64) []*penstock.Report {
		rs := fleet(controllers, samples, seq, each)
		if _, err := r.Settle(b.Context(), batchOf(first, rs...)); err != nil {
			b.Fatal(err)
		}
		return rs
	}
	settle(1, open("plain"), 1) // makes the points and the partitions of both
	rs := settle(1, penstocks, 1)
	perBatch := uint64(len(rs) / controllers)
	conn := s.Connect(b, "postgres")
	ids := pointIDs(b, conn)
	var ours, plain time.Duration
	rows := 0
	for i := 0; b.Loop(); i++ {
		seq := 1 + uint64(i+1)*perBatch
		start := time.Now()
		rs := settle(penstock.Position(1+(i+1)*len(rs)), penstocks, seq)
		ours += time.Since(start)
		start = time.Now()
		rows += copyPlainly(b, conn, ids, rs)
		plain += time.Since(start)
	}
	b.ReportMetric(float64(rows)/ours.Seconds(), "samples/s")
	b.ReportMetric(float64(rows)/plain.Seconds(), "ceiling/s")
	b.ReportMetric(plain.Seconds()/ours.Seconds(), "of-ceiling")
}

// fleet returns reports from the same number of controllers, of each so many.
func fleet(controllers, samples int, seq uint64, each int) []*penstock.Report {
	rs := make([]*penstock.Report, 0, controllers*each)
	for k := range uint64(each) {
		for c := range controllers {
			at := noon + int64(seq+k)*int64(time.Second)
			r := &penstock.Report{
				Controller: fmt.Sprintf("pump-%05d", c), Identity: penstock.SequenceIdentity(1, seq+k), Fingerprint: penstock.Fingerprint(seq + k),
				ReceivedTime: at, AcceptedTime: at, Samples: make([]penstock.Sample, samples),
			}
			for i := range r.Samples {
				r.Samples[i] = penstock.Sample{Point: pointNames[i], SourceTime: at + int64(i), Value: penstock.FloatValue(float64(i) + float64(seq)/8)}
			}
			rs = append(rs, r)
		}
	}
	return rs
}

var pointNames = func() (names []string) {
	for i := range 100 {
		names = append(names, fmt.Sprintf("point/%02d", i))
	}
	return names
}()

func pointIDs(b *testing.B, conn *pgx.Conn) map[string]int32 {
	ids := map[string]int32{}
	rows, err := conn.Query(context.Background(), "SELECT c.name || '/' || p.name, p.id FROM plain.points p JOIN plain.controllers c ON c.id = p.controller")
	if err != nil {
		b.Fatal(err)
	}
	var name string
	var id int32
	if _, err := pgx.ForEachRow(rows, []any{&name, &id}, func() error { ids[name] = id; return nil }); err != nil {
		b.Fatal(err)
	}
	return ids
}

func copyPlainly(b *testing.B, conn *pgx.Conn, ids map[string]int32, rs []*penstock.Report) int {
	var rows []copyrow.Row
	for _, r := range rs {
		for i := range r.Samples {
			rows = append(rows, copyrow.Row{Report: r, Sample: &r.Samples[i], Point: ids[r.Controller+"/"+r.Samples[i].Point]})
		}
	}
	_, err := conn.PgConn().CopyFrom(context.Background(), copyrow.NewReader(rows, 0),
		schema.New("plain").SQL("COPY {s}.samples ("+copyrow.Columns+") FROM STDIN BINARY"))
	if err != nil {
		b.Fatal(err)
	}
	return len(rows)
}
