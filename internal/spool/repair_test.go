package spool_test

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/spool/inspect"
	"github.com/penstock/penstock/internal/spool/repair"
	"github.com/penstock/penstock/internal/testkit/crashfs"
)

const beside = "/data/beside"

func look(fs vfs.FS, k *keyring.Keyring) (*repair.Plan, error) {
	return repair.Look(repair.Options{FS: fs, Dir: dir, Beside: beside, Keyring: k, Now: time.Now})
}

// mend repairs a spool that is refused, and opens it.
func mend(t *testing.T, fs vfs.FS, k *keyring.Keyring) (*repair.Plan, *spool.Spool) {
	t.Helper()
	before := tree(t, fs)
	_, _, refused := spool.Open(options(fs, k))
	if refused == nil {
		t.Fatal("there is nothing to repair")
	}
	p, err := look(fs, k)
	if err != nil {
		t.Fatal(err)
	}
	if after := tree(t, fs); after != before {
		t.Fatalf("looking changed\n%s\nto\n%s", before, after)
	}
	if err := p.Do(); err != nil {
		t.Fatal(err)
	}
	s, _, err := spool.Open(options(fs, k))
	if err != nil {
		t.Fatalf("%v\nrefuses after\n%q: %v", refused, p.Steps, err)
	}
	t.Cleanup(func() { s.Close() })
	if again, err := look(fs, k); err != nil || len(again.Steps) > 0 {
		t.Errorf("repaired, and still to do: %v, %v", again, err)
	}
	return p, s
}

// lost returns which positions read as damaged, and how many entries are whole.
func lost(t *testing.T, s *spool.Spool) (ranges string, whole int) {
	var first, end penstock.Position
	for _, r := range append(readAll(t, s, 0), spool.Record{First: 1 << 60}) {
		if r.First != end || !r.Damaged {
			if end > first {
				ranges += fmt.Sprintf("%d-%d ", first, end-1)
			}
			first, end = r.First, r.First
		}
		if r.Damaged {
			end = r.Last + 1
			continue
		}
		if r.First == 1<<60 {
			break
		}
		if want := numberedEntry(int(r.Position-1), 11000); r.Position <= 20 && !bytes.Equal(r.Data, want.Data) {
			t.Errorf("position %d holds %.20q", r.Position, r.Data)
		}
		whole++
	}
	return strings.TrimSpace(ranges), whole
}

func TestRepair(t *testing.T) {
	k := newKeys(t)
	for _, tc := range []struct {
		name  string
		spoil func(t *testing.T, fs *crashfs.FS)
		loss  string
		whole int
		kept  string // file that is kept beside
	}{
		{"first segment missing", func(t *testing.T, fs *crashfs.FS) { remove(t, fs, seg(1)) }, "1-5", 15, ""},
		{"middle segment missing", func(t *testing.T, fs *crashfs.FS) { remove(t, fs, seg(2)) }, "6-10", 15, ""},
		{"two segments missing", func(t *testing.T, fs *crashfs.FS) { remove(t, fs, seg(2)); remove(t, fs, seg(3)) }, "6-15", 10, ""},
		{"segment of length 0", func(t *testing.T, fs *crashfs.FS) { writeFile(t, fs, seg(2), nil) }, "6-10", 15, seg(2)},
		{"both headers damaged", func(t *testing.T, fs *crashfs.FS) {
			b := readFile(t, fs, seg(2))
			b[40] ^= 1
			b[4096+40] ^= 1
			writeFile(t, fs, seg(2), b)
		}, "6-10", 15, seg(2)},
		{"segment with the name of another", func(t *testing.T, fs *crashfs.FS) {
			writeFile(t, fs, seg(9), readFile(t, fs, seg(2)))
		}, "", 20, seg(9)},
		{"another node", func(t *testing.T, fs *crashfs.FS) { setHeader(t, fs, seg(1), 16, 0xee) }, "1-5", 15, seg(1)},
		{"newest segment unreadable", func(t *testing.T, fs *crashfs.FS) { writeFile(t, fs, seg(4), nil) }, "16-536870927", 15, seg(4)},
		{"all segments unreadable", func(t *testing.T, fs *crashfs.FS) {
			for n := 1; n <= 4; n++ {
				writeFile(t, fs, seg(n), []byte("x"))
			}
		}, "1-2147483648", 0, seg(3)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fs := longLog(t, k)
			tc.spoil(t, fs)
			var original []byte
			if tc.kept != "" {
				original = readFile(t, fs, tc.kept)
			}
			p, s := mend(t, fs, k)
			if loss, whole := lost(t, s); loss != tc.loss || whole != tc.whole {
				t.Errorf("lost %s and has %d, not %s and %d, after\n%s", loss, whole, tc.loss, tc.whole, strings.Join(p.Steps, "\n"))
			}
			if tc.kept != "" && !bytes.Equal(readFile(t, fs, beside+strings.TrimPrefix(tc.kept, dir)), original) {
				t.Error("the original was changed")
			}
			at := put(t, s, entry("after"))
			s.Close()
			s, _ = open(t, options(fs, k)) // once is enough
			if got := readAll(t, s, at); len(got) != 1 || string(got[0].Data) != "after" {
				t.Errorf("read %s", texts(got))
			}
		})
	}
}

// TestRepairOfAnEndThatASnapshotKnows loses the newest segments.
func TestRepairOfAnEndThatASnapshotKnows(t *testing.T) {
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
	_, s = mend(t, fs, k)
	if loss, whole := lost(t, s); loss != "11-12" || whole != 10 {
		t.Errorf("lost %s and has %d", loss, whole)
	}
	if at := put(t, s, entry("x")); at != 13 {
		t.Errorf("position %d", at)
	}
}

// TestRepairRefuses names what no repair can mend, and changes nothing.
func TestRepairRefuses(t *testing.T) {
	k := newKeys(t)
	for _, tc := range []struct {
		name  string
		spoil func(t *testing.T, fs *crashfs.FS)
		code  penstock.Code
		word  string
	}{
		{"newer version", func(t *testing.T, fs *crashfs.FS) { setHeader(t, fs, seg(4), 8, 2) }, penstock.Unsupported, "use the newer penstock"},
		{"two histories", func(t *testing.T, fs *crashfs.FS) { setHeader(t, fs, seg(4), 47, 2) }, penstock.Corrupt, "only a person can tell"},
		{"no snapshot", func(t *testing.T, fs *crashfs.FS) {
			remove(t, fs, seg(1))
			writeFile(t, fs, dir+"/0000000000000001.snap", []byte("x"))
		}, penstock.Corrupt, "Restore a backup"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fs := longLog(t, k)
			tc.spoil(t, fs)
			before := tree(t, fs)
			_, err := look(fs, k)
			wantCode(t, err, tc.code, tc.word)
			if after := tree(t, fs); after != before {
				t.Errorf("a refusal changed\n%s\nto\n%s", before, after)
			}
		})
	}
	fs := longLog(t, k)
	s, _ := open(t, options(fs, k))
	p, err := look(fs, k)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, p.Do(), penstock.Conflict, "stop the gateway")
	s.Close()
}

// TestRepairWithoutSnapshots: the whole log tells again what no snapshot does.
func TestRepairWithoutSnapshots(t *testing.T) {
	k := newKeys(t)
	fs := longLog(t, k)
	s, _ := open(t, options(fs, k))
	if err := s.WriteSnapshot(20, []byte("state")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	writeFile(t, fs, dir+"/0000000000000001.snap", []byte("x"))
	p, err := look(fs, k)
	if err != nil || len(p.Steps) != 1 {
		t.Fatalf("%v: %v", err, p)
	}
	if err := p.Do(); err != nil {
		t.Fatal(err)
	}
	s, _ = open(t, options(fs, k))
	if _, _, err := s.Snapshot(); penstock.CodeOf(err) != penstock.NotFound {
		t.Errorf("a snapshot is there: %v", err)
	}
	if loss, whole := lost(t, s); loss != "" || whole != 20 {
		t.Errorf("lost %s and has %d", loss, whole)
	}
}

// badSectors is a disk that cannot read a part of a file.
type badSectors struct {
	vfs.FS
	path     string
	from, to int64
}

func (b badSectors) Unwrap() vfs.FS { return b.FS }

func (b badSectors) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := b.FS.Open(name, opts...)
	if err != nil || name != b.path {
		return f, err
	}
	info, err := f.Stat()
	if err != nil || info.Size() < b.to {
		return f, err
	}
	return badFile{f, b}, nil
}

type badFile struct {
	vfs.File
	bad badSectors
}

func (f badFile) ReadAt(p []byte, off int64) (int, error) {
	if off < f.bad.to && off+int64(len(p)) > f.bad.from {
		return 0, syscall.EIO
	}
	return f.File.ReadAt(p, off)
}

// TestRepairOfAFileThatCannotBeRead copies what can be read of a segment with bad
// sectors.
func TestRepairOfAFileThatCannotBeRead(t *testing.T) {
	k := newKeys(t)
	good := longLog(t, k)
	disk := badSectors{good, seg(4), 20 << 10, 21 << 10}
	_, _, err := spool.Open(options(disk, k))
	wantCode(t, err, penstock.Unavailable, "input/output error")
	p, err := look(disk, k)
	if err != nil || len(p.Steps) != 1 || !strings.Contains(p.Steps[0], "1024 bytes cannot be read") {
		t.Fatalf("%v: %v", err, p)
	}
	if err := p.Do(); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, options(good, k)) // the copy stands on good sectors
	if loss, whole := lost(t, s); loss != "17-17" || whole != 19 {
		t.Errorf("lost %s and has %d", loss, whole)
	}
	if _, err := good.Stat(beside + "/0000000000000004.seg"); err != nil {
		t.Error(err)
	}
}

// TestRepairIsCutOff cuts the power after every operation of a repair: another one
// goes on.
func TestRepairIsCutOff(t *testing.T) {
	k := newKeys(t)
	fs := longLog(t, k)
	remove(t, fs, seg(3))
	writeFile(t, fs, seg(2), []byte("x"))
	p, err := look(fs, k)
	if err != nil {
		t.Fatal(err)
	}
	begun := fs.Ops()
	if err := p.Do(); err != nil {
		t.Fatal(err)
	}
	fs.Sweep(begun, func(point *crashfs.Point) bool {
		after := point.Crash(crashfs.Choice{Keep: crashfs.All})
		p, err := look(after, k)
		if err == nil {
			err = p.Do()
		}
		if err != nil {
			t.Fatalf("after operation %d: %v", point.Op, err)
		}
		s, _, err := spool.Open(options(after, k))
		if err != nil {
			t.Fatalf("after operation %d: %v", point.Op, err)
		}
		defer s.Close()
		if loss, whole := lost(t, s); loss != "6-15" || whole != 10 {
			t.Fatalf("after operation %d: lost %s and has %d", point.Op, loss, whole)
		}
		return true
	})
	r, err := inspect.Verify(fs, dir, k)
	if err != nil || r.Sound() {
		t.Errorf("the loss does not show: %+v, %v", r, err)
	}
}
