package mongo_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/mongo"
	"github.com/penstock/penstock/internal/testkit/mongotest"
)

// one returns a report of one controller by its form of identity.
func one(form penstock.IdentityForm, n uint64) *penstock.Report {
	at := noon + int64(n)*1e9
	r := &penstock.Report{
		Controller: "pump-1", Fingerprint: penstock.Fingerprint(n), ReceivedTime: at, AcceptedTime: at,
		Samples: []penstock.Sample{{Point: "flow", SourceTime: at, Value: penstock.FloatValue(float64(n))}},
	}
	switch form {
	case penstock.Sequence:
		r.Identity = penstock.SequenceIdentity(1, n)
	case penstock.Keyed:
		r.Identity = penstock.KeyIdentity("k")
	}
	return r
}

// settleOne settles a batch of one delivery.
func settleOne(t *testing.T, r *mongo.Record, at penstock.Position, report *penstock.Report, want penstock.Settlement) {
	t.Helper()
	receipt, err := r.Settle(t.Context(), batchOf(at, report))
	if err != nil || receipt.Settlements[0] != want {
		t.Fatalf("position %d: %v, %v, want %v", at, receipt.Settlements, err, want)
	}
}

// TestTwoNodesAtOnce has a second node settle a report while the first stands before
// each of its writes in turn: one of them stores it, and the other has a duplicate.
func TestTwoNodesAtOnce(t *testing.T) {
	for _, before := range []mongotest.Command{{Name: "insert", Collection: "reports"}, {Name: "update", Collection: "settled"}, commit} {
		for _, form := range []penstock.IdentityForm{penstock.Sequence, penstock.Keyed, penstock.Natural} {
			t.Run(before.Name+" "+before.Collection+" "+one(form, 1).Identity.String(), func(t *testing.T) {
				b := newBench(t)
				first := b.resumed(t, node("a"))
				direct := b.config()
				direct.Server = "mongodb://" + b.Address + "/" + b.name
				second := b.open(t, node("b"), direct)
				if _, err := second.Resume(t.Context()); err != nil {
					t.Fatal(err)
				}
				var other penstock.Receipt
				var once sync.Once
				met := false
				b.proxy.Each(func(c mongotest.Command) mongotest.Cut {
					if c == before {
						once.Do(func() {
							met = true
							var err error
							if other, err = second.Settle(t.Context(), batchOf(1, one(form, 1))); err != nil {
								t.Error(err)
							}
						})
					}
					return mongotest.None
				})
				receipt, err := first.Settle(t.Context(), batchOf(1, one(form, 1)))
				if err != nil {
					t.Fatal(err)
				}
				if !met {
					if form == penstock.Sequence || before.Collection != "settled" {
						t.Fatal("the first node never made that write")
					}
					return
				}
				got := [2]penstock.Settlement{receipt.Settlements[0], other.Settlements[0]}
				want := [2]penstock.Settlement{penstock.Stored, penstock.StoredTwice}
				if before.Collection == "reports" {
					want = [2]penstock.Settlement{penstock.StoredTwice, penstock.Stored}
				}
				if got != want || len(b.stored(t)) != 1 {
					t.Errorf("settled as %v, want %v; %d samples are stored", got, want, len(b.stored(t)))
				}
			})
		}
	}
}

// TestUnfinished has a node vanish for ever between two of its writes: what the
// controller then sends through another node is settled there, and stored once.
func TestUnfinished(t *testing.T) {
	for _, at := range []mongotest.Command{{Name: "update", Collection: "settled"}, commit} {
		b := newBench(t)
		lost := b.resumed(t, node("lost"))
		b.proxy.CutNext(at, mongotest.Before)
		if _, err := lost.Settle(t.Context(), batchOf(1, one(penstock.Sequence, 1))); err == nil {
			t.Fatal("settled over a connection that broke")
		}
		_ = lost.Close()
		other := b.resumed(t, node("other"))
		settleOne(t, other, 1, one(penstock.Sequence, 1), penstock.StoredTwice)
		settleOne(t, other, 2, one(penstock.Sequence, 2), penstock.Stored)
		known, err := other.Known(t.Context(), "pump-1")
		if err != nil || len(known) != 1 || len(known[0].Settled) != 1 || known[0].Settled[0] != (penstock.SeqRange{First: 1, Last: 2}) {
			t.Errorf("known is %+v, %v", known, err)
		}
		// Were it not lost after all, it would find its own document.
		back := b.resumed(t, node("lost"))
		settleOne(t, back, 1, one(penstock.Sequence, 1), penstock.Stored)
		if n := len(b.stored(t)); n != 2 {
			t.Errorf("%d samples are stored, want 2", n)
		}
	}
}

// TestHiddenFailover takes the database back behind an open connection, as a proxy
// does that hides a failover.
func TestHiddenFailover(t *testing.T) {
	b := newBench(t)
	r := b.resumed(t, node("a"))
	settleOne(t, r, 1, one(penstock.Sequence, 1), penstock.Stored)
	restore := mongotest.Save(t, b.db)
	settleOne(t, r, 2, one(penstock.Sequence, 2), penstock.Stored)
	restore()
	if _, err := r.Settle(t.Context(), batchOf(3, one(penstock.Sequence, 3))); penstock.CodeOf(err) != penstock.Unavailable {
		t.Fatalf("a database that lost a batch settles on: %v", err)
	}
	runs, err := r.Resume(t.Context())
	if err != nil || len(runs) != 1 || runs[0].Last != 1 {
		t.Fatalf("settled is %v, %v, want 1", runs, err)
	}
	settleOne(t, r, 2, one(penstock.Sequence, 2), penstock.Stored)
	settleOne(t, r, 3, one(penstock.Sequence, 3), penstock.Stored)
}

// TestAnOldProcessAfterAFailover has the counter of a node's place reach the same
// value twice: after the database was taken back, by another process.
func TestAnOldProcessAfterAFailover(t *testing.T) {
	b := newBench(t)
	old := b.resumed(t, node("a"))
	restore := mongotest.Save(t, b.db)
	settleOne(t, old, 1, one(penstock.Sequence, 1), penstock.Stored)
	settleOne(t, old, 2, one(penstock.Sequence, 2), penstock.Stored)
	restore()
	next := b.resumed(t, node("a", sink.Life{ID: "a-1", First: 1}, sink.Life{ID: "a-2", First: 3}))
	settleOne(t, next, 3, one(penstock.Sequence, 3), penstock.Stored)
	if _, err := old.Settle(t.Context(), batchOf(4, one(penstock.Sequence, 4))); penstock.CodeOf(err) != penstock.Unavailable {
		t.Errorf("the older process settles: %v", err)
	}
}

// TestALateCommit has the commit of a process arrive after the next process of its
// node has taken its place.
func TestALateCommit(t *testing.T) {
	b := newBench(t)
	old := b.resumed(t, node("a"))
	direct := b.config()
	direct.Server = "mongodb://" + b.Address + "/" + b.name
	next := b.open(t, node("a", sink.Life{ID: "a-1", First: 1}, sink.Life{ID: "a-2", First: 2}), direct)
	var once sync.Once
	b.proxy.Each(func(c mongotest.Command) mongotest.Cut {
		if c == commit {
			once.Do(func() {
				if runs, err := next.Resume(t.Context()); err != nil || len(runs) != 0 {
					t.Errorf("the next process finds %v, %v", runs, err)
				}
			})
		}
		return mongotest.None
	})
	if _, err := old.Settle(t.Context(), batchOf(1, one(penstock.Sequence, 1))); penstock.CodeOf(err) != penstock.Unavailable {
		t.Errorf("the older process settles: %v", err)
	}
	settleOne(t, next, 1, one(penstock.Sequence, 1), penstock.Stored)
	if runs, err := next.Resume(t.Context()); err != nil || len(runs) != 1 || runs[0].Last != 1 || len(runs[0].Other) > 0 {
		t.Errorf("the next process settled %v, %v", runs, err)
	}
}

func TestLease(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	one, two := b.open(t, node("a"), b.config()), b.open(t, node("b"), b.config())
	take := func(r *mongo.Record, ttl time.Duration, want bool) {
		t.Helper()
		if held, err := r.Lease(ctx, "line", ttl); err != nil || held != want {
			t.Fatalf("held is %t, %v, want %t", held, err, want)
		}
	}
	token := func() int64 {
		t.Helper()
		var l struct{ Token int64 }
		if err := b.db.Collection("leases").FindOne(ctx, bson.D{{Key: "_id", Value: "line"}}).Decode(&l); err != nil {
			t.Fatal(err)
		}
		return l.Token
	}
	take(one, time.Minute, true)
	take(two, time.Minute, false)
	take(one, time.Minute, true)
	if err := two.Release(ctx, "line"); err != nil { // not its own
		t.Fatal(err)
	}
	take(two, time.Minute, false)
	if err := one.Release(ctx, "line"); err != nil {
		t.Fatal(err)
	}
	take(two, time.Minute, true)
	if got := token(); got != 2 {
		t.Errorf("the token is %d after one change of hands, want 2", got)
	}
	// It ends by the server's clock.
	if _, err := b.db.Collection("leases").UpdateOne(ctx, bson.D{}, bson.D{{Key: "$set", Value: bson.D{{Key: "until", Value: time.Now().Add(-time.Second)}}}}); err != nil {
		t.Fatal(err)
	}
	take(one, time.Minute, true)
	take(two, time.Minute, false)
	// The next process of a node need not wait for the one before.
	next := b.open(t, node("a", sink.Life{ID: "a-1", First: 1}, sink.Life{ID: "a-2", First: 2}), b.config())
	take(next, time.Minute, true)
	take(one, time.Minute, false)
	if _, err := one.Lease(ctx, "", time.Minute); penstock.CodeOf(err) != penstock.Invalid {
		t.Errorf("a lease without a name: %v", err)
	}
}

// TestDecisionsComeAgain has the connection break at each write of a batch with a
// decision: when the batch comes again, the decision is answered as it was done.
func TestDecisionsComeAgain(t *testing.T) {
	for _, at := range []mongotest.Command{{Name: "update", Collection: "reports"}, commit} {
		for _, how := range []mongotest.Cut{mongotest.Before, mongotest.After} {
			for verb, want := range map[penstock.Verb]penstock.Settlement{penstock.Retry: penstock.Stored, penstock.Discard: penstock.Discarded} {
				b := newBench(t)
				r := b.resumed(t, node("a"))
				batch := batchOf(1, one(penstock.Sequence, 1), one(penstock.Keyed, 2), one(penstock.Natural, 3))
				for i := range batch.Deliveries {
					batch.Deliveries[i].Hold = "hold"
				}
				if _, err := r.Settle(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
				decisions := penstock.Batch{First: 4, Last: 6}
				for n := range uint64(3) {
					decisions.Deliveries = append(decisions.Deliveries, penstock.Delivery{
						Position: penstock.Position(4 + n), Decision: &penstock.Decision{Verb: verb, Controller: "pump-1", Number: 1 + n},
					})
				}
				b.proxy.CutNext(at, how)
				if _, err := r.Settle(t.Context(), decisions); err == nil {
					t.Fatal("settled over a connection that broke")
				}
				if _, err := r.Resume(t.Context()); err != nil {
					t.Fatal(err)
				}
				receipt, err := r.Settle(t.Context(), decisions)
				if err != nil || !slices.Equal(receipt.Settlements, []penstock.Settlement{want, want, want}) {
					t.Errorf("cut %d at %v: %v, %v, want %v each", how, at, receipt.Settlements, err, want)
				}
				if got := len(b.stored(t)); verb == penstock.Retry && got != 3 || verb == penstock.Discard && got != 0 {
					t.Errorf("cut %d at %v: %d samples are stored", how, at, got)
				}
				if held, err := r.Quarantined(t.Context(), 0, 10); err != nil || len(held) > 0 {
					t.Errorf("still in quarantine: %+v, %v", held, err)
				}
			}
		}
	}
}
