package app

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/ledger"
	"github.com/penstock/penstock/internal/sink/mongo"
	"github.com/penstock/penstock/internal/testkit/crashfs"
	"github.com/penstock/penstock/internal/testkit/mongotest"
	"github.com/penstock/penstock/internal/testkit/pgtest"
)

// TestNodesShareMongoDB has two nodes deliver to one database what a controller sent
// to both of them, and to the next process of the first.
func TestNodesShareMongoDB(t *testing.T) {
	server, err := mongotest.Start(pgtest.Memory())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	disks := [2]*crashfs.FS{crashfs.New(), crashfs.New()}
	books := map[*crashfs.FS]ledger.Books{} // of each node, at its end
	for _, life := range []struct {
		disk        *crashfs.FS
		first, last uint64
	}{{disks[0], 1, 60}, {disks[1], 30, 90}, {disks[0], 80, 110}} {
		c := settings.Default()
		c.Sinks = []settings.Sink{{Name: "central", Record: true, MongoDB: &mongo.Config{Server: "mongodb://" + server.Address + "/metering"}}}
		n, err := openNode(nodeOptions{config: c, fs: life.disk, dir: "data", log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})), now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		var keys []reportKey
		for seq := life.first; seq <= life.last; seq++ {
			keys = append(keys, reportKey{"pump-1", seq})
		}
		admitAll(t, n, keys)
		deliver(t, n)
		all, _ := n.intake.Totals()
		if all.Waiting != 0 || !all.Balanced() {
			t.Errorf("reports %d to %d: the books do not balance: %+v", life.first, life.last, all)
		}
		books[life.disk] = all
		if err := n.close(); err != nil {
			t.Fatal(err)
		}
	}
	one, two := books[disks[0]], books[disks[1]]
	var want, held uint64
	for seq := uint64(1); seq <= 110; seq++ {
		switch k := (reportKey{"pump-1", seq}); {
		case k.odd():
			held++
		case !k.refusable():
			want++
		}
	}
	count := func(field string) uint64 {
		n, err := server.Connect(t, "metering").Collection("reports").CountDocuments(context.Background(), bson.D{{Key: field, Value: bson.D{{Key: "$exists", Value: true}}}})
		if err != nil {
			t.Fatal(err)
		}
		return uint64(n)
	}
	if got := count("samples"); got != want || one.Stored+two.Stored != want {
		t.Errorf("%d reports are stored, %d were called stored, want %d", got, one.Stored+two.Stored, want)
	}
	if got := count("held"); got != held || one.Quarantined+two.Quarantined != held {
		t.Errorf("%d reports are in quarantine, the books say %d, want %d", got, one.Quarantined+two.Quarantined, held)
	}
	if one.StoredTwice == 0 || two.StoredTwice == 0 {
		t.Error("no report came twice to a node: the test means nothing")
	}
}
