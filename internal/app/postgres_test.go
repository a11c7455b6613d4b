package app

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/ledger"
	"github.com/penstock/penstock/internal/sink/postgres"
	"github.com/penstock/penstock/internal/testkit/crashfs"
)

// TestNodesShareARecord has two nodes deliver to one database what a controller sent
// to both of them, and to the next process of the first.
func TestNodesShareARecord(t *testing.T) {
	server := startDatabase(t)
	open := func(disk *crashfs.FS) *node {
		c := settings.Default()
		c.Sinks = []settings.Sink{{Name: "central", Record: true, Postgres: &postgres.Config{Server: "postgres://127.0.0.1:" + server.Port + "/postgres", User: "postgres"}}}
		n, err := openNode(nodeOptions{config: c, fs: disk, dir: "data", log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})), now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	disks := [2]*crashfs.FS{crashfs.New(), crashfs.New()}
	books := map[*crashfs.FS]ledger.Books{} // of each node, at its end
	for _, life := range []struct {
		disk        *crashfs.FS
		first, last uint64
	}{{disks[0], 1, 60}, {disks[1], 30, 90}, {disks[0], 80, 110}} {
		n := open(life.disk)
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
	if got := server.Number(t, "postgres", "SELECT count(*) FROM penstock.samples"); uint64(got) != 2*want || one.Stored+two.Stored != want {
		t.Errorf("%d samples of %d reports called stored, want those of %d", got, one.Stored+two.Stored, want)
	}
	if got := server.Number(t, "postgres", "SELECT count(*) FROM penstock.quarantine"); uint64(got) != held || one.Quarantined+two.Quarantined != held {
		t.Errorf("%d reports are in quarantine, the books say %d, want %d", got, one.Quarantined+two.Quarantined, held)
	}
	if one.StoredTwice == 0 || two.StoredTwice == 0 {
		t.Error("no report came twice to a node: the test means nothing")
	}
}
