package postgres_test

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/sink/postgres"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/tlsfiles"
)

// TestThroughPgBouncer delivers through a PgBouncer in transaction mode, which gives
// the connections of two nodes to each other.
func TestThroughPgBouncer(t *testing.T) {
	b := newBench(t)
	c := b.config()
	c.Server = "postgres://127.0.0.1:" + b.PgBouncer(t, 2) + "/" + database
	w := newWorkload(560)
	records := [2]*postgres.Record{b.open(t, node("a"), c), b.open(t, node("b"), c)}
	var running sync.WaitGroup
	for i, r := range records {
		running.Go(func() {
			f := &feeder{record: r, log: w.logs[i], before: func(int) {}, failed: func(err error) { t.Error(err) }}
			if _, err := f.run(t.Context()); err != nil {
				t.Error(err)
			}
		})
		running.Go(func() {
			for range 20 {
				if _, err := r.Lease(t.Context(), "line", 1e9); err != nil && penstock.CodeOf(err) != penstock.Unavailable {
					t.Error(err) // the tables may not be there yet
				}
			}
		})
	}
	running.Wait()
	w.check(t, b, records)
	if got := b.number(t, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'penstock'"); got > 2 {
		t.Errorf("%d connections to the server, PgBouncer may have 2", got)
	}
}

// TestRole runs the script of the documentation, and delivers as the role it makes.
func TestRole(t *testing.T) {
	b := newBench(t)
	db := b.Database(t)
	psql := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("psql", append([]string{"-X", "-v", "ON_ERROR_STOP=1", "-d", b.URL(db)}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("psql %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	psql("-v", "password=it's a secret", "-f", "../../../docs/sinks/postgresql-role.sql")
	c := postgres.Config{Server: "postgres://127.0.0.1:" + b.Port + "/" + db, User: "penstock", Password: config.NewSecret("it's a secret"), Partition: "day"}
	r := b.open(t, node("a"), c)
	if _, err := r.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	settleOne(t, r, at(1, date(2026, 1, 1), date(2026, 5, 1)), penstock.Stored)
	if err := r.Upkeep(t.Context()); err != nil {
		t.Error(err)
	}
	if got := strings.TrimSpace(psql("-At", "-c", "SET ROLE penstock_reader; SELECT count(*) FROM penstock.readings")); !strings.HasSuffix(got, "2") {
		t.Errorf("a reader finds %q", got)
	}
	page, err := os.ReadFile("../../../docs/sinks/postgresql.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?ms)^```sql\n(.*?)^```$").FindAllSubmatch(page, -1)
	if len(shown) == 0 {
		t.Error("the document shows no query")
	}
	for _, block := range shown {
		psql("-c", "SET ROLE penstock_reader", "-c", string(block[1]))
	}
	if out, err := exec.Command("psql", "-X", "-d", b.URL(db), "-c", "SET ROLE penstock; CREATE SCHEMA another").CombinedOutput(); err == nil {
		t.Errorf("the role may make schemas: %s", out)
	}
	c.Password = config.NewSecret("wrong secret")
	_, err = b.open(t, node("b"), c).Resume(t.Context())
	if penstock.CodeOf(err) != penstock.Unauthenticated || strings.Contains(err.Error(), "wrong secret") {
		t.Errorf("a wrong password: %v", err)
	}
	c = postgres.Config{Server: c.Server, User: "penstock", Password: config.NewSecret("it's a secret"), Schema: "elsewhere"}
	if _, err := b.open(t, node("b"), c).Resume(t.Context()); penstock.CodeOf(err) != penstock.Forbidden {
		t.Errorf("a schema that the role may not make: %v", err)
	}
}

// TestTLS sees that the server must prove who it is.
func TestTLS(t *testing.T) {
	b := newBench(t)
	authority, other := testkit.NewAuthority(t), testkit.NewAuthority(t)
	b.TLS(t, authority.Server(t))
	files := map[string][]byte{"ca.pem": authority.PEM(), "other.pem": other.PEM()}
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open := func(ca string) error {
		c := postgres.Config{Server: "postgres://localhost:" + b.Port + "/" + database, User: "postgres", Schema: b.schema, TLS: tlsfiles.Client{CA: filepath.Join(dir, ca)}}
		_, err := b.open(t, node("a"), c).Resume(t.Context())
		return err
	}
	testkit.Eventually(t, func() bool { return open("ca.pem") == nil }, "the server to show its certificate")
	if b.number(t, "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE application_name = 'penstock' AND ssl AND version = 'TLSv1.3'") == 0 {
		t.Error("the connection is not TLS 1.3")
	}
	if err := open("other.pem"); penstock.CodeOf(err) != penstock.Unavailable || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server that another authority signed: %v", err)
	}
}

// TestServerSettings meets servers that would lose what they call committed.
func TestServerSettings(t *testing.T) {
	b := newBench(t)
	b.Exec(t, database, "CREATE ROLE careless LOGIN SUPERUSER; ALTER ROLE careless SET synchronous_commit = off; ALTER ROLE careless SET default_transaction_isolation = 'serializable'; ALTER ROLE careless SET default_transaction_read_only = on; ALTER ROLE careless SET DateStyle = 'German'; ALTER ROLE careless SET TimeZone = 'Asia/Kolkata'; ALTER ROLE careless SET IntervalStyle = 'sql_standard'; ALTER ROLE careless SET extra_float_digits = -5; ALTER ROLE careless SET bytea_output = 'escape'")
	t.Cleanup(func() {
		b.Exec(t, database, b.sql("DROP SCHEMA {s} CASCADE; DROP ROLE careless"))
	})
	c := b.config()
	c.User = "careless"
	var said bytes.Buffer
	e := env(node("a"))
	e.Log = slog.New(slog.NewTextHandler(&said, nil))
	r, err := postgres.New(c, e)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "synchronous_commit") {
		t.Errorf("nothing was said about synchronous_commit: %s", said.String())
	}
	b.Exec(t, database, b.sql(`CREATE TABLE {s}.seen (setting text);
		CREATE FUNCTION {s}.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO {s}.seen SELECT current_setting('synchronous_commit'); RETURN NEW; END $$;
		CREATE TRIGGER see BEFORE UPDATE ON {s}.nodes FOR EACH ROW EXECUTE FUNCTION {s}.see()`))
	natural := at(1, date(2026, 1, 1), date(2026, 5, 1))
	natural.Identity, natural.Samples[0].Value = penstock.Identity{}, penstock.FloatValue(0.1)
	for i, want := range []penstock.Settlement{penstock.Stored, penstock.StoredTwice} {
		receipt, err := r.Settle(t.Context(), batchOf(penstock.Position(i+1), natural))
		if err != nil || receipt.Settlements[0] != want {
			t.Fatalf("delivery %d: %v, %v", i+1, receipt.Settlements, err)
		}
	}
	if b.number(t, "SELECT count(*) FROM {s}.seen WHERE setting = 'on'") != 2 {
		t.Error("the transactions ran with synchronous_commit off")
	}
	if err := r.Upkeep(t.Context()); err != nil {
		t.Error(err)
	}
}
