package historian_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a historian on a file system, and the store under it.
type bench struct {
	*historian.Historian
	fs    vfs.FS
	store *store.Store
	o     historian.Options
}

func open(t testing.TB, fs vfs.FS, o historian.Options) *bench {
	t.Helper()
	b, err := tryOpen(fs, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tryOpen(fs vfs.FS, o historian.Options) (*bench, error) {
	if err := fs.MkdirAll("keys", 0o700); err != nil {
		return nil, err
	}
	k, err := keyring.Open(fs, "keys", nil)
	if err != nil {
		return nil, err
	}
	s, err := store.Open(store.Options{FS: fs, Dir: "db", Keyring: k, Cache: 4 << 20})
	if err != nil {
		return nil, err
	}
	o.Store = s
	h, err := historian.Open(o)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &bench{h, fs, s, o}, nil
}

func (b *bench) close(t testing.TB) {
	t.Helper()
	if err := errors.Join(b.Historian.Close(), b.store.Close()); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) reopen(t testing.TB) *bench {
	t.Helper()
	b.close(t)
	return open(t, b.fs, b.o)
}

func (b *bench) id(t testing.TB, controller, point string) historian.SeriesID {
	t.Helper()
	found := b.Series(historian.Selector{Controller: controller, Point: point, Scope: penstock.Scope{"*"}})
	if len(found) != 1 {
		t.Fatalf("%d series %s/%s", len(found), controller, point)
	}
	return found[0].ID
}

func (b *bench) all(t testing.TB, id historian.SeriesID) []penstock.Sample {
	t.Helper()
	var out []penstock.Sample
	for s, err := range b.Samples(t.Context(), id, math.MinInt64, math.MaxInt64) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

func (b *bench) settle(t testing.TB, ds ...penstock.Delivery) []penstock.Settlement {
	t.Helper()
	out, err := b.Settle(t.Context(), ds, ds[len(ds)-1].Position)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// flow returns a report with one sample of point "flow".
func flow(id penstock.Identity, at int64, v float64) *penstock.Report {
	return &penstock.Report{
		Controller: "pump-17", Identity: id, Fingerprint: penstock.Fingerprint(math.Float64bits(v)) ^ penstock.Fingerprint(at),
		Samples: []penstock.Sample{{Point: "flow", SourceTime: at, Value: penstock.FloatValue(v), Unit: "m3/h"}},
	}
}

const start = int64(1763712000e9)

func TestSequenceKeepsEverySampleOnce(t *testing.T) {
	b := open(t, vfs.NewMem(), historian.Options{})
	one := flow(penstock.SequenceIdentity(1, 1), start, 1.5)
	two := flow(penstock.SequenceIdentity(1, 2), start, 1.5) // an event of the same time and value
	out := b.settle(t, penstock.Delivery{Position: 1, Report: one}, penstock.Delivery{Position: 2, Report: two}, penstock.Delivery{Position: 3, Report: one})
	if want := []penstock.Settlement{penstock.Stored, penstock.Stored, penstock.StoredTwice}; !slices.Equal(out, want) {
		t.Errorf("got %v", out)
	}
	for range 2 {
		if n := len(b.all(t, b.id(t, "pump-17", "flow"))); n != 2 {
			t.Errorf("%d samples", n)
		}
		b = b.reopen(t)
	}
	b.close(t)
}

func TestNaturalFirstWriteWins(t *testing.T) {
	b := open(t, vfs.NewMem(), historian.Options{})
	natural := penstock.Identity{}
	first := flow(natural, start, 1)
	steps := []struct {
		r    *penstock.Report
		want penstock.Settlement
	}{
		{first, penstock.Stored},
		{flow(natural, start, 1), penstock.StoredTwice},
		{flow(natural, start, 2), penstock.StoredTwice}, // a conflict
		{flow(natural, start-1e9, 3), penstock.Stored},  // late
		{flow(natural, start-1e9, 3), penstock.StoredTwice},
	}
	check := func(from penstock.Position) {
		t.Helper()
		for i, s := range steps {
			if got := b.settle(t, penstock.Delivery{Position: from + penstock.Position(i), Report: s.r})[0]; got != s.want {
				t.Errorf("step %d: %v", i, got)
			}
		}
	}
	check(1)
	check(1) // again: the same answers
	b = b.reopen(t)
	check(1)
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(1)
	got := b.all(t, b.id(t, "pump-17", "flow"))
	if len(got) != 2 || got[0].Value.Float() != 3 || got[1].Value.Float() != 1 || got[0].Unit != "m3/h" {
		t.Errorf("got %+v", got)
	}
	if s := b.Stats(); s.Conflicts != 1 || s.Samples != 2 {
		t.Errorf("stats %+v", s)
	}
	for _, c := range b.Counters {
		if want := (historian.Counters{Stored: 2, StoredTwice: 3, Samples: 2, Conflicts: 1}); c != want {
			t.Errorf("counters %+v", c)
		}
	}
	b.close(t)
}

func TestNaturalIsJudgedAgainstItsOwnCall(t *testing.T) {
	b := open(t, vfs.NewMem(), historian.Options{})
	defer b.close(t)
	r := flow(penstock.Identity{}, start, 1)
	r.Samples = append(r.Samples, r.Samples[0], r.Samples[0])
	r.Samples[2].Value = penstock.FloatValue(9)
	out := b.settle(t, penstock.Delivery{Position: 1, Report: r}, penstock.Delivery{Position: 2, Report: flow(penstock.Identity{}, start, 1)},
		penstock.Delivery{Position: 3, Report: flow(penstock.SequenceIdentity(1, 1), start+1, 5)}, penstock.Delivery{Position: 4, Report: flow(penstock.Identity{}, start+1, 6)})
	if want := []penstock.Settlement{penstock.Stored, penstock.StoredTwice, penstock.Stored, penstock.StoredTwice}; !slices.Equal(out, want) {
		t.Errorf("got %v", out)
	}
	if got := b.all(t, 0); len(got) != 2 || b.Stats().Conflicts != 2 {
		t.Errorf("%+v, %+v", got, b.Stats())
	}
}

func TestKeyDecidesAsLongAsTheDataIsThere(t *testing.T) {
	b := open(t, vfs.NewMem(), historian.Options{})
	key := penstock.KeyIdentity("order 66")
	good := flow(key, start, 1)
	other := flow(key, start, 2)
	out := b.settle(t, penstock.Delivery{Position: 1, Report: good}, penstock.Delivery{Position: 2, Report: good}, penstock.Delivery{Position: 3, Report: other})
	if want := []penstock.Settlement{penstock.Stored, penstock.StoredTwice, penstock.Quarantined}; !slices.Equal(out, want) {
		t.Errorf("got %v", out)
	}
	b = b.reopen(t)
	if out := b.settle(t, penstock.Delivery{Position: 4, Report: good}); out[0] != penstock.StoredTwice {
		t.Errorf("after a restart: %v", out)
	}
	kept, err := b.Quarantined(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(kept) != 1 || kept[0].Reason == "" || fmt.Sprint(*kept[0].Report) != fmt.Sprint(*other) {
		t.Errorf("quarantine: %+v", kept)
	}
	day := historian.DayOf(start)
	if err := b.DropBefore(t.Context(), day); err != nil {
		t.Fatal(err)
	}
	if out := b.settle(t, penstock.Delivery{Position: 5, Report: good}); out[0] != penstock.StoredTwice {
		t.Errorf("while its day is kept: %v", out)
	}
	if err := b.DropBefore(t.Context(), day+1); err != nil {
		t.Fatal(err)
	}
	if out := b.settle(t, penstock.Delivery{Position: 6, Report: good}); out[0] != penstock.Stored {
		t.Errorf("after its day was deleted: %v", out)
	}
	b.close(t)
}

func TestWhatCannotBeStoredIsQuarantined(t *testing.T) {
	b := open(t, vfs.NewMem(), historian.Options{MaxSeries: 1})
	defer b.close(t)
	b.settle(t, penstock.Delivery{Position: 1, Report: flow(penstock.SequenceIdentity(1, 1), start, 1)})
	for name, spoil := range map[string]func(r *penstock.Report){
		"unit":       func(r *penstock.Report) { r.Samples[0].Unit = "l/s" },
		"bool":       func(r *penstock.Report) { r.Samples[0].Value = penstock.BitsValue(penstock.Bool, 2) },
		"kind":       func(r *penstock.Report) { r.Samples[0].Value = penstock.BitsValue(9, 2) },
		"text":       func(r *penstock.Report) { r.Samples[0].Value = penstock.TextValue("\xff") },
		"point":      func(r *penstock.Report) { r.Samples[0].Point = "a\x00" },
		"controller": func(r *penstock.Report) { r.Controller = "a/b" },
		"identity":   func(r *penstock.Report) { r.Identity.Epoch = 0 },
		"series":     func(r *penstock.Report) { r.Samples[0].Point = "one too many" },
	} {
		at := b.Through() + 1
		r := flow(penstock.SequenceIdentity(1, uint64(at)), start, 1)
		spoil(r)
		for range 2 { // the second time it is known
			if out := b.settle(t, penstock.Delivery{Position: at, Report: r}); out[0] != penstock.Quarantined {
				t.Errorf("%s: %v", name, out)
			}
		}
	}
	if held, err := b.Quarantined(t.Context(), 0, 100); err != nil || len(held) != 8 {
		t.Errorf("%d in quarantine, %v", len(held), err)
	}
}

func TestLatestNeverStepsBack(t *testing.T) {
	b := open(t, vfs.NewMem(), historian.Options{})
	b.settle(t, penstock.Delivery{Position: 1, Report: flow(penstock.SequenceIdentity(1, 1), start, 1)})
	b.settle(t, penstock.Delivery{Position: 2, Report: flow(penstock.SequenceIdentity(1, 2), start-1e9, 2)})
	for range 3 {
		got, ok, err := b.Latest(t.Context(), b.id(t, "pump-17", "flow"))
		if err != nil || !ok || got.Value.Float() != 1 || got.Point != "flow" || got.Unit != "m3/h" {
			t.Errorf("got %+v %v %v", got, ok, err)
		}
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		b = b.reopen(t)
	}
	if _, _, err := b.Latest(t.Context(), 99<<32); penstock.CodeOf(err) != penstock.NotFound {
		t.Errorf("unknown series: %v", err)
	}
	b.close(t)
}

func TestDropBeforeForgetsDays(t *testing.T) {
	b := open(t, vfs.NewMem(), historian.Options{})
	const day = int64(24 * 3600e9)
	for i := range 6 {
		b.settle(t, penstock.Delivery{Position: penstock.Position(i + 1), Report: flow(penstock.SequenceIdentity(1, uint64(i+1)), start+int64(i)*day, float64(i))})
		if i == 2 {
			if err := b.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.DropBefore(t.Context(), historian.DayOf(start)+4); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := b.all(t, b.id(t, "pump-17", "flow")); len(got) != 2 || got[0].Value.Float() != 4 {
			t.Errorf("got %+v", got)
		}
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		b = b.reopen(t)
	}
	b.close(t)
}

func TestSelectorKeepsToItsScope(t *testing.T) {
	b := open(t, vfs.NewMem(), historian.Options{})
	defer b.close(t)
	for i, name := range []string{"b-1", "a-1", "a-2"} {
		r := flow(penstock.SequenceIdentity(1, 1), start, 1)
		r.Controller = name
		r.Samples = append(r.Samples, penstock.Sample{Point: "on", SourceTime: start, Value: penstock.BoolValue(true)})
		b.settle(t, penstock.Delivery{Position: penstock.Position(i + 1), Report: r})
	}
	for _, c := range []struct {
		sel  historian.Selector
		want string
	}{
		{historian.Selector{Scope: penstock.Scope{"*"}}, "a-1/flow a-1/on a-2/flow a-2/on b-1/flow b-1/on "},
		{historian.Selector{Controller: "*-1", Point: "f*", Scope: penstock.Scope{"a-*"}}, "a-1/flow "},
		{historian.Selector{Controller: "a-2", Scope: penstock.Scope{"b-*"}}, ""},
		{historian.Selector{}, ""},
	} {
		got := ""
		for _, s := range b.Series(c.sel) {
			got += s.Controller + "/" + s.Point + " "
		}
		if got != c.want {
			t.Errorf("%+v: %s", c.sel, got)
		}
	}
}

func TestWaitReturnsWhenSettled(t *testing.T) {
	b := open(t, vfs.NewMem(), historian.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Wait(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- b.Wait(t.Context(), 2) }()
	b.settle(t, penstock.Delivery{Position: 1, Report: flow(penstock.SequenceIdentity(1, 1), start, 1)})
	if _, err := b.Settle(t.Context(), nil, 2); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	b = b.reopen(t)
	if b.Through() != 2 {
		t.Errorf("through %d", b.Through())
	}
	go func() { done <- b.Wait(context.Background(), 3) }()
	b.close(t)
	if err := <-done; penstock.CodeOf(err) != penstock.Closed {
		t.Errorf("closed: %v", err)
	}
}
