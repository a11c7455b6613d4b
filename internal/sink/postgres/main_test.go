package postgres_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/postgres"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/pgtest"
)

// shared is the server of all tests of the package; each has a database of its own.
var shared = sync.OnceValues(func() (*pgtest.Server, error) {
	return pgtest.Start(pgtest.Memory())
})

func TestMain(m *testing.M) {
	testkit.Main(m, goleak.Cleanup(func(code int) {
		if s, err := shared(); err == nil {
			_ = s.Close()
		}
		os.Exit(code)
	}))
}

func server(t testing.TB) *pgtest.Server {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// database is where all benches have their schema.
const database = "postgres"

// schemas counts those that were handed out.
var schemas atomic.Int64

// bench is a schema of a test, with a proxy before its server.
type bench struct {
	*pgtest.Server
	schema string
	proxy  *pgtest.Proxy
}

func newBench(t testing.TB) *bench {
	t.Helper()
	s := server(t)
	return &bench{Server: s, schema: fmt.Sprintf("test %d", schemas.Add(1)), proxy: pgtest.NewProxy(t, net.JoinHostPort("127.0.0.1", s.Port))}
}

func (b *bench) config() postgres.Config {
	return postgres.Config{Server: "postgres://127.0.0.1:" + b.proxy.Port + "/" + database, User: "postgres", Schema: b.schema}
}

func env(node func() sink.Node) sink.Env {
	return sink.Env{Name: "central", Node: node, Log: slog.New(slog.DiscardHandler), Now: time.Now, Rand: rand.Reader}
}

func node(id string, lives ...sink.Life) func() sink.Node {
	if len(lives) == 0 {
		lives = []sink.Life{{ID: id + "-1", First: 1}}
	}
	return func() sink.Node { return sink.Node{ID: id, Name: id, Lives: lives} }
}

// sql returns the statement with the bench's schema for {s}.
func (b *bench) sql(statement string) string {
	return strings.ReplaceAll(statement, "{s}", `"`+b.schema+`"`)
}

// number returns what a query for one number answers.
func (b *bench) number(t testing.TB, query string) int64 {
	t.Helper()
	return b.Number(t, database, b.sql(query))
}

// open opens a record that the test closes.
func (b *bench) open(t testing.TB, of func() sink.Node, c postgres.Config) *postgres.Record {
	t.Helper()
	r, err := postgres.New(c, env(of))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// resumed opens a record and resumes it.
func (b *bench) resumed(t testing.TB, of func() sink.Node) *postgres.Record {
	t.Helper()
	r := b.open(t, of, b.config())
	if _, err := r.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// stored reads every sample back, in the database's binary format, where every bit
// is itself.
func (b *bench) stored(t testing.TB) []sinktest.Sample {
	t.Helper()
	conn := b.Connect(t, database)
	rows, err := conn.Query(context.Background(), b.sql(`SELECT c.name, p.name, (extract(epoch FROM s.source_time) * 1000000000 + s.source_nanos)::bigint,
		s.kind, s.float_value, s.int_value, s.text_value, s.status, s.native, s.flags
		FROM {s}.samples s JOIN {s}.points p ON p.id = s.point JOIN {s}.controllers c ON c.id = p.controller`))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []sinktest.Sample
	for rows.Next() {
		var s sinktest.Sample
		var kind, flags int16
		var float *float64
		var number *int64
		var text *string
		var status, native int32
		if err := rows.Scan(&s.Controller, &s.Point, &s.SourceTime, &kind, &float, &number, &text, &status, &native, &flags); err != nil {
			t.Fatal(err)
		}
		switch {
		case float != nil:
			s.Value = penstock.FloatValue(*float)
		case number != nil:
			s.Value = penstock.BitsValue(penstock.Kind(kind), uint64(*number))
		case text != nil:
			s.Value = penstock.TextValue(*text)
		}
		if s.Value.Kind() != penstock.Kind(kind) {
			t.Fatalf("kind %d with another value: %v", kind, s.Value)
		}
		s.Status, s.Native, s.Flags = penstock.Status(status), uint32(native), penstock.SampleFlags(flags)
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// noon is the source time of the first report.
const noon = int64(1_767_268_800_000_000_000)

// batchOf puts the reports at positions from first on.
func batchOf(first penstock.Position, rs ...*penstock.Report) penstock.Batch {
	b := penstock.Batch{First: first, Last: first + penstock.Position(len(rs)) - 1}
	for i, r := range rs {
		b.Deliveries = append(b.Deliveries, penstock.Delivery{Position: first + penstock.Position(i), Report: r})
	}
	return b
}
