package sim_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sim"
)

// shelf is a store in memory, by controller.
type shelf map[string][]sim.Stored

func (s shelf) Controllers(context.Context) ([]string, error) {
	var names []string
	for name := range s {
		names = append(names, name)
	}
	return names, nil
}

func (s shelf) Samples(_ context.Context, controller string, from int64, yield func(sim.Stored) error) error {
	for _, stored := range s[controller] {
		if stored.Time >= from {
			if err := yield(stored); err != nil {
				return err
			}
		}
	}
	return nil
}

// put stores a report of the model as it is.
func (s shelf) put(m *sim.Model, controller int, seq uint64) {
	var r penstock.Report
	m.Report(&r, controller, seq)
	for _, sample := range r.Samples {
		s[r.Controller] = append(s[r.Controller], sim.Stored{
			Point: sample.Point, Time: sample.SourceTime, Raw: sim.AppendValue(nil, sample.Value), Status: sample.Status, Unit: sample.Unit,
		})
	}
}

// silent is a transport that is never asked.
type silent struct{ sim.Transport }

// Three controllers sent reports 1 to 4 and were told accepted, except of report
// 3 (no answer) and report 4 (rejected).
func checked(t *testing.T, alone bool, change func(*sim.Fleet, shelf)) *sim.Balance {
	t.Helper()
	m := newModel(t, sim.ModelOptions{Seed: 8, Controllers: 3, Start: time.Unix(1_800_000_000, 0)})
	f, err := sim.New(sim.Options{Model: m, Transport: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	s := shelf{}
	for c := range 3 {
		for seq := uint64(1); seq <= 4; seq++ {
			f.Ledger(c).Note(seq, sim.Sent)
		}
		for seq := uint64(1); seq <= 2; seq++ {
			f.Ledger(c).Note(seq, sim.Acknowledged)
			s.put(m, c, seq)
		}
		f.Ledger(c).Note(4, sim.Refused)
		f.Ledger(c).NoteCommitted(1)
	}
	change(f, s)
	b, err := sim.Check(t.Context(), f, s, alone)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCheckIsExact(t *testing.T) {
	type balance struct{ committed, unknown, unheard, lost, phantom, mutated int64 }
	for name, c := range map[string]struct {
		change func(*sim.Fleet, shelf)
		want   balance
	}{
		"all is well":              {func(*sim.Fleet, shelf) {}, balance{6, 3, 0, 0, 0, 0}},
		"an unanswered one came":   {func(f *sim.Fleet, s shelf) { s.put(f.Model(), 0, 3) }, balance{6, 2, 1, 0, 0, 0}},
		"half of one came":         {func(f *sim.Fleet, s shelf) { s.put(f.Model(), 0, 3); cut(s, f.Model().Name(0), 5) }, balance{6, 3, 0, 0, 0, 1}},
		"a rejected one came":      {func(f *sim.Fleet, s shelf) { s.put(f.Model(), 1, 4) }, balance{6, 3, 0, 0, 1, 0}},
		"one came twice":           {func(f *sim.Fleet, s shelf) { s.put(f.Model(), 1, 2) }, balance{5, 3, 0, 0, 1, 0}},
		"one that was never sent":  {func(f *sim.Fleet, s shelf) { s.put(f.Model(), 2, 9) }, balance{6, 3, 0, 0, 1, 0}},
		"a sample is gone":         {func(f *sim.Fleet, s shelf) { cut(s, f.Model().Name(0), 1) }, balance{5, 3, 0, 1, 0, 0}},
		"a controller is gone":     {func(f *sim.Fleet, s shelf) { delete(s, f.Model().Name(0)) }, balance{4, 3, 0, 2, 0, 0}},
		"a stranger is there":      {func(_ *sim.Fleet, s shelf) { s["x"] = []sim.Stored{{Time: 1}, {Time: 1}, {Time: 2}} }, balance{6, 3, 0, 0, 2, 0}},
		"a value":                  {func(f *sim.Fleet, s shelf) { s[f.Model().Name(0)][0].Raw = []byte("7.5") }, balance{5, 3, 0, 0, 0, 1}},
		"a status":                 {func(f *sim.Fleet, s shelf) { s[f.Model().Name(0)][0].Status ^= 1 << 10 }, balance{5, 3, 0, 0, 0, 1}},
		"a unit":                   {func(f *sim.Fleet, s shelf) { s[f.Model().Name(0)][0].Unit = "l/s" }, balance{5, 3, 0, 0, 0, 1}},
		"a time":                   {func(f *sim.Fleet, s shelf) { s[f.Model().Name(0)][0].Time++ }, balance{5, 3, 0, 1, 1, 0}},
		"another point":            {func(f *sim.Fleet, s shelf) { s[f.Model().Name(0)][0].Point = "?" }, balance{5, 3, 0, 1, 1, 0}},
		"a watermark over a gap":   {func(f *sim.Fleet, _ shelf) { f.Ledger(0).NoteCommitted(3) }, balance{6, 3, 0, 1, 0, 0}},
		"a watermark over nothing": {func(f *sim.Fleet, _ shelf) { f.Ledger(0).NoteCommitted(6) }, balance{6, 3, 0, 3, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			b := checked(t, true, c.change)
			got := balance{b.Committed, b.Unknown, b.Unheard, b.Lost, b.Phantom, b.Mutated}
			if got != c.want || b.Sent != 12 || b.Accepted != 6 || b.Rejected != 3 {
				t.Errorf("got %+v, want %+v: %+v", got, c.want, b)
			}
			if b.Clean() != (len(b.Findings) == 0) {
				t.Errorf("clean is %v with %d findings", b.Clean(), len(b.Findings))
			}
		})
	}
}

// In a store that others use too, only the fleet's own time counts.
func TestCheckBesideOthers(t *testing.T) {
	b := checked(t, false, func(f *sim.Fleet, s shelf) {
		s["x"] = []sim.Stored{{Time: 1}}
		s[f.Model().Name(0)] = append(s[f.Model().Name(0)], sim.Stored{Point: "level", Time: f.Model().Start() - 1})
	})
	if !b.Clean() || b.Committed != 6 {
		t.Errorf("what others stored counts: %+v", b)
	}
}

func cut(s shelf, controller string, samples int) {
	s[controller] = s[controller][:len(s[controller])-samples]
}

// A store that cannot be read is an error, not a loss.
type broken struct{ shelf }

func (broken) Samples(context.Context, string, int64, func(sim.Stored) error) error {
	return errors.New("no route")
}

func TestCheckNeedsTheStore(t *testing.T) {
	m := newModel(t, sim.ModelOptions{Controllers: 30})
	f, err := sim.New(sim.Options{Model: m, Transport: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sim.Check(t.Context(), f, broken{}, true); err == nil {
		t.Error("nothing was read, and nothing is said about it")
	}
}
