package historian_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian"
	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/store"
)

// rowsOfAHistorian returns what a small one has in its store, of every kind.
func rowsOfAHistorian(t testing.TB) map[string][]byte {
	h := open(t, vfs.NewMem(), historian.Options{})
	settle := func(p penstock.Position, r *penstock.Report) {
		if _, err := h.Settle(t.Context(), []penstock.Delivery{{Position: p, Report: r}}, p); err != nil {
			t.Fatal(err)
		}
	}
	settle(1, flow(penstock.SequenceIdentity(1, 1), start, 1.5))
	settle(2, flow(penstock.KeyIdentity("k"), start, 2))
	settle(3, flow(penstock.Identity{Form: penstock.Natural}, start, 3)) // a conflict
	wrong := flow(penstock.SequenceIdentity(1, 2), start, 4)
	wrong.Samples[0].Unit = "bar"
	settle(4, flow(penstock.SequenceIdentity(2, 1), start+1e9, 1.25))
	if err := h.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(5, wrong)
	settle(6, flow(penstock.SequenceIdentity(2, 2), start+2e9, 1.5))
	again := *wrong
	again.Identity = penstock.SequenceIdentity(1, 3)
	settle(7, &again)
	discard := penstock.Delivery{Position: 8, Decision: &penstock.Decision{Verb: penstock.Discard, Controller: wrong.Controller, Number: 1}}
	if what, err := h.Settle(t.Context(), []penstock.Delivery{discard}, 8); err != nil || what[0] != penstock.Discarded {
		t.Fatal(what, err)
	}
	rows := map[string][]byte{}
	if err := h.store.Scan(layout.Meta.First()[:1], store.After(layout.Meta.First()[:1]), func(key, value []byte) error {
		rows[string(key)] = value
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	h.close(t)
	return rows
}

// FuzzOpen puts any row among those of a historian: it opens and works, or says
// in a code what is wrong.
func FuzzOpen(f *testing.F) {
	rows := rowsOfAHistorian(f)
	for key, value := range rows {
		f.Add([]byte(key[1:]), value)
	}
	keys, err := keyring.Open(vfs.NewMem(), "/", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		s, err := store.Open(store.Options{FS: vfs.NewMem(), Dir: "db", Keyring: keys, Cache: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close() // nothing in it is kept
		all := maps.Clone(rows)
		all[string(layout.Meta.First()[:1])+string(key)] = value
		b := s.NewBatch()
		for key, value := range all {
			b.Set([]byte(key), value)
		}
		if err := s.Commit(b); err != nil {
			t.Fatal(err)
		}
		h, err := historian.Open(historian.Options{Store: s})
		if err == nil {
			err = errors.Join(useAll(t, h), h.Close())
		}
		if err == nil {
			return
		}
		if code := penstock.CodeOf(err); code != penstock.Corrupt && code != penstock.Unsupported && code != penstock.Unavailable {
			t.Fatalf("code %v of %v", code, err)
		}
	})
}

// useAll asks a historian for all that it has, and settles something.
func useAll(t *testing.T, h *historian.Historian) error {
	for _, s := range h.Series(historian.Selector{Scope: penstock.Scope{"*"}}) {
		if _, _, err := h.Latest(t.Context(), s.ID); err != nil {
			return fmt.Errorf("latest: %w", err)
		}
		for _, err := range h.Samples(t.Context(), s.ID, math.MinInt64, math.MaxInt64) {
			if err != nil {
				return fmt.Errorf("samples: %w", err)
			}
		}
	}
	if _, err := h.Quarantined(t.Context(), 0, 100); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	if err := h.Settled(func(string, uint64, *interval.Set) bool { return true }); err != nil {
		return fmt.Errorf("settled: %w", err)
	}
	p := h.Through()
	ds := []penstock.Delivery{
		{Position: p, Report: flow(penstock.KeyIdentity("k"), start, 2)},
		{Position: p, Report: flow(penstock.Identity{Form: penstock.Natural}, start+1e9, 2)},
		{Position: p, Report: flow(penstock.SequenceIdentity(9, 1), start+3e9, 2)},
		{Position: p + 1, Decision: &penstock.Decision{Verb: penstock.Retry, Controller: "pump-17"}},
	}
	if _, err := h.Settle(t.Context(), ds, p); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	return h.Flush(t.Context())
}
