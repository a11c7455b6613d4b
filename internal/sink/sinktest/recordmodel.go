package sinktest

import (
	"math/rand/v2"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
)

// model draws batches, crashes and restarts from a seed, and holds the record against
// the reference after each.
func (t *recordTest) model() {
	const steps = 60
	rng := rand.New(rand.NewPCG(1, uint64(len(t.Name()))))
	reference := NewStore()
	lives := []sink.Life{{ID: "life-1", First: 1}}
	node := func() sink.Node { return sink.Node{ID: "node-a", Name: "a", Lives: lives} }
	record, want := t.open(node), reference.Open(node)
	t.resume(want)
	var log []penstock.Delivery // all positions from 1 on
	var sent []*penstock.Report
	numbers := map[uint64]uint64{} // of the reference's quarantine, in the record's
	through := 0
	for step := range steps {
		if rng.IntN(8) == 0 { // the process ends and the next one begins
			if err := record.Close(); err != nil {
				t.Fatal(err)
			}
			lives = append(lives[:len(lives):len(lives)], sink.Life{ID: string(rune('b' + step)), First: penstock.Position(len(log) + 1)})
			record = t.open(node)
			if got, should := t.resume(record), t.resume(want); got != should {
				t.Fatalf("step %d: the next process finds %s settled, want %s", step, got, should)
			}
		}
		for range 1 + rng.IntN(12) {
			log = append(log, t.draw(rng, want, penstock.Position(len(log)+1), &sent))
		}
		t.number(record, want, numbers)
		from := through
		if rng.IntN(4) == 0 {
			from = rng.IntN(through + 1) // some of it again
		}
		b := penstock.Batch{First: penstock.Position(from + 1), Last: penstock.Position(len(log))}
		for _, d := range log[from:] {
			if d.Report != nil || d.Decision != nil {
				b.Deliveries = append(b.Deliveries, d)
			}
		}
		through = len(log)
		receipt, err := want.Settle(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		t.settle(record, renumbered(b, numbers), receipt.Settlements...)
	}
	var stored []*penstock.Report
	for _, s := range reference.Stored() {
		stored = append(stored, &penstock.Report{Controller: s.Controller, Samples: []penstock.Sample{s.Sample}})
	}
	t.stored(stored...)
	t.sameQuarantine(record, want)
}

func (t *recordTest) sameQuarantine(record, want penstock.Record) {
	t.Helper()
	got, should := t.held(record), t.held(want)
	if len(got) != len(should) {
		t.Fatalf("%d reports are in quarantine, want %d", len(got), len(should))
	}
	for i := range got {
		if got[i].Report.Identity != should[i].Report.Identity || got[i].Report.Controller != should[i].Report.Controller {
			t.Fatalf("in quarantine %+v stands where %+v should", got[i].Report, should[i].Report)
		}
	}
}

// draw returns what stands at the next position of the log: a new report, one that
// came before, one that a step holds, a decision, or nothing for a record.
func (t *recordTest) draw(rng *rand.Rand, reference *Record, at penstock.Position, sent *[]*penstock.Report) penstock.Delivery {
	d := penstock.Delivery{Position: at}
	switch kind := rng.IntN(10); {
	case kind == 0:
		return d
	case kind == 1 && len(*sent) > 0:
		d.Report = (*sent)[rng.IntN(len(*sent))]
		return d
	case kind == 2:
		held := t.held(reference)
		if len(held) == 0 {
			return d
		}
		h := held[rng.IntN(len(held))]
		d.Decision = &penstock.Decision{Verb: penstock.Verb(1 + rng.IntN(2)), Controller: h.Report.Controller, Number: h.Number}
		return d
	case kind == 3:
		d.Hold = "held"
	}
	n := uint64(len(*sent) + 1)
	d.Report = report([]string{"pump-1", "pump-2", "tank"}[rng.IntN(3)], n)
	if rng.IntN(4) == 0 {
		d.Report.Identity = penstock.KeyIdentity(d.Report.Samples[1].Value.Text())
	}
	*sent = append(*sent, d.Report)
	return d
}

// number notes which number each report in quarantine has in the record under test.
func (t *recordTest) number(record, reference penstock.Record, numbers map[uint64]uint64) {
	t.Helper()
	got := t.held(record)
	for i, h := range t.held(reference) {
		if i < len(got) {
			numbers[h.Number] = got[i].Number
		}
	}
}

// renumbered returns the batch with its decisions as the record under test knows them.
func renumbered(b penstock.Batch, numbers map[uint64]uint64) penstock.Batch {
	b.Deliveries = slices.Clone(b.Deliveries)
	for i, d := range b.Deliveries {
		if d.Decision != nil {
			decision := *d.Decision
			decision.Number = numbers[decision.Number]
			b.Deliveries[i].Decision = &decision
		}
	}
	return b
}
