package sinktest

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
)

// identities sends every form of identity again, alone and in one batch.
func (t *recordTest) identities() {
	r := t.open(firstLife())
	keyed := func(print penstock.Fingerprint, seq uint64) *penstock.Report {
		return &penstock.Report{Controller: "meter", Identity: penstock.KeyIdentity("a key"), Fingerprint: print, Samples: report("meter", seq).Samples}
	}
	natural := func(seq uint64) *penstock.Report {
		return &penstock.Report{Controller: "sensor", Fingerprint: penstock.Fingerprint(seq), Samples: report("sensor", seq).Samples}
	}
	other := natural(1)
	other.Samples = slices.Clone(other.Samples[:1])
	other.Samples[0].Value = penstock.FloatValue(99)
	t.settle(r, batch(1, report("pump-1", 1), report("pump-1", 1), keyed(1, 1), keyed(1, 1), natural(1), natural(1)),
		penstock.Stored, penstock.StoredTwice, penstock.Stored, penstock.StoredTwice, penstock.Stored, penstock.StoredTwice)
	t.settle(r, batch(7, report("pump-1", 1), keyed(1, 1), natural(1)), penstock.StoredTwice, penstock.StoredTwice, penstock.StoredTwice)
	t.settle(r, batch(10, keyed(2, 2)), penstock.Quarantined)
	if _, err := r.Settle(t.Context(), batch(11, other)); err != nil { // the first one holds, whatever this one is called
		t.Fatal(err)
	}
	t.settle(r, batch(12, report("pump-2", 1), natural(2)), penstock.Stored, penstock.Stored)
	t.stored(report("pump-1", 1), keyed(1, 1), natural(1), report("pump-2", 1), natural(2))
}

// bad puts what the store cannot hold among good reports.
func (t *recordTest) bad() {
	r := t.open(firstLife())
	rs := reports("pump-1", 1, 4)
	b := batch(1, slices.Concat(rs[:2], t.Bad, rs[2:])...)
	want := slices.Concat(plain(2), slices.Repeat([]penstock.Settlement{penstock.Quarantined}, len(t.Bad)), plain(2))
	t.settle(r, b, want...)
	t.settle(r, b, want...)
	t.stored(rs...)
	held := t.held(r)
	if len(held) != len(t.Bad) {
		t.Fatalf("%d reports are in quarantine, want %d", len(held), len(t.Bad))
	}
	for i, h := range held {
		if h.Report.Controller != t.Bad[i].Controller || h.Report.Identity != t.Bad[i].Identity || h.Reason == "" || !slices.Equal(h.Report.Samples, t.Bad[i].Samples) {
			t.Errorf("in quarantine is %+v, want the whole of %+v with a reason", h, t.Bad[i])
		}
	}
	// A retry while nothing is mended leaves it where it is.
	d := penstock.Decision{Verb: penstock.Retry, Controller: held[0].Report.Controller, Number: held[0].Number}
	t.settle(r, decide(b.Last+1, d), penstock.Quarantined)
	if again := t.held(r); len(again) != len(held) || again[0].Number != held[0].Number {
		t.Fatalf("after a retry in vain %+v is in quarantine", again)
	}
	t.stored(rs...)
}

// held returns the whole quarantine.
func (t *recordTest) held(r penstock.Record) []sink.Held {
	t.Helper()
	q, ok := r.(sink.Quarantine)
	if !ok {
		t.Fatalf("%T does not show its quarantine: it has no method Quarantined", r)
	}
	var all []sink.Held
	for next := uint64(0); ; {
		page, err := q.Quarantined(t.Context(), next, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		next = page[len(page)-1].Number + 1
	}
}

func (t *recordTest) hold() {
	r := t.open(firstLife())
	b := batch(1, reports("pump-1", 1, 3)...)
	b.Deliveries[1].Hold = "the script pressure said: hold"
	want := []penstock.Settlement{penstock.Stored, penstock.Quarantined, penstock.Stored}
	t.settle(r, b, want...)
	t.settle(r, b, want...)
	held := t.held(r)
	if len(held) != 1 || !strings.Contains(held[0].Reason, "the script pressure said: hold") || held[0].Report.Identity != penstock.SequenceIdentity(1, 2) ||
		!slices.Equal(held[0].Report.Samples, report("pump-1", 2).Samples) || held[0].Report.Fingerprint != 2 || held[0].Report.Source != "test" {
		t.Fatalf("in quarantine is %+v, want the whole report 1/2 with its reason", held)
	}
	// Its identity is settled: a resend is a duplicate.
	t.settle(r, batch(4, report("pump-1", 2)), penstock.StoredTwice)
	t.stored(report("pump-1", 1), report("pump-1", 3))
	if got := t.resume(r); got != "1-4" {
		t.Fatalf("settled %s, want 1-4", got)
	}
}

// decide puts decisions at positions from first on.
func decide(first penstock.Position, ds ...penstock.Decision) penstock.Batch {
	b := penstock.Batch{First: first, Last: first + penstock.Position(len(ds)) - 1}
	for i := range ds {
		b.Deliveries = append(b.Deliveries, penstock.Delivery{Position: first + penstock.Position(i), Decision: &ds[i]})
	}
	return b
}

func (t *recordTest) retry() {
	r := t.open(firstLife())
	keyed := &penstock.Report{Controller: "meter", Identity: penstock.KeyIdentity("k"), Fingerprint: 7, Samples: report("meter", 1).Samples}
	natural := &penstock.Report{Controller: "sensor", Fingerprint: 8, Samples: report("sensor", 1).Samples}
	all := []*penstock.Report{report("pump-1", 1), keyed, natural}
	b := batch(1, all...)
	for i := range b.Deliveries {
		b.Deliveries[i].Hold = "hold"
	}
	t.settle(r, b, penstock.Quarantined, penstock.Quarantined, penstock.Quarantined)
	t.stored()
	var decisions []penstock.Decision
	for _, h := range t.held(r) {
		decisions = append(decisions, penstock.Decision{Verb: penstock.Retry, Controller: h.Report.Controller, Number: h.Number})
	}
	d := decide(4, decisions...)
	t.settle(r, d, plain(3)...)
	t.stored(all...)
	t.settle(r, d, plain(3)...) // the batch again
	d.First, d.Last = 7, 9
	for i := range d.Deliveries {
		d.Deliveries[i].Position += 3
	}
	t.settle(r, d, penstock.Unchanged, penstock.Unchanged, penstock.Unchanged) // the decision again
	t.stored(all...)
	if held := t.held(r); len(held) > 0 {
		t.Fatalf("still in quarantine: %+v", held)
	}
	t.settle(r, batch(10, report("pump-1", 1), keyed), penstock.StoredTwice, penstock.StoredTwice)
	runs, err := r.Resume(t.Context())
	if err != nil || !t.others(runs, map[penstock.Position]penstock.Settlement{1: penstock.Quarantined, 4: 0, 7: penstock.Unchanged}) {
		t.Fatalf("resume tells %v (%v)", runs, err)
	}
}

func (t *recordTest) discard() {
	r := t.open(firstLife())
	b := batch(1, reports("pump-1", 1, 2)...)
	b.Deliveries[0].Hold = "hold"
	t.settle(r, b, penstock.Quarantined, penstock.Stored)
	number := t.held(r)[0].Number
	t.settle(r, decide(3,
		penstock.Decision{Verb: penstock.Discard, Controller: "pump-2", Number: number}, // not this one's
		penstock.Decision{Verb: penstock.Discard, Controller: "pump-1", Number: number},
		penstock.Decision{Verb: penstock.Retry, Controller: "pump-1", Number: number},
		penstock.Decision{Verb: penstock.Discard, Controller: "pump-1", Number: math.MaxInt32},
	), penstock.Unchanged, penstock.Discarded, penstock.Unchanged, penstock.Unchanged)
	t.settle(r, batch(7, report("pump-1", 1)), penstock.StoredTwice) // it stays settled
	t.stored(report("pump-1", 2))
	if held, err := r.(sink.Quarantine).Quarantined(context.Background(), 0, 10); err != nil || len(held) > 0 {
		t.Fatalf("still in quarantine: %+v (%v)", held, err)
	}
}
