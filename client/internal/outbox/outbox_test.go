package outbox_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/client/internal/outbox"
	"github.com/penstock/penstock/internal/testkit/crashfs"
	"github.com/penstock/penstock/link"
)

// crashFiles is a directory on a disk that can crash.
type crashFiles struct{ fs *crashfs.FS }

const dir = "box"

func (c crashFiles) List() ([]string, error) { return c.fs.List(dir) }

func (c crashFiles) Open(name string, create bool) (outbox.File, error) {
	if create {
		return c.fs.Create(dir+"/"+name, vfs.WriteCategoryUnspecified)
	}
	return c.fs.Open(dir + "/" + name)
}

func (c crashFiles) Rename(from, to string) error { return c.fs.Rename(dir+"/"+from, dir+"/"+to) }
func (c crashFiles) Remove(name string) error     { return c.fs.Remove(dir + "/" + name) }

func (c crashFiles) Sync() error {
	d, err := c.fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func newDisk(t testing.TB) *crashfs.FS {
	disk := crashfs.New()
	if err := disk.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syncRoot(disk); err != nil {
		t.Fatal(err)
	}
	return disk
}

func syncRoot(disk *crashfs.FS) error {
	d, err := disk.OpenDir("/")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// epochs gives 1, 2, 3 …
type epochs struct {
	mu   sync.Mutex
	last uint64
}

func (e *epochs) next() (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	return e.last, nil
}

func options(files outbox.Files, e *epochs) outbox.Options {
	return outbox.Options{
		Files: files, Controller: "pump-17", MaxBytes: 256 << 10, NewEpoch: e.next, Log: slog.New(slog.DiscardHandler),
	}
}

func open(t testing.TB, o outbox.Options) *outbox.Outbox {
	t.Helper()
	b, err := outbox.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func samples(v int, padding int) []penstock.Sample {
	return []penstock.Sample{
		{Point: "level", SourceTime: int64(v) + 1, Value: penstock.IntValue(int64(v))},
		{Point: "note", SourceTime: int64(v) + 1, Value: penstock.TextValue(strings.Repeat("x", padding))},
	}
}

func put(t testing.TB, b *outbox.Outbox, v, padding int) penstock.Identity {
	t.Helper()
	id, err := b.Append(samples(v, padding))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// value returns what a report holds, -1 for an empty one.
func value(t testing.TB, encoded []byte, id penstock.Identity) int {
	t.Helper()
	var d link.Decoder
	var r penstock.Report
	rest, err := d.Decode(encoded, &r)
	if err != nil || len(rest) > 0 || r.Controller != "pump-17" || r.Identity != id {
		t.Fatalf("report %v reads as %v of %s, error %v", id, r.Identity, r.Controller, err)
	}
	if len(r.Samples) == 0 {
		return -1
	}
	return int(r.Samples[0].Value.Int())
}

// all settles the outbox epoch by epoch and returns what it offered.
func all(t testing.TB, b *outbox.Outbox) map[penstock.Identity]int {
	t.Helper()
	got := map[penstock.Identity]int{}
	for {
		epoch, first, next, newer := b.Bounds()
		for seq := first; seq < next; seq++ {
			id := penstock.SequenceIdentity(epoch, seq)
			encoded, ok := b.Read(epoch, seq, nil)
			if !ok {
				t.Fatalf("report %v within the bounds is not there", id)
			}
			got[id] = value(t, encoded, id)
		}
		if !newer {
			return got
		}
		b.Forget(epoch, next-1)
	}
}

func TestReportsComeBackUntilSettled(t *testing.T) {
	e := &epochs{}
	files := outbox.Directory(t.TempDir())
	b := open(t, options(files, e))
	for v := range 300 {
		id := put(t, b, v, 200)
		if id != penstock.SequenceIdentity(1, uint64(v)+1) {
			t.Fatalf("report %d has the identity %v", v, id)
		}
	}
	b.Forget(1, 120)
	for range 3 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = open(t, options(files, e))
	}
	b.Forget(1, 120)
	epoch, first, next, newer := b.Bounds()
	if epoch != 1 || first != 121 || next != 301 || newer {
		t.Fatalf("bounds %d %d %d %v", epoch, first, next, newer)
	}
	for id, v := range all(t, b) {
		if v != int(id.Seq)-1 {
			t.Errorf("report %v holds %d", id, v)
		}
	}
	b.Forget(1, 300)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, options(files, e)) // empty, and yet it knows where to go on
	defer b.Close()
	if id := put(t, b, 1, 0); id != penstock.SequenceIdentity(1, 301) {
		t.Errorf("after all was settled the next report is %v", id)
	}
	if names, err := files.List(); err != nil || len(names) > 4 {
		t.Errorf("%q are left, error %v", names, err)
	}
}

func TestCallersShareASync(t *testing.T) {
	disk := newDisk(t)
	b := open(t, options(crashFiles{disk}, &epochs{}))
	defer b.Close()
	var work sync.WaitGroup
	var mu sync.Mutex
	seen := map[penstock.Identity]bool{}
	for v := range 64 {
		work.Go(func() {
			id, err := b.Append(samples(v, 10))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if seen[id] {
				t.Errorf("%v was given out twice", id)
			}
			seen[id] = true
		})
	}
	work.Wait()
	if _, _, next, _ := b.Bounds(); next != 65 {
		t.Errorf("next is %d", next)
	}
}

func TestFullOutboxRefuses(t *testing.T) {
	b := open(t, options(outbox.Directory(t.TempDir()), &epochs{}))
	defer b.Close()
	kept := 0
	for {
		_, err := b.Append(samples(kept, 4000))
		if err != nil {
			if penstock.CodeOf(err) != penstock.Full || penstock.RetryAfterOf(err) == 0 {
				t.Fatal(err)
			}
			break
		}
		kept++
	}
	if s := b.Stats(); s.Bytes > 256<<10 || s.Waiting != uint64(kept) || kept < 50 {
		t.Fatalf("%d were kept: %+v", kept, s)
	}
	b.Forget(1, uint64(kept))
	if id := put(t, b, 1, 4000); id.Seq != uint64(kept)+1 {
		t.Errorf("the refused report took a number: %v", id)
	}
}

func TestFullOutboxDropsTheOldest(t *testing.T) {
	o := options(outbox.Directory(t.TempDir()), &epochs{})
	o.DropOldest = true
	b := open(t, o)
	const made = 500
	for v := range made {
		put(t, b, v, 4000)
	}
	check := func() {
		t.Helper()
		got, dropped := all(t, b), 0
		for seq := 1; seq <= made; seq++ {
			v, ok := got[penstock.SequenceIdentity(1, uint64(seq))]
			switch {
			case !ok:
				t.Fatalf("report %d is not offered at all", seq)
			case v == -1 && dropped == seq-1:
				dropped++
			case v != seq-1:
				t.Fatalf("report %d holds %d", seq, v)
			}
		}
		if s := b.Stats(); dropped < made/2 || dropped > made-30 || s.Waiting != uint64(made-dropped) || s.Bytes > 256<<10 {
			t.Fatalf("%d were dropped: %+v", dropped, s)
		}
	}
	check()
	if b.Stats().Dropped == 0 {
		t.Error("nothing was counted as dropped")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, o)
	defer b.Close()
	check()
}

func TestLimits(t *testing.T) {
	o := options(outbox.Directory(t.TempDir()), &epochs{})
	o.MaxReport = 1000
	b := open(t, o)
	_, err := b.Append(samples(1, 1000))
	wantCode(t, err, penstock.TooLarge)
	_, err = b.Append([]penstock.Sample{{Point: "", Value: penstock.IntValue(1)}})
	wantCode(t, err, penstock.Invalid)
	if id := put(t, b, 1, 0); id.Seq != 1 {
		t.Errorf("a refused report took a number: the next is %v", id)
	}
	b.Close()
	_, err = b.Append(samples(1, 0))
	wantCode(t, err, penstock.Closed)
	o.MaxBytes = 1
	_, err = outbox.Open(o)
	wantCode(t, err, penstock.Invalid)
}

func wantCode(t testing.TB, err error, want penstock.Code) {
	t.Helper()
	if err == nil || penstock.CodeOf(err) != want {
		t.Fatalf("error %v, want one of code %v", err, want)
	}
}

// Every damaged byte is noticed: what was lost is told as an empty report, and
// what follows gets a new epoch.
func TestDamageBeginsANewEpoch(t *testing.T) {
	from := t.TempDir()
	e := &epochs{}
	b := open(t, options(outbox.Directory(from), e))
	for v := range 40 {
		put(t, b, v, 2000)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := outbox.Directory(from).List()
	if err != nil || len(names) < 3 {
		t.Fatal(names, err)
	}
	for i, name := range names {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{0, 9, 20, 27, 28, 33, 36, 44, len(data) / 2, len(data) - 1} {
			t.Run(fmt.Sprintf("segment %d byte %d", i, at), func(t *testing.T) {
				to := t.TempDir()
				if err := os.CopyFS(to, os.DirFS(from)); err != nil {
					t.Fatal(err)
				}
				harmed := append([]byte(nil), data...)
				harmed[at] ^= 0x10
				if err := os.WriteFile(filepath.Join(to, name), harmed, 0o600); err != nil {
					t.Fatal(err)
				}
				files := outbox.Directory(to)
				b := open(t, options(files, &epochs{}))
				if id := put(t, b, 99, 0); id != penstock.SequenceIdentity(2, 1) {
					t.Errorf("the next report is %v", id)
				}
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
				b = open(t, options(files, &epochs{}))
				defer b.Close()
				for id, v := range all(t, b) {
					if v != -1 && id.Epoch == 1 && v != int(id.Seq)-1 || id.Epoch == 2 && v != 99 {
						t.Errorf("report %v holds %d", id, v)
					}
				}
				if id := put(t, b, 100, 0); id != penstock.SequenceIdentity(2, 2) {
					t.Errorf("after another start the next report is %v", id)
				}
				if _, err := os.Stat(filepath.Join(to, name+".damaged")); err != nil {
					t.Error("the damaged segment was not set aside")
				}
			})
		}
	}
}

func TestANewerProgramsOutboxIsRefused(t *testing.T) {
	files := outbox.Directory(t.TempDir())
	b := open(t, options(files, &epochs{}))
	put(t, b, 1, 0)
	b.Close()
	f, err := files.Open("0000000000000001.box", true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, newerHeader); err != nil {
		t.Fatal(err)
	}
	f.Close()
	_, err = outbox.Open(options(files, &epochs{}))
	wantCode(t, err, penstock.Unsupported)
}

// A report that is refused may be the first of a new segment; the next one that is
// kept has to survive all the same.
func TestARefusedReportSpoilsNoSegment(t *testing.T) {
	disk := newDisk(t)
	o := options(crashFiles{disk}, &epochs{})
	b := open(t, o)
	wrong := []penstock.Sample{{}} // it names no point
	for v := range 5 {
		if _, err := b.Append(wrong); penstock.CodeOf(err) != penstock.Invalid {
			t.Fatalf("a report that breaks a limit: %v", err)
		}
		put(t, b, v, 20_000) // fills its segment
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, o)
	defer b.Close()
	if got := all(t, b); len(got) != 5 || b.Stats().Damaged > 0 {
		t.Errorf("after a restart there are %v, and %+v", got, b.Stats())
	}
}

// When the write fails that was to drop the oldest report for a new one, nothing is
// dropped.
func TestAFailedWriteDropsNothing(t *testing.T) {
	disk := newDisk(t)
	o := options(crashFiles{disk}, &epochs{})
	o.DropOldest = true
	b := open(t, o)
	const large = 20_000
	n := 0
	for ; b.Stats().Bytes+large+1000 < o.MaxBytes; n++ {
		put(t, b, n, large)
	}
	disk.Inject(crashfs.Fault{Kind: crashfs.Sync, Path: ".box"})
	if _, err := b.Append(samples(n, large)); penstock.CodeOf(err) != penstock.Unavailable {
		t.Fatalf("a write that fails: %v", err)
	}
	last := put(t, b, n, 0) // there is room for this one
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, o)
	defer b.Close()
	got := all(t, b)
	if first := (penstock.SequenceIdentity(last.Epoch, 1)); len(got) != n+1 || got[first] != 0 || got[last] != n {
		t.Errorf("after a restart there are %v", got)
	}
}
