package mongo_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.uber.org/goleak"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/mongo"
	"github.com/penstock/penstock/internal/sink/mongo/document"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/mongotest"
	"github.com/penstock/penstock/internal/testkit/pgtest"
)

// shared is the server of all tests of the package; each has a database of its own.
var shared = sync.OnceValues(func() (*mongotest.Server, error) { return mongotest.Start(pgtest.Memory()) })

func TestMain(m *testing.M) {
	testkit.Main(m, goleak.Cleanup(func(code int) {
		if s, err := shared(); err == nil {
			_ = s.Close()
		}
		os.Exit(code)
	}))
}

// bench is a database of a test, with a proxy before its server.
type bench struct {
	*mongotest.Server
	name  string
	proxy *mongotest.Proxy
	db    *driver.Database // past the proxy
}

func newBench(t testing.TB) *bench {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	name := s.Database()
	return &bench{Server: s, name: name, proxy: mongotest.NewProxy(t, s.Address), db: s.Connect(t, name)}
}

func (b *bench) config() mongo.Config {
	return mongo.Config{Server: "mongodb://" + b.proxy.Address + "/" + b.name}
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

// open opens a record that the test closes.
func (b *bench) open(t testing.TB, of func() sink.Node, c mongo.Config) *mongo.Record {
	t.Helper()
	r, err := mongo.New(c, env(of))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// resumed opens a record and resumes it.
func (b *bench) resumed(t testing.TB, of func() sink.Node) *mongo.Record {
	t.Helper()
	r := b.open(t, of, b.config())
	if _, err := r.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// stored reads every sample back.
func (b *bench) stored(t testing.TB) []sinktest.Sample {
	t.Helper()
	cursor, err := b.db.Collection("reports").Find(context.Background(), bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	var docs []document.Report
	if err := cursor.All(context.Background(), &docs); err != nil {
		t.Fatal(err)
	}
	var out []sinktest.Sample
	for _, d := range docs {
		for _, s := range d.Samples {
			out = append(out, sinktest.Sample{Controller: d.Controller, Sample: s.Decode()})
		}
	}
	return out
}

// count returns how many documents of a collection pass a filter.
func (b *bench) count(t testing.TB, collection string, filter bson.D) int {
	t.Helper()
	n, err := b.db.Collection(collection).CountDocuments(context.Background(), filter)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
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
