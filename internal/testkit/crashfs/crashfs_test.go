package crashfs_test

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock/internal/testkit/crashfs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, fs vfs.FS, path string) vfs.File {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	must(t, err)
	return f
}

func write(t testing.TB, f vfs.File, text string) {
	t.Helper()
	_, err := f.Write([]byte(text))
	must(t, err)
}

func syncDir(t testing.TB, fs vfs.FS, path string) {
	t.Helper()
	d, err := fs.OpenDir(path)
	must(t, err)
	must(t, d.Sync())
	must(t, d.Close())
}

// content returns a file's bytes, or "gone".
func content(t testing.TB, fs vfs.FS, path string) string {
	t.Helper()
	f, err := fs.Open(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return "gone"
	}
	must(t, err)
	b, err := io.ReadAll(f)
	must(t, err)
	return string(b)
}

var none, half, all = crashfs.Choice{}, crashfs.Choice{Keep: crashfs.Half, Tear: 1}, crashfs.Choice{Keep: crashfs.All}

func TestPowerCutKeepsWhatIsSynced(t *testing.T) {
	fs := crashfs.New()
	f := create(t, fs, "/a")
	write(t, f, "synced")
	must(t, f.Sync())
	now := func(c crashfs.Choice) string { return content(t, fs.Now().Crash(c), "/a") }
	if got := now(none); got != "gone" {
		t.Fatalf("a file without a durable name is %q", got)
	}
	syncDir(t, fs, "/")
	write(t, f, "12345678")
	for _, tc := range []struct {
		c    crashfs.Choice
		want string
	}{{none, "synced"}, {half, "synced1234"}, {all, "synced12345678"}} {
		if got := now(tc.c); got != tc.want {
			t.Errorf("%+v leaves %q, want %q", tc.c, got, tc.want)
		}
	}
	if got := content(t, fs.Now().Kill(), "/a"); got != "synced12345678" {
		t.Errorf("a kill leaves %q", got)
	}
	if got := content(t, fs.Now().Kill().Now().Crash(none), "/a"); got != "synced" {
		t.Errorf("a power cut after a kill leaves %q", got)
	}
	must(t, f.Sync())
	if got := now(none); got != "synced12345678" {
		t.Errorf("synced again and cut: %q", got)
	}
}

func TestOverwriteIsTakenBack(t *testing.T) {
	fs := crashfs.New()
	f := create(t, fs, "/a")
	write(t, f, strings.Repeat("0", 2048))
	must(t, f.Sync())
	syncDir(t, fs, "/")
	w, err := fs.OpenReadWrite("/a", vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = w.WriteAt([]byte(strings.Repeat("1", 1024)), 512)
	must(t, err)
	seen := map[string]bool{}
	for seed := range uint64(50) {
		got := content(t, fs.Now().Crash(crashfs.Choice{Keep: crashfs.Seeded, Tear: 512, Seed: seed}), "/a")
		if len(got) != 2048 || strings.Count(got[:512]+got[1536:], "0") != 1024 {
			t.Fatal("bytes outside of the write were harmed")
		}
		for _, at := range []int{512, 1024} {
			if s := got[at : at+512]; s != strings.Repeat(s[:1], 512) {
				t.Fatal("torn within a sector")
			}
		}
		seen[got[512:513]+got[1024:1025]] = true
	}
	if len(seen) != 4 {
		t.Fatalf("of four states only %v came", seen)
	}
}

func TestNamesAfterAPowerCut(t *testing.T) {
	fs := crashfs.New()
	must(t, fs.MkdirAll("/d", 0o700))
	syncDir(t, fs, "/")
	for _, name := range []string{"old", "gone"} {
		must(t, create(t, fs, "/d/"+name).Sync())
	}
	syncDir(t, fs, "/d")
	must(t, fs.Remove("/d/gone"))
	must(t, fs.Rename("/d/old", "/d/new"))
	must(t, fs.Link("/d/new", "/d/second"))
	names := func(c crashfs.Choice) string {
		l, err := fs.Now().Crash(c).List("/d")
		must(t, err)
		return strings.Join(l, " ")
	}
	if got := names(none); got != "gone old" {
		t.Errorf("none of the changes: %q", got)
	}
	if got := names(all); got != "new second" {
		t.Errorf("all of the changes: %q", got)
	}
	seen := map[string]bool{}
	for seed := range uint64(100) {
		seen[names(crashfs.Choice{Keep: crashfs.Seeded, Seed: seed})] = true
	}
	if len(seen) != 8 {
		t.Errorf("%d of 8 states came: %v", len(seen), seen)
	}
	syncDir(t, fs, "/d")
	if got := names(none); got != "new second" {
		t.Errorf("synced: %q", got)
	}
}

// TestFailedSyncLosesPages: the next sync succeeds and covers only what was
// written after the one that failed.
func TestFailedSyncLosesPages(t *testing.T) {
	fs := crashfs.New()
	f := create(t, fs, "/a")
	syncDir(t, fs, "/")
	fs.Inject(crashfs.Fault{Kind: crashfs.Sync, Path: "/a"})
	write(t, f, "lost")
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	must(t, f.Sync())
	write(t, f, "kept")
	must(t, f.Sync())
	if got := content(t, fs, "/a"); got != "lostkept" {
		t.Errorf("the process sees %q", got)
	}
	if got := content(t, fs.Now().Crash(none), "/a"); got != "\x00\x00\x00\x00kept" {
		t.Errorf("a power cut leaves %q", got)
	}
}

func TestFaultsAndCapacity(t *testing.T) {
	fs := crashfs.New()
	f := create(t, fs, "/a")
	fs.Inject(crashfs.Fault{Kind: crashfs.Write, Skip: 1, Times: 2, Err: syscall.ENOSPC})
	for i, want := range []bool{true, false, false, true} {
		_, err := f.Write([]byte("1234"))
		if (err == nil) != want || err != nil && !vfs.IsNoSpaceError(err) {
			t.Errorf("write %d: %v", i, err)
		}
	}
	fs.Inject(crashfs.Fault{Times: -1})
	for range 3 {
		if _, err := fs.List("/"); err == nil {
			t.Error("a fault for ever ended")
		}
	}
	fs.Heal()
	fs.SetCapacity(100)
	if _, err := f.Write(make([]byte, 200)); !vfs.IsNoSpaceError(err) {
		t.Errorf("beyond the capacity: %v", err)
	}
	u, err := fs.GetDiskUsage("/")
	must(t, err)
	if u.TotalBytes != 100 || u.AvailBytes+u.UsedBytes != 100 {
		t.Errorf("usage %+v", u)
	}
	must(t, fs.Flip("/a", 3))
	if got := content(t, fs, "/a")[0]; got != '1'^8 {
		t.Errorf("flipped to %q", got)
	}
}

func TestUnsafeFindsEarlyAnswers(t *testing.T) {
	fs := crashfs.New()
	f := create(t, fs, "/a.log")
	count := func() int {
		return len(fs.Unsafe(func(p string) bool { return p == "/a.log" }, func(m any) bool { return m == "ack" }))
	}
	write(t, f, "x")
	fs.Mark("ack") // neither bytes nor name
	fs.Mark("other")
	must(t, f.Sync())
	fs.Mark("ack") // no name
	syncDir(t, fs, "/")
	fs.Mark("ack") // good
	write(t, f, "y")
	fs.Mark("ack") // no bytes
	if got := count(); got != 4 {
		t.Fatalf("%d early answers found, want 4", got)
	}
}

// TestPebbleRunsAndCrashes: Pebble runs on it, and after a crash at any
// operation has all that it acknowledged.
func TestPebbleRunsAndCrashes(t *testing.T) {
	fs := crashfs.New()
	options := func(fs vfs.FS) *pebble.Options {
		return &pebble.Options{FS: fs, MemTableSize: 16 << 10, Logger: quiet{t}}
	}
	db, err := pebble.Open("/db", options(fs))
	must(t, err)
	for i := range 200 {
		must(t, db.Set(fmt.Appendf(nil, "key%04d", i), make([]byte, 300), pebble.Sync))
		fs.Mark(i)
	}
	must(t, db.Flush())
	must(t, db.Close())
	states := 0
	fs.Sweep(0, func(p *crashfs.Point) bool {
		if p.Op%17 != 0 || len(p.Marks) == 0 {
			return true
		}
		for seed := range uint64(2) {
			c := crashfs.Choice{Keep: crashfs.Keep(seed * 3), Tear: 512, Seed: seed + uint64(p.Op)}
			db, err := pebble.Open("/db", options(p.Crash(c)))
			if err != nil {
				t.Fatalf("operation %d (%s), %+v: %v", p.Op, p.Last, c, err)
			}
			for _, m := range p.Marks {
				_, closer, err := db.Get(fmt.Appendf(nil, "key%04d", m))
				if err != nil {
					t.Fatalf("operation %d (%s), %+v: key %v: %v", p.Op, p.Last, c, m, err)
				}
				must(t, closer.Close())
			}
			must(t, db.Close())
			states++
		}
		return true
	})
	t.Logf("%d states of %d operations", states, fs.Ops())
}

type quiet struct{ t *testing.T }

func (quiet) Infof(string, ...any)        {}
func (quiet) Errorf(string, ...any)       {}
func (q quiet) Fatalf(f string, a ...any) { q.t.Errorf(f, a...) }
