package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/sink/postgres"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/pgtest"
)

// torture tells whether proofs run at full length.
func torture() bool { return os.Getenv("PENSTOCK_TORTURE") == "1" }

// feeder delivers the log of a node as a runner does: from where the record stands,
// and after every error from where it stands then.
type feeder struct {
	record *postgres.Record
	log    []*penstock.Report // position 1 is the first
	before func(batch int)    // called before each batch
	failed func(err error)    // called after each that failed
}

// run delivers everything and returns how often it failed.
func (f *feeder) run(ctx context.Context) (failures int, err error) {
	const size = 40
	for batch := 0; ; {
		settled, err := f.record.Resume(ctx)
		var done interval.Set
		for _, run := range settled {
			done.Add(uint64(run.First), uint64(run.Last))
		}
		next := int(done.Through(1)) + 1
		for err == nil {
			if next > len(f.log) {
				return failures, nil
			}
			last := min(next+size-1, len(f.log))
			f.before(batch)
			batch++
			_, err = f.record.Settle(ctx, batchOf(penstock.Position(next), f.log[next-1:last]...))
			next = last + 1
		}
		if ctx.Err() != nil {
			return failures, err
		}
		failures++
		f.failed(err)
	}
}

// workload is what a few controllers sent, and through which of two nodes: some of
// it through both, and some of it twice through one.
type workload struct {
	logs    [2][]*penstock.Report
	reports int
	samples int
}

func newWorkload(reports int) *workload {
	w := &workload{reports: reports}
	rng := rand.New(rand.NewPCG(7, 7))
	for i := range reports {
		controller, seq := i%7, uint64(i/7+1)
		at := noon + int64(seq)*1e9
		r := &penstock.Report{
			Controller: fmt.Sprint("pump-", controller), Fingerprint: penstock.Fingerprint(i + 1), Source: "test", ReceivedTime: at, AcceptedTime: at,
			Samples: []penstock.Sample{
				{Point: "flow", SourceTime: at, Value: penstock.FloatValue(float64(i))},
				{Point: "count", SourceTime: at, Value: penstock.UintValue(uint64(i))},
			},
		}
		switch controller {
		case 0: // natural
		case 1:
			r.Identity = penstock.KeyIdentity(fmt.Sprint("key ", seq))
		default:
			r.Identity = penstock.SequenceIdentity(1, seq)
		}
		w.samples += len(r.Samples)
		first := rng.IntN(2)
		w.logs[first] = append(w.logs[first], r)
		switch rng.IntN(3) {
		case 0:
			w.logs[1-first] = append(w.logs[1-first], r)
		case 1:
			w.logs[first] = append(w.logs[first], r)
		}
	}
	return w
}

// check sees that every report is stored once, and that exactly one delivery of
// each was called stored.
func (w *workload) check(t *testing.T, b *bench, records [2]*postgres.Record) {
	t.Helper()
	if got := b.number(t, "SELECT count(*) FROM {s}.samples"); got != int64(w.samples) {
		t.Errorf("%d samples are stored, want %d", got, w.samples)
	}
	if got := b.number(t, "SELECT count(DISTINCT (point, source_time, source_nanos)) FROM {s}.samples"); got != int64(w.samples) {
		t.Errorf("%d different samples are stored, want %d", got, w.samples)
	}
	if got := b.number(t, "SELECT sum(upper(r) - lower(r)) FROM {s}.settled, unnest(numbers) AS r"); got != b.number(t, "SELECT count(DISTINCT (p.controller, epoch, seq)) FROM {s}.samples s JOIN {s}.points p ON p.id = s.point WHERE seq IS NOT NULL") {
		t.Errorf("%d sequence numbers are settled, which is not those that are stored", got)
	}
	if got := b.number(t, "SELECT sum(reports) FROM {s}.settled"); got != int64(w.reports) {
		t.Errorf("the counts say %d reports, want %d", got, w.reports)
	}
	stored := 0
	for i, r := range records {
		var runs []penstock.Settled
		var err error
		if !testkit.Within(func() bool { runs, err = r.Resume(t.Context()); return err == nil }) || len(runs) != 1 || int(runs[0].Last) != len(w.logs[i]) {
			t.Fatalf("node %d is settled through %v (%v), want 1 to %d", i, runs, err, len(w.logs[i]))
		}
		stored += len(w.logs[i]) - len(runs[0].Other)
	}
	if stored != w.reports {
		t.Errorf("%d deliveries were called stored, want %d: one for each report", stored, w.reports)
	}
}

// TestFaults delivers through two nodes at once, with one fault after the other,
// and checks by identity.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name    string
		reports int
		fault   func(t *testing.T, b *bench, rig *rig)
	}{
		{"none", 700, func(*testing.T, *bench, *rig) {}},
		{"the server stops for a while", 700, stops},
		{"the backend is terminated in the window of the commit", 700, terminated},
		{"the connection breaks around the commit", 700, cutCommits},
		{"serialization failures and deadlocks", 700, serialization},
		{"slow commits", 140, slowCommits},
		{"the disk of the database is full", 700, diskFull},
		{"a failover to an older copy", 700, failover},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			w := newWorkload(c.reports)
			records := [2]*postgres.Record{b.resumed(t, node("a")), b.resumed(t, node("b"))}
			rig := &rig{before: func(int, int) {}, failed: func(error) {}}
			c.fault(t, b, rig)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var running sync.WaitGroup
			for i, r := range records {
				running.Go(func() {
					f := &feeder{record: r, log: w.logs[i], before: func(n int) { rig.before(i, n) }, failed: rig.failed}
					failures, err := f.run(ctx)
					if err != nil {
						t.Errorf("node %d: %v", i, err)
					}
					rig.count(failures)
				})
			}
			running.Wait()
			if rig.failures < rig.least {
				t.Errorf("%d transactions failed, and the fault should have made at least %d fail", rig.failures, rig.least)
			}
			w.check(t, b, records)
		})
	}
}

// rig is where a fault takes hold.
type rig struct {
	before func(node, batch int)
	failed func(err error)
	least  int // transactions that must have failed, for the test to mean something

	mu       sync.Mutex
	failures int
}

func (r *rig) count(failures int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures += failures
}

func stops(t *testing.T, b *bench, rig *rig) {
	var mu sync.Mutex
	down := false
	rig.least = 2
	rig.before = func(node, batch int) {
		mu.Lock()
		defer mu.Unlock()
		if node == 0 && batch%5 == 3 && !down {
			down = true
			if err := b.Down(); err != nil {
				t.Error(err)
			}
		}
	}
	rig.failed = func(error) {
		mu.Lock()
		defer mu.Unlock()
		if down {
			if err := b.Up(); err != nil {
				t.Error(err)
			}
			down = false
		}
	}
}

func terminated(t *testing.T, b *bench, rig *rig) {
	rig.least = 3
	var mu sync.Mutex
	commits := 0
	killer := b.Connect(t, database)
	b.proxy.BeforeCommit(func() {
		mu.Lock()
		defer mu.Unlock()
		if commits++; commits%5 == 0 {
			if _, err := killer.Exec(context.Background(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'penstock'"); err != nil {
				t.Error(err)
			}
		}
	})
}

func cutCommits(_ *testing.T, b *bench, rig *rig) {
	rig.least = 4
	rig.before = func(_, batch int) {
		switch batch % 5 {
		case 1:
			b.proxy.CutCommit(pgtest.Before)
		case 3:
			b.proxy.CutCommit(pgtest.After)
		}
	}
}

func serialization(t *testing.T, b *bench, rig *rig) {
	rig.least = 5
	b.Exec(t, database, b.sql(`CREATE FUNCTION {s}.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF random() < 0.2 THEN RAISE EXCEPTION USING ERRCODE = '40001'; END IF;
		IF random() < 0.2 THEN RAISE EXCEPTION USING ERRCODE = '40P01'; END IF;
		RETURN NEW; END $$;
		CREATE TRIGGER fail BEFORE UPDATE ON {s}.nodes FOR EACH ROW WHEN (NEW.last <> OLD.last) EXECUTE FUNCTION {s}.fail()`))
}

func slowCommits(t *testing.T, b *bench, _ *rig) {
	pause := 0.2
	if torture() {
		pause = 2
	}
	b.Exec(t, database, b.sql(fmt.Sprintf(`CREATE FUNCTION {s}.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(%g); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON {s}.nodes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {s}.slow()`, pause)))
}

// diskFull has the samples on a disk that is full, until a file is removed. Root
// mounts one; for others the database says what it would say.
func diskFull(t *testing.T, b *bench, rig *rig) {
	rig.least = 2
	mend := func() {
		b.Exec(t, database, b.sql("DROP TRIGGER full_disk ON {s}.settled"))
	}
	if dir := smallDisk(t, b); dir != "" {
		ballast := filepath.Join(dir, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 9<<20), 0o600); err == nil {
			t.Fatal("the small disk has room for 9 MiB")
		}
		mend = func() { _ = os.Remove(ballast) }
	} else {
		b.Exec(t, database, b.sql(`CREATE FUNCTION {s}.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			RAISE EXCEPTION USING ERRCODE = '53100'; END $$;
			CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON {s}.settled FOR EACH ROW EXECUTE FUNCTION {s}.full_disk()`))
	}
	var once sync.Once
	failures := 0
	rig.failed = func(err error) {
		if penstock.CodeOf(err) != penstock.Full {
			return // a connection from before
		}
		rig.count(1)
		rig.mu.Lock()
		failures++
		enough := failures >= 3
		rig.mu.Unlock()
		if enough {
			once.Do(mend)
		}
	}
}

// smallDisk mounts a disk of 8 MiB, and has the bench's new tables stand on it.
func smallDisk(t *testing.T, b *bench) string {
	t.Helper()
	if os.Geteuid() != 0 {
		return ""
	}
	dir := filepath.Join(b.Dir, "small")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=8m", "none", dir).CombinedOutput(); err != nil {
		t.Logf("mount: %v: %s", err, out)
		return ""
	}
	tables := filepath.Join(dir, "tables")
	for _, args := range [][]string{{"mkdir", tables}, {"chown", "postgres", tables}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	conn := b.Connect(t, database)
	for _, statement := range []string{
		"CREATE TABLESPACE small LOCATION '" + tables + "'", "ALTER DATABASE " + database + " SET default_tablespace = small",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'penstock'",
	} {
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		b.Exec(t, database, "ALTER DATABASE "+database+" RESET default_tablespace")
		b.Exec(t, database, b.sql("DROP SCHEMA {s} CASCADE"))
		b.Exec(t, database, "DROP TABLESPACE small")
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

func failover(t *testing.T, b *bench, rig *rig) {
	rig.least = 1
	var mu sync.Mutex
	var restore func()
	restored := make(chan struct{})
	rig.before = func(node, batch int) {
		if node != 0 {
			if batch >= 8 { // it still has something to commit afterwards, and so finds out
				<-restored
			}
			return
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case batch == 3:
			restore = b.Save(t)
		case batch == 8 && restore != nil:
			restore()
			restore = nil
			close(restored)
		}
	}
}
