package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/pgtest"
)

// recorded is a gateway whose record is a database.
type recorded struct {
	*served
	database *pgtest.Server
	key      string
}

func (r *recorded) report(first, last int) {
	r.t.Helper()
	var text strings.Builder
	for seq := first; seq <= last; seq++ {
		fmt.Fprintf(&text, `{"controller":"pump-17","epoch":1,"seq":%d,"samples":[{"point":"flow","time":"2026-11-22T05:00:00.%03dZ","value":%d}]}`+"\n", seq, seq, seq)
	}
	send := exec.Command("penstock", "send", "--data", r.data())
	send.Stdin = strings.NewReader(text.String())
	if out, err := send.CombinedOutput(); err != nil {
		r.t.Fatalf("reports %d to %d: %v: %s", first, last, err, out)
	}
}

// has waits until the database has so many reports, each once.
func (r *recorded) has(last int64) {
	r.t.Helper()
	const stored, each = "SELECT count(*) FROM penstock.samples", "SELECT count(DISTINCT seq) FROM penstock.samples"
	testkit.Eventually(r.t, func() bool { return r.database.Number(r.t, "postgres", each) == last }, fmt.Sprintf("report %d in the database", last))
	if n := r.database.Number(r.t, "postgres", stored); n != last {
		r.t.Errorf("the database has %d samples of %d reports", n, last)
	}
}

// settled waits until the gateway has delivered all that its log holds.
func (r *recorded) settled() {
	r.t.Helper()
	testkit.Eventually(r.t, func() bool {
		var list struct {
			Sinks []struct {
				State   string
				Backlog struct{ Reports int }
			}
		}
		out, err := exec.Command("penstock", "sinks", "list", "--json", "--data", r.data()).Output()
		behind := err != nil || json.Unmarshal(out, &list) != nil || len(list.Sinks) == 0
		for _, s := range list.Sinks {
			behind = behind || s.State != "delivering" || s.Backlog.Reports > 0
		}
		return !behind
	}, "all to be delivered")
}

func (r *recorded) backup() (dir string) {
	r.t.Helper()
	dir = filepath.Join(r.t.TempDir(), "backup")
	r.command("backup", dir, "--key-copy", r.key)
	return dir
}

// restore puts a backup in the place of the data, as the document says.
func (r *recorded) restore(from string) {
	r.t.Helper()
	r.kill()
	if err := os.Rename(r.data(), filepath.Join(r.t.TempDir(), "old")); err != nil {
		r.t.Fatal(err)
	}
	if out, err := exec.Command("penstock", "restore", from, r.data(), "--key", r.key).CombinedOutput(); err != nil {
		r.t.Fatalf("restore: %v: %s", err, out)
	}
	r.start()
}

func (r *recorded) power(change func() error) {
	r.t.Helper()
	if err := change(); err != nil {
		r.t.Fatal(err)
	}
}

// TestRestoreBesideADatabase restores a gateway whose record is a database that went
// on after the backup, and one whose log had what the database had not.
func TestRestoreBesideADatabase(t *testing.T) {
	database, err := pgtest.Start(pgtest.Memory())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := database.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &recorded{database: database, key: filepath.Join(t.TempDir(), "key")}
	r.served = launch(t, "sinks:\n  - {name: central, record: true, timeout: 5s, postgres: {server: \"postgres://127.0.0.1:"+database.Port+"/postgres\", user: postgres}}\n")
	r.report(1, 40)
	r.has(40)
	r.power(database.Down)
	r.report(41, 60)
	early := r.backup()
	r.power(database.Up)
	r.report(61, 90)
	r.has(90)
	r.power(database.Down)
	r.report(91, 100) // which only the lost disk has

	r.restore(early)
	r.power(database.Up)
	r.settled() // 41 to 60 once more
	if !strings.Contains(r.output.String(), "another copy of this node's data has delivered in its name") {
		t.Errorf("nothing tells that the gateway is an old copy")
	}
	r.has(90)
	r.report(85, 110) // controllers send again what was not committed, and go on
	r.has(110)
	r.settled()
	if books := r.command("ledger"); !strings.Contains(books, "balances") {
		t.Errorf("the books: %s", books)
	}
	if missing := r.command("gaps"); !strings.Contains(missing, "Nothing is missing") {
		t.Errorf("gaps: %s", missing)
	}

	r.power(database.Down)
	r.report(111, 120)
	late := r.backup()
	r.restore(late)
	r.power(database.Up)
	r.has(120) // from the log of the backup: nobody sent it again
	r.settled()
	if books := r.command("ledger"); !strings.Contains(books, "balances") {
		t.Errorf("the books: %s", books)
	}
}
