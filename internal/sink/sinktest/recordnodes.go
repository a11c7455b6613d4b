package sinktest

import (
	"reflect"
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

// filled has a node refuse, drop and give up numbers. Another one learns of it, and what
// it had accepted under a number that was refused is stored all the same.
func (t *recordTest) filled() {
	a := t.open(firstLife())
	b := t.open(nodeOf("node-b", sink.Life{ID: "life-b", First: 1}))
	one := batch(1, reports("pump-1", 1, 2)...)
	one.Last = 9
	one.Filled = []penstock.Filled{
		{Controller: "pump-1", Epoch: 1, SeqRange: penstock.SeqRange{First: 3, Last: 3}},
		{Controller: "pump-1", Epoch: 1, SeqRange: penstock.SeqRange{First: 4, Last: 5}, Dropped: true},
		{Controller: "pump-1", Epoch: 1, SeqRange: penstock.SeqRange{First: 6, Last: 8}},
		{Controller: "tank", Epoch: 2, SeqRange: penstock.SeqRange{First: 1, Last: penstock.MaxSequence}},
		{Controller: "a/b", Epoch: 1, SeqRange: penstock.SeqRange{First: 1, Last: 1}}, // cannot be kept, and fails nothing
		{Controller: "pump-1", Epoch: 1, SeqRange: penstock.SeqRange{First: 0, Last: 1}},
	}
	t.settle(a, one, plain(2)...)
	t.settle(a, one, plain(2)...)
	t.settle(a, penstock.Batch{First: 10, Last: 10, Filled: one.Filled[3:4]})
	want := penstock.Known{Controller: "pump-1", Epoch: 1, Settled: []penstock.SeqRange{{First: 1, Last: 2}, {First: 4, Last: 5}, {First: 9, Last: 9}}, Filled: []penstock.SeqRange{{First: 3, Last: 3}, {First: 6, Last: 8}}}
	receipt := t.settle(b, batch(1, report("pump-1", 9)), penstock.Stored)
	if len(receipt.Known) != 1 || !reflect.DeepEqual(receipt.Known[0], want) {
		t.Fatalf("the receipt says that %+v is known, want %+v", receipt.Known, want)
	}
	t.settle(b, batch(2, report("pump-1", 3), report("pump-1", 4)), penstock.Stored, penstock.StoredTwice)
	t.stored(append(reports("pump-1", 1, 3), report("pump-1", 9))...)
	if got := t.resume(a) + " | " + t.resume(b); got != "1-10 | 1-3" {
		t.Fatalf("the nodes stand at %s, want 1-10 | 1-3", got)
	}
	knower, ok := a.(sink.Knower)
	if !ok {
		return
	}
	want.Settled = []penstock.SeqRange{{First: 1, Last: 5}, {First: 9, Last: 9}}
	known, err := knower.Known(t.Context(), "pump-1")
	if err != nil || len(known) != 1 || !reflect.DeepEqual(known[0], want) {
		t.Errorf("known of pump-1 is %+v, %v, want %+v", known, err, want)
	}
	known, err = knower.Known(t.Context(), "tank")
	if err != nil || len(known) != 1 || known[0].Epoch != 2 || len(known[0].Settled) != 0 || !slices.Equal(known[0].Filled, []penstock.SeqRange{{First: 1, Last: penstock.MaxSequence}}) {
		t.Errorf("known of tank is %+v, %v", known, err)
	}
}
