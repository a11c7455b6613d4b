package judge_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/postgres/judge"
)

// newCase returns a case of reports of one controller, of which nothing is known.
func newCase(rs ...*penstock.Report) (*judge.Case, *judge.Held) {
	h := judge.NewHeld(&judge.Controller{ID: 1, Points: map[string]*judge.Point{}})
	h.Natural = true
	c := &judge.Case{
		Marks: make([]judge.Mark, len(rs)), Owners: map[string]*judge.Held{"pump": h, "a/b": h},
		Existing: map[judge.SampleAt][]judge.Content{}, Room: func(int64) error { return nil },
	}
	for i, r := range rs {
		c.Batch.Deliveries = append(c.Batch.Deliveries, penstock.Delivery{Position: penstock.Position(i + 1), Report: r})
	}
	return c, h
}

func natural(samples ...penstock.Sample) *penstock.Report {
	return &penstock.Report{Controller: "pump", Samples: samples}
}

func flow(at int64, v float64) penstock.Sample {
	return penstock.Sample{Point: "flow", SourceTime: at, Value: penstock.FloatValue(v)}
}

// TestNatural has samples come again and with another value, in one batch and after
// one that the table holds.
func TestNatural(t *testing.T) {
	c, h := newCase(
		natural(flow(1, 1), flow(2, 2)), natural(flow(2, 2), flow(1, 1)), natural(flow(2, 3)), natural(flow(2, 3), flow(3, 3)),
		natural(flow(9, 9)), natural(flow(9, 8)), natural(),
	)
	known := &judge.Point{ID: 5}
	h.Points["flow"] = known
	c.Existing[judge.SampleAt{Point: known, Time: 9}] = []judge.Content{{Value: penstock.FloatValue(9)}}
	c.Judge()
	want := []penstock.Settlement{
		penstock.Stored, penstock.StoredTwice, penstock.StoredTwice, penstock.Stored, penstock.StoredTwice, penstock.StoredTwice, penstock.Stored,
	}
	for i, m := range c.Marks {
		if m.Settlement != want[i] {
			t.Errorf("report %d: %v, want %v", i, m.Settlement, want[i])
		}
	}
	counts := h.Epochs[0].Counts
	if len(c.Rows) != 3 || counts != (judge.Counts{Reports: 3, Duplicates: 4, Samples: 3, Conflicts: 3}) {
		t.Errorf("%d rows, counts %+v", len(c.Rows), counts)
	}
}

// TestRefused names what can never be stored, and sees that it leaves no point behind.
func TestRefused(t *testing.T) {
	text := func(s string) penstock.Sample {
		return penstock.Sample{Point: "text", Value: penstock.TextValue(s)}
	}
	unit := func(point, unit string) penstock.Sample { return penstock.Sample{Point: point, Unit: unit} }
	for _, c := range []struct {
		report *penstock.Report
		says   string
	}{
		{&penstock.Report{Controller: "a/b"}, "'/'"},
		{&penstock.Report{Controller: "pump", Identity: penstock.SequenceIdentity(0, 1)}, "epoch 0"},
		{natural(flow(1, 1), text("a\x00b")), "U+0000"},
		{natural(flow(1, 1), text(strings.Repeat("x", penstock.MaxText+1))), "too long"},
		{natural(flow(1, 1), text("\xff")), "UTF-8"},
		{natural(flow(1, 1), penstock.Sample{Point: ""}), "name"},
		{natural(flow(1, 1), penstock.Sample{Point: "b", Value: penstock.BitsValue(penstock.Bool, 2)}), "not one"},
		{natural(flow(1, 1), unit("level", "m"), unit("level", "cm")), "unit of point level is m"},
		{natural(flow(1, 1), unit("known", "cm")), "unit of point known is m"},
		{natural(flow(1, 1), unit("u", strings.Repeat("x", 33))), "unit"},
		{natural(flow(1, 1), flow(-1, 1)), "no room"},
	} {
		k, h := newCase(c.report)
		h.Points["known"] = &judge.Point{ID: 7, Unit: "m"}
		k.Room = func(micros int64) error {
			if micros < 0 {
				return errors.New("no room")
			}
			return nil
		}
		k.Judge()
		if k.Marks[0].Settlement != penstock.Quarantined || len(k.Refused) != 1 || !strings.Contains(k.Refused[0].Reason, c.says) {
			t.Errorf("%+v: %v, %+v, want a refusal that says %q", c.report, k.Marks[0], k.Refused, c.says)
		}
		if len(h.Points) != 1 || len(k.Rows) != 0 || len(k.Points) != 0 {
			t.Errorf("%+v left points or rows behind: %+v", c.report, h.Points)
		}
	}
}

// TestPoints makes each point once, and notes units and kinds.
func TestPoints(t *testing.T) {
	c, h := newCase(
		natural(flow(1, 1), flow(2, 1), penstock.Sample{Point: "flow", SourceTime: 3, Value: penstock.IntValue(1), Unit: "L/s"}),
		natural(penstock.Sample{Point: "known", SourceTime: 1, Value: penstock.FloatValue(1), Unit: "m"}),
		natural(penstock.Sample{Point: "same", SourceTime: 1, Status: penstock.Bad, Unit: "m"}),
	)
	h.Points["known"] = &judge.Point{ID: 7}
	h.Points["same"] = &judge.Point{ID: 8, Unit: "m", Kind: penstock.Int64}
	c.Judge()
	if len(c.Points) != 2 || *c.Points[0].Point != (judge.Point{Unit: "L/s", Kind: penstock.Int64}) || *c.Points[1].Point != (judge.Point{ID: 7, Unit: "m", Kind: penstock.Float64}) {
		for _, p := range c.Points {
			t.Errorf("%s: %+v", p.Name, *p.Point)
		}
	}
	for i, p := range c.Of {
		if p != h.Points[c.Rows[i].Sample.Point] {
			t.Errorf("row %d has another point than its sample", i)
		}
	}
}
