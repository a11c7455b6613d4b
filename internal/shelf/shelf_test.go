package shelf_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/shelf"
	"github.com/penstock/penstock/internal/store"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func openStore(t testing.TB, fs vfs.FS) *store.Store {
	t.Helper()
	keys, err := keyring.Open(fs, "keys", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(store.Options{FS: fs, Dir: "store", Keyring: keys})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func open(t testing.TB, st *store.Store, name string) *shelf.Shelf {
	t.Helper()
	s, err := shelf.Open(st, name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func report(text string) *penstock.Report {
	return &penstock.Report{
		Controller: "pump-1", Identity: penstock.KeyIdentity("k"), Fingerprint: 7, Source: "https", ReceivedTime: 1, AcceptedTime: 2,
		Samples: []penstock.Sample{{Point: "note", SourceTime: 3, Value: penstock.TextValue(text)}},
	}
}

// checkPlace checks what the test below has put down.
func checkPlace(t *testing.T, s *shelf.Shelf) {
	t.Helper()
	p := s.Place()
	if !p.Used || !p.Paused || p.Settled.Through(1) != 17 || p.Settled.Highest() != 30 || p.GivenUp.Count() != 2 || p.Books != (shelf.Books{Delivered: 5, Quarantined: 1, Dropped: 2}) {
		t.Errorf("the place is %+v", p)
	}
}

func TestAShelfOutlastsItsProcess(t *testing.T) {
	fs := vfs.NewMem()
	st := openStore(t, fs)
	s, other := open(t, st, "broker"), open(t, st, "other")
	large := strings.Repeat("x", penstock.MaxText)
	err := s.Save(shelf.Change{
		Edit: func(p *shelf.Place) {
			p.Used, p.Paused = true, true
			p.Settled.Add(1, 17)
			p.Settled.Add(20, 30)
			p.GivenUp.Add(2, 3)
			p.Books.Delivered, p.Books.Dropped = 5, 2
		},
		Put: []shelf.Held{{Reason: "a", By: "broker", Tries: 3, First: 10, Last: 20, Report: report(large)}, {Reason: "b", Report: report("b")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Save(shelf.Change{Remove: []uint64{2}}); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	st = openStore(t, fs)
	defer st.Close()
	s = open(t, st, "broker")
	checkPlace(t, s)
	held, err := s.List(0, 10)
	if err != nil || len(held) != 1 || held[0].Number != 1 || held[0].Tries != 3 || held[0].First != 10 || held[0].Report.Samples[0].Value.Text() != large ||
		held[0].Report.Source != "https" || held[0].Report.Fingerprint != 7 || held[0].Report.AcceptedTime != 2 {
		t.Errorf("in quarantine is %+v (%v)", held, err)
	}
	// The number of a report that left is not used again.
	if err := s.Save(shelf.Change{Put: []shelf.Held{{Report: report("c")}}}); err != nil {
		t.Fatal(err)
	}
	if held, err := s.List(2, 10); err != nil || len(held) != 1 || held[0].Number != 3 {
		t.Errorf("the next number: %+v (%v)", held, err)
	}
	if held, err := other.List(0, 10); penstock.CodeOf(err) != penstock.Closed || len(held) > 0 {
		t.Errorf("a shelf of a closed store has %+v (%v)", held, err)
	}
	if highest, err := shelf.Highest(st); err != nil || highest != 30 {
		t.Errorf("the highest position is %d (%v)", highest, err)
	}
}

func TestWhatLeftTheQuarantineStaysGone(t *testing.T) {
	st := openStore(t, vfs.NewMem())
	defer st.Close()
	s := open(t, st, "broker")
	if err := s.Save(shelf.Change{Put: []shelf.Held{{Report: report("a")}}}); err != nil {
		t.Fatal(err)
	}
	edited := false
	for _, c := range []shelf.Change{
		{Remove: []uint64{9}, Edit: func(p *shelf.Place) { edited = true; p.Books.Discarded++ }},
		{Put: []shelf.Held{{Number: 9, Report: report("a")}}},
	} {
		if err := s.Save(c); penstock.CodeOf(err) != penstock.NotFound {
			t.Errorf("a change to what is not there: %v", err)
		}
	}
	if p := s.Place(); !edited || p.Books != (shelf.Books{Quarantined: 1}) {
		t.Errorf("a change that failed left %+v", p.Books)
	}
}

// FuzzRows puts any bytes where a place and a report in quarantine stand: they are
// read, or refused with a code.
func FuzzRows(f *testing.F) {
	fs := vfs.NewMem()
	st := openStore(f, fs)
	f.Cleanup(func() { st.Close() })
	s := open(f, st, "broker")
	err := s.Save(shelf.Change{Edit: func(p *shelf.Place) { p.Settled.Add(1, 9) }, Put: []shelf.Held{{Reason: "why", By: "x", Report: report("a")}}})
	if err != nil {
		f.Fatal(err)
	}
	var keys [][]byte
	err = st.Scan([]byte{store.FirstFree + 1}, []byte{store.FirstFree + 2}, func(key, value []byte) error {
		keys = append(keys, key)
		f.Add(uint8(len(keys)-1), value)
		return nil
	})
	if err != nil || len(keys) != 2 {
		f.Fatal(len(keys), err)
	}
	f.Fuzz(func(t *testing.T, which uint8, value []byte) {
		key := keys[int(which)%len(keys)]
		before, _, err := st.Get(key)
		if err != nil {
			t.Fatal(err)
		}
		set := func(value []byte) {
			b := st.NewBatch()
			b.Set(key, value)
			if err := st.Commit(b); err != nil {
				t.Fatal(err)
			}
		}
		set(value)
		defer set(before)
		again, err := shelf.Open(st, "broker")
		if err == nil {
			_, err = again.List(0, 10)
		}
		if code := penstock.CodeOf(err); err != nil && code != penstock.Corrupt && code != penstock.Unsupported {
			t.Errorf("%v", err)
		}
	})
}
