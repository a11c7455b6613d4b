package budget

import (
	"fmt"
	"testing"
	"time"
)

// Any number of senders takes bounded memory; those that do not fit share a
// budget, and nobody gets a fresh one by making others come.
func TestBudgetsAreBounded(t *testing.T) {
	const limit = 4 * shardCount
	r := Rates{Counts: 1, Bytes: 1000, Burst: 10}
	now := time.Unix(1_000_000, 0)
	b := NewBook(limit)
	kept := func() int {
		n := 0
		for i := range b.shards {
			n += len(b.shards[i].budgets)
		}
		return n
	}
	victim := b.Of("victim", r, now)
	victim.ChargeCount(now, 100) // a debt of 90 seconds
	for i := range 100 * limit {
		b.Of(fmt.Sprint("flood", i), r, now).ChargeCount(now, 1)
	}
	if kept() != limit {
		t.Errorf("%d budgets are kept, want %d", kept(), limit)
	}
	if b.Of("flood-a", r, now).Wait(now) == 0 {
		t.Error("the budget that the others share is not spent")
	}
	now = now.Add(30 * time.Second) // the flood's budgets are whole again, the debt is not paid
	for i := range 100 * limit {
		b.Of(fmt.Sprint("later", i), r, now)
	}
	if kept() > limit {
		t.Errorf("%d budgets are kept, want at most %d", kept(), limit)
	}
	if b.Of("victim", r, now) != victim || victim.Wait(now) < 60*time.Second {
		t.Errorf("a debt was forgotten: wait %v", victim.Wait(now))
	}
}

func TestBudgetTellsWhenToComeBack(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	b := newBudget(Rates{Counts: 2, Bytes: 1 << 20, Burst: 1})
	b.ChargeCount(now, 7) // 2 at once, 5 owed: 3 seconds to have 1 again
	if got := b.Wait(now); got != 3*time.Second {
		t.Errorf("wait %v, want 3s", got)
	}
	if got := b.Wait(now.Add(b.Wait(now))); got != 0 {
		t.Errorf("after that wait still %v", got)
	}
	b.ChargeBytes(now, 3<<20)
	if got := b.Wait(now.Add(time.Second)); got < time.Second {
		t.Errorf("bytes are not counted: %v", got)
	}
}
