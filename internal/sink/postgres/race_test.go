package postgres_test

import (
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/postgres"
	"github.com/penstock/penstock/internal/testkit"
)

// waiting tells whether a transaction of Penstock waits for another one's lock.
func (b *bench) waiting(t testing.TB) bool {
	return b.number(t, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'penstock' AND wait_event_type = 'Lock'") > 0
}

// direct returns the settings past the proxy.
func (b *bench) direct() postgres.Config {
	c := b.config()
	c.Server = "postgres://127.0.0.1:" + b.Port + "/" + database
	return c
}

// settled is what a call of Settle brought.
type settled struct {
	receipt penstock.Receipt
	err     error
}

func settleAside(t testing.TB, r *postgres.Record, batch penstock.Batch) <-chan settled {
	out := make(chan settled, 1)
	go func() { // the test waits for its answer
		receipt, err := r.Settle(t.Context(), batch)
		out <- settled{receipt, err}
	}()
	return out
}

// TestTwoNodesAtOnce has a second node settle reports that the first has copied and
// not committed yet: it waits, and finds duplicates.
func TestTwoNodesAtOnce(t *testing.T) {
	b := newBench(t)
	one := b.resumed(t, node("a"))
	two := b.open(t, node("b"), b.direct())
	if _, err := two.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	keyed, natural := at(2, date(2026, 1, 2)), at(3, date(2026, 1, 3))
	keyed.Identity, natural.Identity = penstock.KeyIdentity("k"), penstock.Identity{}
	for round, batch := range []penstock.Batch{batchOf(1, at(1, date(2026, 1, 1))), batchOf(2, keyed), batchOf(3, natural)} {
		reached, release := make(chan struct{}), make(chan struct{})
		b.proxy.BeforeCommit(func() {
			close(reached)
			<-release
		})
		first := settleAside(t, one, batch)
		<-reached
		b.proxy.BeforeCommit(nil)
		second := settleAside(t, two, batch)
		var got *settled
		testkit.Eventually(t, func() bool {
			select {
			case early := <-second:
				got = &early
			default:
			}
			return got != nil || b.waiting(t)
		}, "the second node to wait or to answer")
		close(release)
		if answer := <-first; answer.err != nil || answer.receipt.Settlements[0] != penstock.Stored {
			t.Fatalf("round %d, the first node: %v, %v", round, answer.receipt.Settlements, answer.err)
		}
		if got == nil {
			late := <-second
			got = &late
		}
		if got.err != nil || got.receipt.Settlements[0] != penstock.StoredTwice {
			t.Fatalf("round %d, the second node: %v, %v", round, got.receipt.Settlements, got.err)
		}
	}
	if got := b.number(t, "SELECT count(*) FROM {s}.samples"); got != 3 {
		t.Errorf("%d samples, want 3", got)
	}
}

// TestResumeWaitsForTheTransactionBefore has a commit of this node arrive while it
// asks what is settled.
func TestResumeWaitsForTheTransactionBefore(t *testing.T) {
	b := newBench(t)
	r := b.resumed(t, node("a"))
	settleOne(t, r, at(1, date(2026, 1, 1)), penstock.Stored)
	before, err := b.Connect(t, database).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.Exec(t.Context(), b.sql("UPDATE {s}.nodes SET settled = settled + '{[2,6)}', last = 5, changes = changes + 1")); err != nil {
		t.Fatal(err)
	}
	out := make(chan []penstock.Settled, 1)
	go func() { // the test waits for its answer
		runs, err := r.Resume(t.Context())
		if err != nil {
			t.Error(err)
		}
		out <- runs
	}()
	testkit.Eventually(t, func() bool { return len(out) > 0 || b.waiting(t) }, "resume to wait or to answer")
	if err := before.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if runs := <-out; len(runs) != 1 || runs[0].First != 1 || runs[0].Last != 5 {
		t.Errorf("settled is %v, want 1 to 5", runs)
	}
}

// TestHiddenFailover takes the database back behind an open connection, as a proxy
// does that hides a failover.
func TestHiddenFailover(t *testing.T) {
	b := newBench(t)
	r := b.resumed(t, node("a"))
	settleOne(t, r, at(1, date(2026, 1, 1)), penstock.Stored)
	settleOne(t, r, at(2, date(2026, 1, 2)), penstock.Stored)
	b.Exec(t, database, b.sql(`UPDATE {s}.nodes SET settled = '{[1,2)}', last = 1, changes = changes - 1;
		UPDATE {s}.settled SET numbers = '{[1,2)}'; DELETE FROM {s}.samples WHERE seq = 2`))
	if _, err := r.Settle(t.Context(), batchOf(3, at(3, date(2026, 1, 3)))); penstock.CodeOf(err) != penstock.Unavailable {
		t.Fatalf("a database that lost a transaction settles on: %v", err)
	}
	runs, err := r.Resume(t.Context())
	if err != nil || len(runs) != 1 || runs[0].Last != 1 {
		t.Fatalf("settled is %v, %v, want 1", runs, err)
	}
	for seq := uint64(2); seq <= 3; seq++ {
		settleOne(t, r, at(seq, date(2026, 1, int(seq))), penstock.Stored)
	}
}
