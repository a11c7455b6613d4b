package spool_test

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/testkit/crashfs"
)

func readFile(t testing.TB, fs vfs.FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t testing.TB, fs vfs.FS, path string, b []byte) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(bytes.Clone(b)); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, fs vfs.FS, path string) {
	t.Helper()
	if err := fs.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// tree lists all files of the spool with a checksum of their bytes.
func tree(t testing.TB, fs vfs.FS) string {
	t.Helper()
	var out strings.Builder
	for _, d := range []string{dir, dir + "/aside"} {
		names, err := fs.List(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if name == "aside" || name == "LOCK" {
				continue
			}
			b := readFile(t, fs, d+"/"+name)
			fmt.Fprintf(&out, "%s/%s %d %08x\n", d, name, len(b), crc32.ChecksumIEEE(b))
		}
	}
	return out.String()
}

// longLog returns a disk with a log of several segments, all closed in order.
func longLog(t testing.TB, k *keyring.Keyring) *crashfs.FS {
	fs := crashfs.New()
	s, _ := open(t, options(fs, k))
	for i := range 20 {
		put(t, s, numberedEntry(i, 11000))
	}
	s.Close()
	return fs
}

func seg(n int) string { return fmt.Sprintf("%s/%016x.seg", dir, n) }

// setHeader changes a byte in both headers of a segment and mends their
// checksums.
func setHeader(t testing.TB, fs vfs.FS, path string, at int, v byte) {
	b := readFile(t, fs, path)
	for _, off := range []int{0, 4096} {
		h := b[off : off+512]
		h[at] = v
		sum := crc32.Checksum(h[:508], crc32.MakeTable(crc32.Castagnoli))
		copy(h[508:], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	}
	writeFile(t, fs, path, b)
}

// TestRefusesWhatIsNotWhole: a log that lacks something, or is of another node
// or version, is refused with a word that helps, and nothing is changed.
func TestRefusesWhatIsNotWhole(t *testing.T) {
	k := newKeys(t)
	for _, tc := range []struct {
		name  string
		spoil func(t *testing.T, fs *crashfs.FS)
		code  penstock.Code
		word  string
		loss  string // what is delivered as damaged when the loss is accepted; empty: still refused
	}{
		{"first segment missing", func(t *testing.T, fs *crashfs.FS) { remove(t, fs, seg(1)) },
			penstock.Corrupt, "positions 1 to 5 are missing", "none"},
		{"middle segment missing", func(t *testing.T, fs *crashfs.FS) { remove(t, fs, seg(2)) },
			penstock.Corrupt, "segment 0000000000000002 is missing", "6-10"},
		{"segment of length 0", func(t *testing.T, fs *crashfs.FS) { writeFile(t, fs, seg(2), nil) },
			penstock.Corrupt, "Nothing was changed", "6-10"},
		{"both headers damaged", func(t *testing.T, fs *crashfs.FS) {
			b := readFile(t, fs, seg(2))
			b[40] ^= 1
			b[4096+40] ^= 1
			writeFile(t, fs, seg(2), b)
		}, penstock.Corrupt, "checksum of its header", "6-10"},
		{"segment with the name of another", func(t *testing.T, fs *crashfs.FS) {
			writeFile(t, fs, seg(9), readFile(t, fs, seg(2)))
		}, penstock.Corrupt, "renamed or copied by hand", "none"},
		{"newer version", func(t *testing.T, fs *crashfs.FS) { setHeader(t, fs, seg(4), 8, 2) },
			penstock.Unsupported, "use the newer penstock", ""},
		{"unknown feature", func(t *testing.T, fs *crashfs.FS) { setHeader(t, fs, seg(1), 15, 1) },
			penstock.Unsupported, "features 00000001", ""},
		{"another node", func(t *testing.T, fs *crashfs.FS) { setHeader(t, fs, seg(1), 16, 0xee) },
			penstock.Corrupt, "keyring is that of node", "none"},
		{"segments that go back", func(t *testing.T, fs *crashfs.FS) { setHeader(t, fs, seg(4), 47, 2) },
			penstock.Corrupt, "two histories", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fs := longLog(t, k)
			tc.spoil(t, fs)
			before := tree(t, fs)
			_, _, err := spool.Open(options(fs, k))
			wantCode(t, err, tc.code, tc.word)
			if after := tree(t, fs); after != before {
				t.Fatalf("a refusal changed\n%s\nto\n%s", before, after)
			}
			o := options(fs, k)
			o.AcceptLoss = true
			s, r, err := spool.Open(o)
			if tc.loss == "" {
				wantCode(t, err, tc.code, tc.word)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var lost []string
			for _, rec := range readAll(t, s, 0) {
				if rec.Damaged {
					lost = append(lost, fmt.Sprintf("%d-%d", rec.First, rec.Last))
				}
			}
			if tc.loss == "none" {
				lost = append(lost, "none")
			}
			// The last of the lost entries is known from the next segment, so it
			// comes as a record of its own.
			if got := strings.Join(lost, " "); got != tc.loss && got != "6-9 10-10" || len(r.Notes) == 0 {
				t.Fatalf("lost %q, want %q; notes %q", got, tc.loss, r.Notes)
			}
			if p := put(t, s, entry("x")); p <= 10 {
				t.Fatalf("position %d was given again", p)
			}
		})
	}
}

func TestOtherKeysAreRefused(t *testing.T) {
	fs := longLog(t, newKeys(t))
	before := tree(t, fs)
	_, _, err := spool.Open(options(fs, newKeys(t)))
	wantCode(t, err, penstock.Corrupt, "keyring is that of node")
	if tree(t, fs) != before {
		t.Fatal("a refusal changed the spool")
	}
}

func TestStrangeFilesAreLeftAlone(t *testing.T) {
	keys := newKeys(t)
	fs := longLog(t, keys)
	writeFile(t, fs, dir+"/0000000000000002 (1).seg", []byte("copy"))
	writeFile(t, fs, dir+"/00000000000000AB.seg", []byte("upper case"))
	writeFile(t, fs, dir+"/0000000000000005.zero", []byte("left over"))
	_, r := open(t, options(fs, keys))
	if len(r.Notes) != 2 || !strings.Contains(r.Notes[0], "left alone") {
		t.Fatalf("notes %q", r.Notes)
	}
	for _, name := range []string{"0000000000000002 (1).seg", "00000000000000AB.seg"} {
		if len(readFile(t, fs, dir+"/"+name)) == 0 {
			t.Fatal("a strange file was changed")
		}
	}
}

func TestOneProcessAtATime(t *testing.T) {
	fs, k := crashfs.New(), newKeys(t)
	s, _ := open(t, options(fs, k))
	_, _, err := spool.Open(options(fs, k))
	wantCode(t, err, penstock.Unavailable, "another penstock")
	s.Close()
	open(t, options(fs, k))
}

func TestLimits(t *testing.T) {
	fs, k := crashfs.New(), newKeys(t)
	o := options(fs, k)
	o.PendingBytes = 30000
	s, _ := open(t, o)
	wantCode(t, (<-submit(s, spool.Entry{Data: make([]byte, 20000)})).err, penstock.TooLarge)
	wantCode(t, (<-submit(s, spool.Entry{Digest: make([]byte, 256)})).err, penstock.TooLarge)
	if err := s.Append(nil, nil); err == nil {
		t.Fatal("an empty call was taken")
	}
	for _, bad := range []spool.Options{
		{FS: fs, Dir: dir, Keyring: k, SegmentBytes: 1000},
		{FS: fs, Dir: dir, Keyring: k, QuotaBytes: 1 << 20},
		{Dir: dir, Keyring: k},
	} {
		if _, _, err := spool.Open(bad); err == nil {
			t.Fatalf("opened with %+v", bad)
		}
	}
	// While a sync hangs, what waits is bounded.
	hang := make(chan struct{})
	if err := s.Append([]spool.Entry{entry("a")}, func(penstock.Position, error) { <-hang }); err != nil {
		t.Fatal(err)
	}
	taken, refused := 0, error(nil)
	for refused == nil && taken < 100 {
		if refused = s.Append([]spool.Entry{{Data: make([]byte, 9000)}}, func(penstock.Position, error) {}); refused == nil {
			taken++
		}
	}
	close(hang)
	wantCode(t, refused, penstock.Full)
	if taken != 3 || penstock.RetryAfterOf(refused) == 0 {
		t.Fatalf("%d calls waited, retry after %v", taken, penstock.RetryAfterOf(refused))
	}
}

// TestFullDiskAtStart: the space of the segment that the last process had ready
// lets the next one start.
func TestFullDiskAtStart(t *testing.T) {
	fs, keys := crashfs.New(), newKeys(t)
	s, _ := open(t, options(fs, keys))
	put(t, s, entry("a"))
	until(t, "a segment is ready", func() bool { return strings.Contains(tree(t, fs), ".zero 65536") })
	s.Close()
	u, _ := fs.GetDiskUsage("/")
	fs.SetCapacity(int64(u.UsedBytes))
	s, _ = open(t, options(fs, keys))
	put(t, s, entry("b"))
	if got := texts(readAll(t, s, 0)); got != "1 a\n2 b" {
		t.Fatal(got)
	}
}

// TestFullRefusesAndRecovers: at the quota and on a full disk entries are
// refused with a time to wait, reading goes on, and room alone mends it.
func TestFullRefusesAndRecovers(t *testing.T) {
	for _, how := range []string{"quota", "disk"} {
		t.Run(how, func(t *testing.T) {
			fs, k := crashfs.New(), newKeys(t)
			o := options(fs, k)
			if how == "quota" {
				o.QuotaBytes = 4 * small
			} else {
				fs.SetCapacity(4*small + 8000)
			}
			s, _ := open(t, o)
			var last outcome
			n := 0
			for ; last.err == nil && n < 100; n++ {
				last = <-submit(s, numberedEntry(n, 11000))
			}
			wantCode(t, last.err, penstock.Full)
			if penstock.RetryAfterOf(last.err) == 0 {
				t.Fatal("the refusal does not say when to try again")
			}
			if st := s.State(); st.Health != spool.Refusing || st.Why == nil || st.Since.IsZero() {
				t.Fatalf("state %+v", st)
			}
			if got := len(readAll(t, s, 0)); got != n-1 {
				t.Fatalf("%d of %d entries can be read while full", got, n-1)
			}
			for range 2 {
				if err := s.WriteSnapshot(s.Durable(), []byte("state")); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Release(s.Durable()); err != nil {
				t.Fatal(err)
			}
			until(t, "entries are taken again", func() bool { return s.State().Health == spool.Healthy })
			if p := put(t, s, entry("again")); int(p) != n {
				t.Fatalf("position %d, want %d", p, n)
			}
		})
	}
}

// TestSnapshots: the newest readable one counts, the last two are kept, and
// segments go only when both cover them.
func TestSnapshots(t *testing.T) {
	fs, k := crashfs.New(), newKeys(t)
	s, _ := open(t, options(fs, k))
	_, _, err := s.Snapshot()
	wantCode(t, err, penstock.NotFound)
	for i := range 12 {
		put(t, s, numberedEntry(i, 11000))
	}
	if err := s.WriteSnapshot(13, nil); err == nil {
		t.Fatal("a snapshot of what is not durable was taken")
	}
	for _, n := range []penstock.Position{5, 11, 12} {
		if err := s.WriteSnapshot(n, bytes.Repeat([]byte{byte(n)}, 3<<20)); err != nil {
			t.Fatal(err)
		}
		if err := s.Release(12); err != nil {
			t.Fatal(err)
		}
		if want := map[penstock.Position]penstock.Position{5: 1, 11: 6, 12: 11}[n]; s.First() != want {
			t.Fatalf("after the snapshot through %d the log starts at %d, want %d", n, s.First(), want)
		}
	}
	wantCode(t, func() error { _, err := s.NewReader(1).Next(1); return err }(), penstock.NotFound, "released")
	s.Close()
	newest := fmt.Sprintf("%s/%016x.snap", dir, 3)
	for _, tc := range []struct {
		name  string
		spoil func(b []byte) []byte
	}{
		{"a bit", func(b []byte) []byte { b[2<<20] ^= 4; return b }},
		{"cut", func(b []byte) []byte { return b[:1<<20] }},
		{"empty", func([]byte) []byte { return nil }},
		{"header", func(b []byte) []byte { b[70] ^= 1; return b }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			after := fs.Now().Crash(crashfs.Choice{})
			writeFile(t, after, newest, tc.spoil(readFile(t, after, newest)))
			s, r := open(t, options(after, k))
			through, data, err := s.Snapshot()
			if err != nil || through != 11 || len(data) != 3<<20 || data[0] != 11 {
				t.Fatalf("snapshot through %d, %v", through, err)
			}
			if len(r.Notes) != 1 {
				t.Fatalf("notes %q", r.Notes)
			}
			if err := s.WriteSnapshot(12, []byte("x")); err != nil {
				t.Fatal(err)
			}
			if err := s.Release(12); err != nil {
				t.Fatal(err)
			}
			if len(readFile(t, after, newest)) == 0 && tc.name != "empty" {
				t.Fatal("what cannot be read was deleted")
			}
		})
	}
	t.Run("newest segments missing", func(t *testing.T) {
		after := fs.Now().Crash(crashfs.Choice{})
		remove(t, after, seg(3))
		_, _, err := spool.Open(options(after, k))
		wantCode(t, err, penstock.Corrupt, "Nothing was changed")
	})
}

// TestDigestsFillSegments: digests that are as large as their entries still
// leave room for what follows.
func TestDigestsFillSegments(t *testing.T) {
	fs, k := crashfs.New(), newKeys(t)
	s, _ := open(t, options(fs, k))
	var call []spool.Entry
	for range 40 {
		call = append(call, spool.Entry{Digest: bytes.Repeat([]byte{7}, spool.MaxDigest)})
	}
	var waiting []<-chan outcome
	for range 40 {
		waiting = append(waiting, submit(s, call...))
	}
	for i, w := range waiting {
		if o := <-w; o.err != nil || int(o.first) != 1+40*i {
			t.Fatalf("call %d: %+v", i, o)
		}
	}
	if got := len(readAll(t, s, 0)); got != 1600 {
		t.Fatalf("%d entries", got)
	}
}

// TestNewestSegmentUnreadable: what it held is not known, so with the loss
// accepted the log goes on behind all that it can have held.
func TestNewestSegmentUnreadable(t *testing.T) {
	k := newKeys(t)
	fs := longLog(t, k)
	writeFile(t, fs, seg(4), nil)
	_, _, err := spool.Open(options(fs, k))
	wantCode(t, err, penstock.Corrupt, "Nothing was changed")
	o := options(fs, k)
	o.AcceptLoss = true
	s, _ := open(t, o)
	if p := put(t, s, entry("x")); p <= 1<<29 {
		t.Fatalf("position %d may have been given before", p)
	}
	recs := readAll(t, s, 0)
	if n := len(recs); n != 17 || !recs[15].Damaged || recs[15].First != 16 {
		t.Fatalf("%d records, %+v", n, recs[len(recs)-2])
	}
	if len(readFile(t, fs, seg(4))) != 0 {
		t.Fatal("what cannot be read was changed")
	}
}

// TestOldSegmentsAreNotTouched: a process never writes to a segment of an
// earlier one, so that no key and nonce can come twice.
func TestOldSegmentsAreNotTouched(t *testing.T) {
	fs, k := crashfs.New(), newKeys(t)
	s, _ := open(t, options(fs, k))
	put(t, s, entry("a"))
	killed := fs.Now().Kill()
	before := readFile(t, killed, firstSegment)
	s, _ = open(t, options(killed, k))
	put(t, s, entry("b"))
	if _, err := killed.Stat(firstSegment); err == nil && !bytes.Equal(before, readFile(t, killed, firstSegment)) {
		t.Fatal("a segment of an earlier process was changed")
	}
	if got := texts(readAll(t, s, 0)); got != "1 a\n2 b" {
		t.Fatal(got)
	}
}
