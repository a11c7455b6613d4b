package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/store"
)

// A dead store parks goroutines on purpose, and Pebble's own stay with it: the
// tests of death run in a process of their own.
const deathEnv = "PENSTOCK_TEST_STORE_DEATH"

func TestMain(m *testing.M) {
	if os.Getenv(deathEnv) != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

func openStore(t testing.TB, fs vfs.FS) *store.Store {
	t.Helper()
	s, err := store.Open(options(t, fs))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func options(t testing.TB, fs vfs.FS) store.Options {
	t.Helper()
	if err := fs.MkdirAll("keys", 0o700); err != nil {
		t.Fatal(err)
	}
	k, err := keyring.Open(fs, "keys", nil)
	if err != nil {
		t.Fatal(err)
	}
	return store.Options{FS: fs, Dir: "db", Keyring: k}
}

func closeStore(t testing.TB, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestTableKeepsRowsAcrossRestarts(t *testing.T) {
	fs := vfs.NewMem()
	want := map[string]string{}
	for round := range 4 {
		s := openStore(t, fs)
		table, other := s.Table("controllers"), s.Table("points")
		for i := range 20 {
			key, value := fmt.Sprintf("pump-%d", i), fmt.Sprintf("value %d", round)
			if i%4 == round {
				if err := table.Delete([]byte(key)); err != nil {
					t.Fatal(err)
				}
				delete(want, key)
				continue
			}
			if err := table.Put([]byte(key), []byte(value)); err != nil {
				t.Fatal(err)
			}
			want[key] = value
		}
		if err := other.Put([]byte("pump-1"), []byte("of another table")); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		err := table.Scan(func(key, value []byte) error { got[string(key)] = string(value); return nil })
		if err != nil || !maps.Equal(got, want) {
			t.Fatalf("round %d: %v, %v", round, got, err)
		}
		value, found, err := table.Get([]byte("pump-19"))
		if string(value) != want["pump-19"] || found != (want["pump-19"] != "") || err != nil {
			t.Errorf("Get: %q %v %v", value, found, err)
		}
		closeStore(t, s)
	}
}

func TestScanStopsAtTheCallersError(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	defer closeStore(t, s)
	table := s.Table("t")
	for i := range 3 {
		if err := table.Put([]byte{byte(i)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	calls, stop := 0, errors.New("enough")
	err := table.Scan(func(_, _ []byte) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestRowsHaveLimits(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	defer closeStore(t, s)
	if err := s.Table("t").Put(make([]byte, store.MaxTableKey+1), nil); penstock.CodeOf(err) != penstock.TooLarge {
		t.Errorf("key: %v", err)
	}
	if err := s.Table("t").Put(nil, make([]byte, store.MaxTableValue+1)); penstock.CodeOf(err) != penstock.TooLarge {
		t.Errorf("value: %v", err)
	}
	// Of many rows all are written, or none.
	rows := map[string][]byte{"a": []byte("1"), "b": []byte("2")}
	if err := s.Table("t").PutAll(rows); err != nil {
		t.Fatal(err)
	}
	rows["a"], rows["c"] = []byte("3"), make([]byte, store.MaxTableValue+1)
	if err := s.Table("t").PutAll(rows); penstock.CodeOf(err) != penstock.TooLarge {
		t.Errorf("one of many values: %v", err)
	}
	got := map[string]string{}
	err := s.Table("t").Scan(func(key, value []byte) error { got[string(key)] = string(value); return nil })
	if err != nil || !maps.Equal(got, map[string]string{"a": "1", "b": "2"}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestPagesAreTheWholeRangeOnce(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	defer closeStore(t, s)
	b := s.NewBatch()
	for i := range 100 {
		b.Set([]byte{store.FirstFree, byte(i)}, bytes.Repeat([]byte{byte(i)}, 10<<10))
	}
	if err := s.Commit(b); err != nil {
		t.Fatal(err)
	}
	c, err := s.NewCursor()
	if err != nil {
		t.Fatal(err)
	}
	b = s.NewBatch()
	b.DeleteRange([]byte{store.FirstFree, 10}, []byte{store.FirstFree, 20})
	if err := s.Commit(b); err != nil { // the cursor does not see it
		t.Fatal(err)
	}
	var got []int
	pages := 0
	for from := []byte{store.FirstFree}; from != nil; pages++ {
		page, err := c.Page(from, []byte{store.FirstFree, 60}, func(key []byte) store.Choice {
			switch {
			case key[1]%2 == 1:
				return store.Skip
			case key[1] == 50:
				return store.Stop
			}
			return store.Take
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Pairs {
			got = append(got, int(p.Key[1]))
		}
		from = page.Next
	}
	want := []int{}
	for i := 0; i < 50; i += 2 {
		want = append(want, i)
	}
	if !slices.Equal(got, want) || pages < 2 {
		t.Errorf("%d pages: %v", pages, got)
	}
	key, err := c.Seek([]byte{store.FirstFree, 7, 1}, []byte{store.FirstFree, 9})
	if err != nil || !bytes.Equal(key, []byte{store.FirstFree, 8}) {
		t.Errorf("Seek: %x %v", key, err)
	}
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Error(err)
	}
}

// TestFlushOfNothingIsNoFailure commits large batches, each of which makes Pebble
// flush the memory table before it: the second one's is empty.
func TestFlushOfNothingIsNoFailure(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	defer closeStore(t, s)
	for i := range 3 {
		b := s.NewBatch()
		b.Set([]byte{store.FirstFree, byte(i)}, make([]byte, 8<<20))
		if err := s.Commit(b); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{s.Compact(), s.Table("t").Put([]byte("k"), nil), s.Dead()} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestCloseEndsOpenCursors(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	c, err := s.NewCursor()
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if _, err := c.Page(nil, nil, nil); penstock.CodeOf(err) != penstock.Closed {
		t.Errorf("Page after Close: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close after the store's: %v", err)
	}
	if err := s.Table("t").Put(nil, nil); penstock.CodeOf(err) != penstock.Closed {
		t.Errorf("Put after Close: %v", err)
	}
}

func TestNamesAndValuesAreNotOnDisk(t *testing.T) {
	const canary = "canary-name-3141592"
	fs := vfs.NewMem()
	s := openStore(t, fs)
	if err := s.Table(canary).Put([]byte(canary), []byte(canary)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if files := grep(t, fs, "db", canary); len(files) > 0 {
		t.Errorf("found in %v", files)
	}
}

func TestValuesCannotChangePlaces(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, fs)
	a, b := []byte{store.FirstFree, 'a'}, []byte{store.FirstFree, 'b'}
	batch := s.NewBatch()
	batch.Set(a, []byte("one"))
	if err := s.Commit(batch); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	raw(t, fs, func(db *pebble.DB) {
		value, closer, err := db.Get(a)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(db.Set(b, value, pebble.Sync), closer.Close())
		if err != nil {
			t.Fatal(err)
		}
	})
	s = openStore(t, fs)
	defer closeStore(t, s)
	if v, _, err := s.Get(a); err != nil || string(v) != "one" {
		t.Errorf("a: %q %v", v, err)
	}
	if _, _, err := s.Get(b); penstock.CodeOf(err) != penstock.Corrupt {
		t.Errorf("a moved value: %v", err)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	for name, change := range map[string]func(db *pebble.DB) error{
		"version": func(db *pebble.DB) error {
			return db.Set([]byte{0, 'v'}, []byte("PSTO\x00\x02\x00\x00\x00\x00"), pebble.Sync)
		},
		"feature": func(db *pebble.DB) error {
			return db.Set([]byte{0, 'v'}, []byte("PSTO\x00\x01\x00\x00\x00\x01"), pebble.Sync)
		},
		"pebble": func(db *pebble.DB) error { return db.RatchetFormatMajorVersion(pebble.FormatNewest) },
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			closeStore(t, openStore(t, fs))
			raw(t, fs, func(db *pebble.DB) {
				if err := change(db); err != nil {
					t.Fatal(err)
				}
			})
			if _, err := store.Open(options(t, fs)); penstock.CodeOf(err) != penstock.Unsupported {
				t.Errorf("got %v", err)
			}
		})
	}
}

func raw(t *testing.T, fs vfs.FS, use func(*pebble.DB)) {
	t.Helper()
	db, err := pebble.Open("db", &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatTableFormatV6})
	if err != nil {
		t.Fatal(err)
	}
	use(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// grep returns the files under dir that hold text.
func grep(t *testing.T, fs vfs.FS, dir, text string) []string {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		if info, err := fs.Stat(path); err != nil || info.IsDir() {
			continue
		}
		f, err := fs.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var content bytes.Buffer
		if _, err := content.ReadFrom(f); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(content.String(), text) {
			found = append(found, name)
		}
	}
	return found
}

// failing returns a file system whose writes of files with the suffix fail once
// broken is set.
func failing(suffix string, cause error) (vfs.FS, *atomic.Bool) {
	broken := new(atomic.Bool)
	inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo, errorfs.OpCreate:
			if broken.Load() && strings.Contains(op.Path, suffix) {
				return cause
			}
		}
		return nil
	})
	return errorfs.Wrap(vfs.NewMem(), inject), broken
}

// within fails when fn takes suspiciously long: a dead store must answer at once.
func within(t *testing.T, what string, fn func()) {
	t.Helper()
	timer := time.AfterFunc(10*time.Second, func() { panic(what + " hangs") })
	defer timer.Stop()
	fn()
}
