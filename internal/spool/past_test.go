package spool_test

import (
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/testkit/crashfs"
)

// TestLogThatWasLost: the record knows positions that the directory does not;
// none of them is given again, now or at a later start.
func TestLogThatWasLost(t *testing.T) {
	fs, k := crashfs.New(), newKeys(t)
	o := options(fs, k)
	o.Past = 100
	s, r := open(t, o)
	if r.First != 101 || r.Last != 100 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "record stands at 100") {
		t.Fatalf("%+v", r)
	}
	if p := put(t, s, entry("a")); p != 101 {
		t.Fatalf("position %d", p)
	}
	s.Close()
	for range 2 { // without the record's word, as when it is not there yet
		s, r = open(t, options(fs, k))
		if r.First != 101 || r.Last != 101 || len(r.Notes) != 0 {
			t.Fatalf("%+v", r)
		}
		s.Close()
	}
}

// TestOldCopyOfTheLog: an old copy of the directory was put back. What it holds
// is kept, what it does not know is delivered as damaged, and its positions are
// not given again, also after a crash at any moment of the start.
func TestOldCopyOfTheLog(t *testing.T) {
	fs, k := crashfs.New(), newKeys(t)
	s, _ := open(t, options(fs, k))
	put(t, s, entry("a"))
	put(t, s, entry("b"))
	old := fs.Now().Kill()
	o := options(old, k)
	o.Past = 10
	s, r, err := spool.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Rewritten != 2 && r.Rewritten != 1 || r.Last != 10 {
		t.Fatalf("%+v", r)
	}
	if p := put(t, s, entry("c")); p != 11 {
		t.Fatalf("position %d", p)
	}
	want := "1 a\n2 b\ndamaged 3-10 []\n11 c"
	if got := texts(readAll(t, s, 0)); got != want {
		t.Fatalf("read %q, want %q", got, want)
	}
	s.Close()
	old.Sweep(0, func(p *crashfs.Point) bool {
		after := options(p.Crash(crashfs.Choice{Keep: crashfs.All}), k)
		after.Past = 10
		s, _, err := spool.Open(after)
		if err != nil {
			t.Fatalf("crash after operation %d: %v", p.Op, err)
		}
		defer s.Close()
		if pos := put(t, s, entry("d")); pos < 11 {
			t.Fatalf("crash after operation %d: position %d was given again", p.Op, pos)
		}
		got := texts(readAll(t, s, 0))
		if !strings.HasPrefix(got, "1 a\n2 b\ndamaged 3-10 []\n11 ") {
			t.Fatalf("crash after operation %d: read %q", p.Op, got)
		}
		return true
	})
}

// TestLostNewestSegments: with the loss accepted, the log goes on behind what a
// snapshot knows, and still does when all before is released.
func TestLostNewestSegments(t *testing.T) {
	fs, k := crashfs.New(), newKeys(t)
	s, _ := open(t, options(fs, k))
	for i := range 12 {
		put(t, s, numberedEntry(i, 11000))
	}
	if err := s.WriteSnapshot(12, []byte("state")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	remove(t, fs, seg(3))
	_, _, err := spool.Open(options(fs, k))
	wantCode(t, err, penstock.Corrupt, "newest segments are missing")
	o := options(fs, k)
	o.AcceptLoss = true
	s, r, err := spool.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Last != 12 || len(r.Notes) != 1 {
		t.Fatalf("%+v", r)
	}
	for i := range 12 {
		if p := put(t, s, numberedEntry(i, 11000)); int(p) != 13+i {
			t.Fatalf("position %d", p)
		}
	}
	recs := readAll(t, s, 0)
	if d := recs[10]; !d.Damaged || d.First != 11 || d.Last != 12 {
		t.Fatalf("record 10: %+v", d)
	}
	for range 2 {
		if err := s.WriteSnapshot(24, []byte("state")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Release(24); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s, _ = open(t, options(fs, k)) // the loss was released: no need to accept it again
	if p := put(t, s, entry("x")); p != 25 {
		t.Fatalf("position %d", p)
	}
}
