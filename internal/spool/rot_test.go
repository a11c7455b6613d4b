package spool_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/spool/inspect"
	"github.com/penstock/penstock/internal/testkit/crashfs"
)

const firstSegment = dir + "/0000000000000001.seg"

// fullSegment returns a disk with one closed segment full of frames, and how
// many entries each of its frames has.
func fullSegment(t testing.TB, k *keyring.Keyring) (fs *crashfs.FS, perFrame int) {
	fs = crashfs.New()
	s, _ := open(t, options(fs, k))
	for i := 0; s.State().Segments == 1; i += 3 {
		var call []spool.Entry
		for n := range 3 {
			call = append(call, numberedEntry(i+n, 37*(i%20)))
		}
		put(t, s, call...)
	}
	s.Close()
	return fs, 3
}

// TestTortureEveryBitFlipped flips each bit of a segment of 64 KiB in turn: each is
// found, each costs at most one frame, whose digests are known, and nothing is
// deleted for it.
func TestTortureEveryBitFlipped(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	fs, perFrame := fullSegment(t, k)
	base := fs.Now()
	step := int64(1)
	if !torture() {
		step = 251
	}
	for bit := int64(0); bit < small*8; bit += step {
		after := base.Crash(crashfs.Choice{})
		if err := after.Flip(firstSegment, bit); err != nil {
			t.Fatal(err)
		}
		r, err := inspect.Verify(after, dir, k)
		if err != nil {
			t.Fatalf("bit %d: %v", bit, err)
		}
		if len(r.Damage) != 1 {
			t.Fatalf("bit %d: %d damages found: %+v", bit, len(r.Damage), r)
		}
		d := r.Damage[0]
		if d.From > bit/8 || d.To <= bit/8 {
			t.Fatalf("bit %d of byte %d: found %+v", bit, bit/8, d)
		}
		if lost := int(d.End - d.Lost); lost != 0 {
			if lost != perFrame || d.Digests.First != d.Lost || len(d.Digests.Each) != perFrame {
				t.Fatalf("bit %d: lost %+v", bit, d)
			}
			for i, digest := range d.Digests.Each {
				if want := fmt.Sprintf("digest %d", int(d.Lost)-1+i); string(digest) != want {
					t.Fatalf("bit %d: digest %q, want %q", bit, digest, want)
				}
			}
		}
		if bit%(step*64) == 0 || torture() && bit%64 == 0 {
			reopenRotten(t, after, k, r)
		}
	}
}

// reopenRotten opens a spool with rot in a closed segment: it starts, delivers
// the same damage and everything else, and leaves the file alone.
func reopenRotten(t *testing.T, fs *crashfs.FS, k *keyring.Keyring, want *inspect.Report) {
	t.Helper()
	s, _, err := spool.Open(options(fs, k))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := fs.Stat(firstSegment); err != nil {
		t.Fatal(err)
	}
	recs := readAll(t, s, 0)
	next := penstock.Position(1)
	var lost []spool.Record
	for _, r := range recs {
		if r.First != next {
			t.Fatalf("record %d follows %d", r.First, next-1)
		}
		next = r.Last + 1
		if r.Damaged {
			lost = append(lost, r)
		}
	}
	d := want.Damage[0]
	if next != s.Durable()+1 || len(lost) > 1 || (len(lost) == 1) != (d.End > d.Lost) {
		t.Fatalf("delivered as damaged: %+v, want %+v; ends at %d of %d", lost, d, next-1, s.Durable())
	}
	if len(lost) == 1 && (lost[0].First != d.Lost || lost[0].Last != d.End-1 || fmt.Sprint(lost[0].Digests) != fmt.Sprint(d.Digests.Each)) {
		t.Fatalf("delivered as damaged: %+v, want %+v", lost[0], d)
	}
}

// TestRotInTheLastSegment: in the segment that a crash left open a frame that
// was acknowledged is told from a torn one.
func TestRotInTheLastSegment(t *testing.T) {
	k := newKeys(t)
	for _, tc := range []struct {
		name  string
		frame int // the batch that rots
		mark  bool
		want  string
	}{
		{"acknowledged, a frame follows", 2, false, "1 a\ndamaged 2-2 [\"#b\"]\n3 c"},
		{"the last one, a mark follows", 3, true, "1 a\n2 b\ndamaged 3-3 [\"#c\"]"},
		{"the last one, nothing follows: as torn", 3, false, "1 a\n2 b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fs := crashfs.New()
			o := options(fs, k)
			s, _ := open(t, o)
			for _, text := range []string{"a", "b", "c"} {
				put(t, s, entry("%s", text))
			}
			after := fs.Now().Crash(crashfs.Choice{})
			if tc.mark {
				s.Close() // its seal says as much as a mark
				after = fs.Now().Crash(crashfs.Choice{})
			}
			if err := after.Flip(firstSegment, int64(4608+512*tc.frame+70)*8); err != nil {
				t.Fatal(err)
			}
			s2, r := open(t, options(after, k))
			if got := texts(readAll(t, s2, 0)); got != tc.want {
				t.Fatalf("read %q, want %q (%+v)", got, tc.want, r)
			}
			if torn := !strings.Contains(tc.want, "damaged"); torn != (len(r.Aside) == 1) {
				t.Fatalf("put aside: %q", r.Aside)
			}
			for _, path := range r.Aside {
				if _, err := after.Stat(path); err != nil {
					t.Fatal(err)
				}
			}
			if p := put(t, s2, entry("d")); int(p) != len(readAll(t, s2, 0)) {
				t.Fatalf("the next entry got position %d", p)
			}
		})
	}
}
