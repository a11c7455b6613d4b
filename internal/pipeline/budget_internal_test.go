package pipeline

import (
	"fmt"
	"testing"
	"time"
)

// Any number of senders takes bounded memory; those that do not fit share a
// budget, and nobody gets a fresh one by making others come.
func TestBudgetsAreBounded(t *testing.T) {
	const limit = 4 * shardCount
	r := rates{counts: 1, bytes: 1000, burst: 10}
	now := time.Unix(1_000_000, 0)
	b := newBudgets(limit)
	kept := func() int {
		n := 0
		for i := range b.shards {
			n += len(b.shards[i].budgets)
		}
		return n
	}
	victim := b.of("victim", r, now)
	victim.chargeCount(now, 100) // a debt of 90 seconds
	for i := range 100 * limit {
		b.of(fmt.Sprint("flood", i), r, now).chargeCount(now, 1)
	}
	if kept() != limit {
		t.Errorf("%d budgets are kept, want %d", kept(), limit)
	}
	if b.of("flood-a", r, now).wait(now) == 0 {
		t.Error("the budget that the others share is not spent")
	}
	now = now.Add(30 * time.Second) // the flood's budgets are whole again, the debt is not paid
	for i := range 100 * limit {
		b.of(fmt.Sprint("later", i), r, now)
	}
	if kept() > limit {
		t.Errorf("%d budgets are kept, want at most %d", kept(), limit)
	}
	if b.of("victim", r, now) != victim || victim.wait(now) < 60*time.Second {
		t.Errorf("a debt was forgotten: wait %v", victim.wait(now))
	}
}

func TestBudgetTellsWhenToComeBack(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	b := newBudget(rates{counts: 2, bytes: 1 << 20, burst: 1})
	b.chargeCount(now, 7) // 2 at once, 5 owed: 3 seconds to have 1 again
	if got := b.wait(now); got != 3*time.Second {
		t.Errorf("wait %v, want 3s", got)
	}
	if got := b.wait(now.Add(b.wait(now))); got != 0 {
		t.Errorf("after that wait still %v", got)
	}
	b.chargeBytes(now, 3<<20)
	if got := b.wait(now.Add(time.Second)); got < time.Second {
		t.Errorf("bytes are not counted: %v", got)
	}
}
