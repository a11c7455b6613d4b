package sinktest

import (
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
)

func (t *recordTest) failover() {
	r := t.open(firstLife())
	rs := reports("pump-1", 1, 30)
	t.settle(r, batch(1, rs[:10]...), plain(10)...)
	restore := t.Save(t)
	t.settle(r, batch(11, rs[10:]...), plain(20)...)
	restore()
	t.settleOnce(r, batch(8, rs[7:25]...))
	if got := t.resume(r); got != "1-25" {
		t.Fatalf("after the failover settled %s, want 1-25", got)
	}
	t.settleOnce(r, batch(26, rs[25:]...))
	t.stored(rs...)
}

func (t *recordTest) nextProcess() {
	r := t.open(firstLife())
	t.settle(r, batch(1, append(reports("pump-1", 1, 5), report("pump-1", 1))...), append(plain(5), penstock.StoredTwice)...)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	next := nodeOf("node-a", sink.Life{ID: "life-1", First: 1}, sink.Life{ID: "life-2", First: 7})
	r = t.open(next)
	runs, err := r.Resume(t.Context())
	if err != nil || runsOf(runs) != "1-6" {
		t.Fatalf("the next process finds %s settled (%v), want 1-6", runsOf(runs), err)
	}
	t.settle(r, batch(7, report("pump-1", 6), report("pump-1", 3)), penstock.Stored, penstock.StoredTwice)
	t.stored(reports("pump-1", 1, 6)...)
}

func (t *recordTest) fence() {
	old := t.open(firstLife())
	t.settle(old, batch(1, reports("pump-1", 1, 10)...), plain(10)...)
	current := t.open(nodeOf("node-a", sink.Life{ID: "life-1", First: 1}, sink.Life{ID: "life-2", First: 11}))
	if _, err := old.Settle(t.Context(), batch(11, report("pump-2", 1))); err == nil {
		t.Fatal("a process settled after the next one of its node had resumed")
	}
	t.settle(current, batch(11, reports("pump-1", 11, 20)...), plain(10)...)
	for _, c := range []struct {
		what  string
		lives []sink.Life
	}{
		{"an older process", []sink.Life{{ID: "life-1", First: 1}}},
		{"a twin", []sink.Life{{ID: "life-1", First: 1}, {ID: "life-3", First: 11}}},
		{"an old copy", []sink.Life{{ID: "life-1", First: 1}, {ID: "life-2", First: 11}, {ID: "life-4", First: 15}}},
	} {
		other := t.Open(t, nodeOf("node-a", c.lives...))
		if _, err := other.Resume(t.Context()); penstock.CodeOf(err) != penstock.Conflict {
			t.Errorf("%s resumes with %v, not with a conflict", c.what, err)
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}
	t.settle(current, batch(21, report("pump-1", 21)), penstock.Stored)
	t.stored(reports("pump-1", 1, 21)...)
	// With an id of its own the twin delivers what it has.
	twin := t.open(nodeOf("node-b", sink.Life{ID: "life-3", First: 1}))
	t.settle(twin, batch(1, report("pump-1", 9), report("pump-2", 1)), penstock.StoredTwice, penstock.Stored)
	t.stored(append(reports("pump-1", 1, 21), report("pump-2", 1))...)
}

func (t *recordTest) otherNode() {
	a := t.open(firstLife())
	b := t.open(nodeOf("node-b", sink.Life{ID: "life-b", First: 1}))
	t.settle(a, batch(1, reports("pump-1", 1, 10)...), plain(10)...)
	receipt := t.settle(b, batch(1, reports("pump-1", 6, 12)...),
		penstock.StoredTwice, penstock.StoredTwice, penstock.StoredTwice, penstock.StoredTwice, penstock.StoredTwice, penstock.Stored, penstock.Stored)
	i := slices.IndexFunc(receipt.Known, func(k penstock.Known) bool { return k.Controller == "pump-1" && k.Epoch == 1 })
	if i < 0 || len(receipt.Known[i].Settled) != 1 || receipt.Known[i].Settled[0] != (penstock.SeqRange{First: 1, Last: 12}) {
		t.Fatalf("the receipt says that %+v is known, want 1 to 12 of epoch 1 of pump-1", receipt.Known)
	}
	t.settle(a, batch(11, reports("pump-1", 11, 13)...), penstock.StoredTwice, penstock.StoredTwice, penstock.Stored)
	keyed := func() *penstock.Report {
		return &penstock.Report{Controller: "meter", Identity: penstock.KeyIdentity("k"), Fingerprint: 7, Samples: report("meter", 1).Samples}
	}
	t.settle(a, batch(14, keyed()), penstock.Stored)
	t.settle(b, batch(8, keyed()), penstock.StoredTwice)
	t.stored(append(reports("pump-1", 1, 13), keyed())...)
	if got := t.resume(a) + " | " + t.resume(b); got != "1-14 | 1-8" {
		t.Fatalf("the nodes stand at %s, want 1-14 | 1-8", got)
	}
}
