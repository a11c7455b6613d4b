package postgres_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/postgres"
)

// at returns a report of one controller with samples at the times.
func at(seq uint64, times ...time.Time) *penstock.Report {
	r := &penstock.Report{Controller: "pump-1", Identity: penstock.SequenceIdentity(1, seq), Fingerprint: penstock.Fingerprint(seq)}
	for i, when := range times {
		r.Samples = append(r.Samples, penstock.Sample{Point: fmt.Sprint("p", i), SourceTime: when.UnixNano(), Value: penstock.IntValue(int64(i))})
	}
	return r
}

func date(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 12, 0, 0, 0, time.UTC)
}

// partitions returns the names of the samples' partitions, by their times.
func (b *bench) partitions(t testing.TB) string {
	t.Helper()
	rows, err := b.Connect(t, database).Query(t.Context(), `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = $1::regclass ORDER BY 1`, b.sql("{s}.samples"))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, strings.TrimPrefix(name, "samples_"))
	}
	return strings.Join(names, " ")
}

// settleOne settles one report at the position of its sequence.
func settleOne(t testing.TB, r *postgres.Record, report *penstock.Report, want penstock.Settlement) {
	t.Helper()
	receipt, err := r.Settle(t.Context(), batchOf(penstock.Position(report.Identity.Seq), report))
	if err != nil || receipt.Settlements[0] != want {
		t.Fatalf("report %s: %v, %v, want %v", report.Identity, receipt.Settlements, err, want)
	}
}

// TestPartitions stores old, new and impossible times, and changes the length of
// partitions in between.
func TestPartitions(t *testing.T) {
	b := newBench(t)
	r := b.resumed(t, node("a"))
	earliest, latest := time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)
	settleOne(t, r, at(1, date(2026, 1, 8), date(2026, 1, 9), date(2026, 1, 13), date(2019, 6, 1)), penstock.Stored)
	settleOne(t, r, at(2, time.Unix(0, 0), earliest, latest, time.Unix(0, -1)), penstock.Stored)
	if got, want := b.partitions(t), "20190527 20260105 20260112 before_2000 from_2100"; got != want {
		t.Fatalf("partitions %s, want %s", got, want)
	}
	for _, period := range []string{"month", "day"} {
		c := b.config()
		c.Partition = period
		next := b.open(t, node("a"), c)
		if _, err := next.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		seq, other := uint64(3), date(2026, 2, 10)
		if period == "day" {
			seq, other = 4, date(2026, 3, 3)
		}
		settleOne(t, next, at(seq, date(2026, 1, 4), date(2026, 1, 20), other), penstock.Stored)
	}
	if got, want := b.partitions(t), "20190527 20251217 20260105 20260112 20260119 20260303 before_2000 from_2100"; got != want {
		t.Fatalf("after longer and shorter periods: partitions %s, want %s", got, want)
	}
	times := map[int64]int{}
	for _, s := range b.stored(t) {
		times[s.SourceTime]++
	}
	for _, when := range []time.Time{earliest, latest, time.Unix(0, 0), time.Unix(0, -1), date(2019, 6, 1)} {
		if times[when.UnixNano()] != 1 {
			t.Errorf("the sample of %v is stored %d times", when, times[when.UnixNano()])
		}
	}
	// Somebody detaches a partition and leaves it where it is.
	b.Exec(t, database, b.sql("ALTER TABLE {s}.samples DETACH PARTITION {s}.samples_20190527"))
	again := b.resumed(t, node("a"))
	settleOne(t, again, at(5, date(2019, 6, 2)), penstock.Stored)
	if got := b.partitions(t); !strings.HasPrefix(got, "20190527_2 ") {
		t.Fatalf("partitions %s, want another for the detached one", got)
	}
}

// TestPartitionDroppedMeanwhile has another node drop a partition that this one
// thinks is there.
func TestPartitionDroppedMeanwhile(t *testing.T) {
	b := newBench(t)
	r := b.resumed(t, node("a"))
	settleOne(t, r, at(1, date(2020, 1, 1)), penstock.Stored)
	b.Exec(t, database, b.sql("DROP TABLE {s}.samples_20191230"))
	if _, err := r.Settle(t.Context(), batchOf(2, at(2, date(2020, 1, 1)))); penstock.CodeOf(err) != penstock.Invalid {
		t.Fatalf("a partition that is gone: %v", err)
	}
	if _, err := r.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	settleOne(t, r, at(2, date(2020, 1, 1)), penstock.Stored)
	settleOne(t, r, at(3, date(2020, 1, 1)), penstock.Stored)
}

// TestRetention drops what is old, and nothing else.
func TestRetention(t *testing.T) {
	b := newBench(t)
	now := date(2026, 6, 15)
	c := b.config()
	c.Retention = config.Duration(60 * 24 * time.Hour)
	e := env(node("a"))
	e.Now = func() time.Time { return now }
	r, err := postgres.New(c, e)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	old, fresh := at(1, date(2026, 1, 8), date(2026, 6, 1)), at(2, date(2026, 6, 14))
	old.Identity, fresh.Identity = penstock.KeyIdentity("old"), penstock.KeyIdentity("fresh")
	older := at(3, date(2026, 1, 9))
	older.Identity = penstock.KeyIdentity("older")
	if _, err := r.Settle(t.Context(), batchOf(1, old, fresh, older, at(4, date(2026, 1, 9)), at(5, time.Unix(0, 0)))); err != nil {
		t.Fatal(err)
	}
	if err := r.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := b.partitions(t), "20260601 20260608 20260615 20260622 20260629 before_2000"; got != want {
		t.Fatalf("partitions %s, want %s: two periods ahead, and January gone", got, want)
	}
	if got := b.number(t, "SELECT count(*) FROM {s}.samples"); got != 3 {
		t.Errorf("%d samples are left, want 3: those of June, and that of an unset clock which came today", got)
	}
	if got := b.number(t, "SELECT count(*) FROM {s}.keys WHERE key <> 'older'"); got != 2 || b.number(t, "SELECT count(*) FROM {s}.keys") != 2 {
		t.Errorf("%d of the two keys with samples of June are left, and the third should be gone", got)
	}
	// A sequence is known for ever.
	receipt, err := r.Settle(t.Context(), batchOf(6, at(4, date(2026, 1, 9))))
	if err != nil || receipt.Settlements[0] != penstock.StoredTwice {
		t.Errorf("a sequence whose samples are gone: %v, %v", receipt.Settlements, err)
	}
}

// TestManyNodesStartAtOnce makes the tables once.
func TestManyNodesStartAtOnce(t *testing.T) {
	b := newBench(t)
	var starting sync.WaitGroup
	for i := range 4 {
		r := b.open(t, node(fmt.Sprint("n", i)), b.config())
		starting.Go(func() {
			if _, err := r.Resume(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	if noted, newest := b.number(t, "SELECT count(*) FROM {s}.migrations"), b.number(t, "SELECT max(number) FROM {s}.migrations"); noted != newest {
		t.Errorf("%d migrations are noted, want each of %d once", noted, newest)
	}
}

// TestNewerTables has an older program meet tables of a newer one.
func TestNewerTables(t *testing.T) {
	b := newBench(t)
	b.resumed(t, node("a"))
	b.Exec(t, database, b.sql(`INSERT INTO {s}.migrations (number, oldest) VALUES (99, 1); ALTER TABLE {s}.samples ADD COLUMN region text;
		ALTER TABLE {s}.nodes ADD COLUMN region text; ALTER TABLE {s}.settled ADD COLUMN region text DEFAULT 'north'`))
	r := b.resumed(t, node("a"))
	settleOne(t, r, at(1, date(2026, 1, 1)), penstock.Stored)
	b.Exec(t, database, b.sql("INSERT INTO {s}.migrations (number, oldest) VALUES (100, 98)"))
	if _, err := r.Resume(t.Context()); penstock.CodeOf(err) != penstock.Unsupported || !strings.Contains(err.Error(), "upgrade") {
		t.Errorf("tables that must not be written: %v", err)
	}
}

// TestViews reads what people read.
func TestViews(t *testing.T) {
	b := newBench(t)
	r := b.resumed(t, node("a"))
	report := func(seq uint64, v penstock.Value, status penstock.Status) *penstock.Report {
		out := at(seq, date(2026, 1, 8).Add(time.Duration(seq)*time.Minute))
		out.Samples[0].Value, out.Samples[0].Status, out.Samples[0].Unit = v, status, "m3/h"
		return out
	}
	for i, v := range []penstock.Value{penstock.FloatValue(1.5), penstock.IntValue(-4), penstock.UintValue(math.MaxUint64), penstock.BoolValue(true), penstock.TextValue("on"), penstock.FloatValue(math.NaN())} {
		settleOne(t, r, report(uint64(i+1), v, penstock.Good), penstock.Stored)
	}
	settleOne(t, r, report(7, penstock.Value{}, penstock.BadTimeout), penstock.Stored)
	settleOne(t, r, report(8, penstock.FloatValue(2.5), penstock.Uncertain), penstock.Stored)
	conn := b.Connect(t, database)
	row := func(query string) string {
		t.Helper()
		var text string
		if err := conn.QueryRow(t.Context(), b.sql(query)).Scan(&text); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		return text
	}
	want := `1.5||||good|0;-4|-4|||good|0;1.8446744073709552e+19|18446744073709551615|||good|0;1||t||good|0;|||on|good|0;NaN||||good|0;||||bad|2148139008;2.5||||uncertain|1073741824`
	if got := row(`SELECT string_agg(concat_ws('|', coalesce(value::text, ''), coalesce(exact::text, ''), coalesce(switch::text, ''), coalesce(text, ''), quality, status), ';' ORDER BY seq) FROM {s}.readings`); strings.ReplaceAll(got, "true", "t") != want {
		t.Errorf("readings\n%s\nwant\n%s", got, want)
	}
	if got := row(`SELECT concat_ws('|', controller, point, unit, value, quality, seq) FROM {s}.latest`); got != "pump-1|p0|m3/h|2.5|uncertain|8" {
		t.Errorf("latest: %s", got)
	}
	if got := row(`SELECT concat_ws('|', controller, point, to_char(hour AT TIME ZONE 'UTC', 'HH24:MI'), samples, good, min, round(max), mean IS NOT NULL) FROM {s}.hourly`); !strings.HasPrefix(got, "pump-1|p0|12:00|8|6|-4|1.8446744073709552e+19|") {
		t.Errorf("hourly: %s", got)
	}
}

// TestKnown tells what came through any node.
func TestKnown(t *testing.T) {
	b := newBench(t)
	one, two := b.resumed(t, node("a")), b.resumed(t, node("b"))
	settleOne(t, one, at(1, date(2026, 1, 1)), penstock.Stored)
	if _, err := two.Settle(t.Context(), batchOf(1, at(2, date(2026, 1, 1)), at(5, date(2026, 1, 1)))); err != nil {
		t.Fatal(err)
	}
	known, err := one.Known(t.Context(), "pump-1")
	if err != nil || fmt.Sprint(known) != "[{pump-1 1 [{1 2} {5 5}] []}]" {
		t.Errorf("known: %v, %v", known, err)
	}
	if known, err := one.Known(t.Context(), "nobody"); err != nil || len(known) > 0 {
		t.Errorf("known of nobody: %v, %v", known, err)
	}
}

// TestLease passes a lease from one process to the other.
func TestLease(t *testing.T) {
	b := newBench(t)
	one, two := b.resumed(t, node("a")), b.resumed(t, node("b"))
	twin := b.resumed(t, node("a", sink.Life{ID: "a-2", First: 1}))
	take := func(r *postgres.Record, ttl time.Duration, want bool) {
		t.Helper()
		if held, err := r.Lease(t.Context(), "modbus/line-1", ttl); err != nil || held != want {
			t.Fatalf("lease: %v, %v, want %v", held, err, want)
		}
	}
	take(one, time.Minute, true)
	take(one, time.Minute, true)
	take(two, time.Minute, false)
	take(twin, time.Minute, false)
	take(b.resumed(t, node("a", sink.Life{ID: "a-1", First: 1}, sink.Life{ID: "a-3", First: 1})), time.Minute, true) // the next process of that node
	take(one, time.Minute, false)
	b.Exec(t, database, b.sql("DELETE FROM {s}.leases"))
	take(one, time.Minute, true)
	if err := two.Release(t.Context(), "modbus/line-1"); err != nil { // not its own
		t.Fatal(err)
	}
	take(two, time.Minute, false)
	if err := one.Release(t.Context(), "modbus/line-1"); err != nil {
		t.Fatal(err)
	}
	take(two, time.Second, true)
	take(one, time.Minute, false)
	b.Exec(t, database, b.sql("UPDATE {s}.leases SET until = clock_timestamp() - interval '1 millisecond'")) // its time is over
	take(one, time.Minute, true)
	if got := b.number(t, "SELECT token FROM {s}.leases"); got != 3 {
		t.Errorf("the token is %d after two changes of the holder, want 3", got)
	}
	// Of many that want it at once one gets it.
	var mu sync.Mutex
	var wanting sync.WaitGroup
	holders := 0
	for i := range 8 {
		r := b.open(t, node(fmt.Sprint("n", i)), b.config())
		wanting.Go(func() {
			held, err := r.Lease(t.Context(), "modbus/line-2", time.Minute)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if held {
				holders++
			}
		})
	}
	wanting.Wait()
	if holders != 1 {
		t.Errorf("%d hold the lease", holders)
	}
	if _, err := one.Lease(t.Context(), "x", 0); penstock.CodeOf(err) != penstock.Invalid {
		t.Errorf("a lease for no time: %v", err)
	}
}

// TestRefusedByTheDatabase has a constraint that somebody added refuse one report
// of a batch: it goes to quarantine, and the others are stored.
func TestRefusedByTheDatabase(t *testing.T) {
	b := newBench(t)
	r := b.resumed(t, node("a"))
	b.Exec(t, database, b.sql("ALTER TABLE {s}.samples ADD CONSTRAINT sane CHECK (int_value IS NULL OR int_value < 1000)"))
	var rs []*penstock.Report
	for seq := uint64(1); seq <= 20; seq++ {
		rs = append(rs, at(seq, date(2026, 1, 1)))
	}
	rs[13].Samples[0].Value = penstock.IntValue(5000)
	receipt, err := r.Settle(t.Context(), batchOf(1, rs...))
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range receipt.Settlements {
		if want := map[bool]penstock.Settlement{false: penstock.Stored, true: penstock.Quarantined}[i == 13]; s != want {
			t.Errorf("report %d: %v, want %v", i, s, want)
		}
	}
	held, err := r.Quarantined(t.Context(), 0, 10)
	if err != nil || len(held) != 1 || !strings.Contains(held[0].Reason, "sane") || held[0].Report.Identity.Seq != 14 || held[0].By != "central" {
		t.Fatalf("in quarantine: %+v, %v", held, err)
	}
	decision := &penstock.Decision{Verb: penstock.Retry, Controller: "pump-1", Number: held[0].Number}
	retry := func(at penstock.Position, want penstock.Settlement) {
		t.Helper()
		receipt, err := r.Settle(t.Context(), penstock.Batch{First: at, Last: at, Deliveries: []penstock.Delivery{{Position: at, Decision: decision}}})
		if err != nil || receipt.Settlements[0] != want {
			t.Fatalf("retry: %v, %v, want %v", receipt.Settlements, err, want)
		}
	}
	retry(21, penstock.Quarantined)
	if held, err := r.Quarantined(t.Context(), 0, 10); err != nil || held[0].Tries != 2 {
		t.Fatalf("after a retry in vain: %+v, %v", held, err)
	}
	b.Exec(t, database, b.sql("ALTER TABLE {s}.samples DROP CONSTRAINT sane"))
	retry(22, penstock.Stored)
	retry(23, penstock.Unchanged)
	if got := b.number(t, "SELECT count(*) FROM {s}.samples"); got != 20 {
		t.Errorf("%d samples, want 20", got)
	}
	if got := b.number(t, "SELECT 1000 * reports + quarantined FROM {s}.settled"); got != 20_000 {
		t.Errorf("the counts say %d, want 20 reports and none in quarantine", got)
	}
}
