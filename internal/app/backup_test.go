package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/copies"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/backup"
	"github.com/penstock/penstock/internal/historian"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/testkit"
)

// original is a node from which backups are made.
type original struct {
	t    *testing.T
	fs   vfs.FS
	node *node
	make *copies.Maker
	work sync.WaitGroup
	stop context.CancelFunc
}

func openOriginal(t *testing.T) *original {
	o := &original{t: t, fs: vfs.NewMem()}
	o.node = openFor(t, o.fs, "data")
	var err error
	o.make, err = copies.New(copies.Parts{
		FS: o.fs, Dir: "data", Keys: "data/keys", Keyring: o.node.ring, Spool: o.node.spool, Store: o.node.store, Historian: o.node.historian,
		Flush: o.node.fleet.Flush, Version: "test", Record: func() string { return settings.HistorianName },
		Config: func() (string, []string) { return "", nil }, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	o.stop = stop
	o.work.Go(func() {
		if err := o.node.sinks.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return o
}

func openFor(t *testing.T, fs vfs.FS, dir string) *node {
	t.Helper()
	c := settings.Default()
	c.Spool.Segment, c.Spool.Quota = 64<<10, 64<<20
	n, err := openNode(nodeOptions{config: c, fs: fs, dir: dir, log: slog.New(slog.DiscardHandler), now: time.Now})
	if err != nil {
		t.Fatalf("the node does not start: %v", err)
	}
	return n
}

func (o *original) close() {
	o.stop()
	o.work.Wait()
	if err := o.node.close(); err != nil {
		o.t.Error(err)
	}
}

func (o *original) admit(controller string, seq uint64) {
	k := reportKey{controller, seq}
	outcomes, err := o.node.intake.Admit([]intake.Judged{{Reports: []intake.Item{k.item()}}}).Wait(context.Background())
	if err != nil || outcomes[0].Err != nil || outcomes[0].Verdicts[0].Result != penstock.Accepted {
		o.t.Errorf("%v: %v, %+v", k, err, outcomes)
	}
}

// backup makes one through a pipe, as the admin socket does.
func (o *original) backup(folder backup.Folder) (backup.Received, error) {
	base, _, err := folder.Base()
	if err != nil {
		return backup.Received{}, err
	}
	r, w := io.Pipe()
	var sending sync.WaitGroup
	sending.Go(func() {
		w.CloseWithError(errors.Join(o.make.Send(context.Background(), w, backup.Order{Have: base.Have(), Key: true}), io.EOF))
	})
	got, err := folder.Receive(r, base, nil)
	r.Close()
	sending.Wait()
	return got, err
}

// TestBackupUnderLoad makes backups of a node that is written to, and expects of each
// that it starts, that its books balance, and that it holds exactly what the log held
// through its position.
func TestBackupUnderLoad(t *testing.T) {
	o := openOriginal(t)
	const controllers = 4
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for c := range controllers {
		load.Go(func() {
			for seq := uint64(1); ctx.Err() == nil && seq < 20_000; seq++ {
				o.admit(fmt.Sprintf("pump-%d", c), seq)
			}
		})
	}
	folder := backup.OpenFolder(o.fs, "backups")
	var made []backup.Received
	for i := range penstock.Position(4) {
		if _, err := o.node.spool.Wait(ctx, 400*(i+1)); err != nil {
			t.Fatal(err)
		}
		if err := o.node.checkpoint(time.Now()); err != nil { // which releases segments
			t.Fatal(err)
		}
		got, err := o.backup(folder)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, got)
	}
	stop()
	load.Wait()
	o.close()
	names, err := folder.List()
	if err != nil || len(names) != len(made) {
		t.Fatalf("%v %v", names, err)
	}
	for i, got := range made {
		if got.Manifest.Position < 400*penstock.Position(i+1) {
			t.Errorf("backup %d ends at %d", i, got.Manifest.Position)
		}
		checkRestored(t, o, folder.Path(names[i]), fmt.Sprintf("restored-%d", i), got)
	}
	gone, err := folder.Keep(1)
	if err != nil || len(gone) != len(made)-1 {
		t.Errorf("gave up %v: %v", gone, err)
	}
}

func checkRestored(t *testing.T, o *original, from, to string, got backup.Received) {
	t.Helper()
	v, err := backup.Restore(backup.Restoration{
		FS: o.fs, From: from, To: to, Now: time.Now,
		Key: func(string, []byte) (keyring.Key, error) { return got.Key, nil },
	})
	if err != nil || !v.Opened || len(v.Damage) > 0 || len(v.Notes) > 0 {
		t.Fatalf("%+v: %v", v, err)
	}
	n := openFor(t, o.fs, to)
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		if err := n.sinks.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	if n.spool.Durable() < got.Manifest.Position {
		t.Errorf("the restored log ends at %d, not %d", n.spool.Durable(), got.Manifest.Position)
	}
	if err := n.historian.Wait(ctx, got.Manifest.Position); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { total, _ := n.intake.Totals(); return total.Waiting == 0 }, "all is settled")
	total, _ := n.intake.Totals()
	// Each report has a position of its own, and no other entry came.
	if !total.Balanced() || total.Accepted != uint64(got.Manifest.Position) {
		t.Errorf("through position %d the books are %+v", got.Manifest.Position, total)
	}
	var stored uint64
	for _, s := range n.historian.Series(historian.Selector{Scope: penstock.Scope{"*"}}) {
		if s.Point != "note" {
			continue
		}
		for sample, err := range n.historian.Samples(ctx, s.ID, math.MinInt64, math.MaxInt64) {
			if err != nil {
				t.Fatal(err)
			}
			key := reportKey{s.Controller, uint64(sample.SourceTime)}
			if sample.Value != penstock.TextValue(fmt.Sprint(key)) {
				t.Errorf("%v holds %v", key, sample.Value)
			}
			stored++
		}
	}
	if stored != total.Stored {
		t.Errorf("%d reports can be read, and the books say %d", stored, total.Stored)
	}
	stop()
	work.Wait()
	if err := n.close(); err != nil {
		t.Error(err)
	}
}

// TestBackupIsIncremental expects that what did not change is neither sent nor stored
// again, and that a file of the backup before that has gone bad is sent anew.
func TestBackupIsIncremental(t *testing.T) {
	o := openOriginal(t)
	defer o.close()
	folder := backup.OpenFolder(o.fs, "backups")
	for seq := uint64(1); seq <= 1000; seq++ {
		o.admit("pump-1", seq)
	}
	first, err := o.backup(folder)
	if err != nil {
		t.Fatal(err)
	}
	second, err := o.backup(folder)
	if err != nil {
		t.Fatal(err)
	}
	if second.Sent > first.Sent/4 {
		t.Errorf("%d bytes of %d were sent again", second.Sent, first.Sent)
	}
	names, err := folder.List()
	if err != nil {
		t.Fatal(err)
	}
	rotten := first.Manifest.Files[0].Path
	flip(t, o.fs, o.fs.PathJoin(folder.Path(names[1]), rotten), 5000)
	base, damaged, err := folder.Base()
	if err != nil || len(damaged) != 1 || damaged[0].Path != o.fs.PathJoin(folder.Path(names[1]), rotten) {
		t.Fatalf("%v: %v, not %s", err, damaged, rotten)
	}
	for _, f := range base.Have() {
		if f.Path == rotten {
			t.Errorf("%s is taken for good", rotten)
		}
	}
	third, err := o.backup(folder)
	if err != nil {
		t.Fatal(err)
	}
	checkWhole(t, o, folder, third)
}

func checkWhole(t *testing.T, o *original, folder backup.Folder, got backup.Received) {
	t.Helper()
	v, err := backup.Verify(o.fs, folder.Path(backup.NameOf(got.Manifest.Time)), &got.Key)
	if err != nil || !v.Opened || len(v.Damage) > 0 {
		t.Errorf("%+v: %v", v, err)
	}
}

// flip turns a bit of a file around.
func flip(t *testing.T, fs vfs.FS, path string, at int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	at = min(at, info.Size()-1)
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// TestEveryFlippedBitIsFound turns a bit of every file of a backup around, one after
// the other, also of the manifest.
func TestEveryFlippedBitIsFound(t *testing.T) {
	o := openOriginal(t)
	for seq := uint64(1); seq <= 300; seq++ {
		o.admit("pump-1", seq)
	}
	folder := backup.OpenFolder(o.fs, "backups")
	got, err := o.backup(folder)
	o.close()
	if err != nil {
		t.Fatal(err)
	}
	dir := folder.Path(backup.NameOf(got.Manifest.Time))
	files := []backup.File{{Path: backup.ManifestName, Size: 400}, {Path: backup.SumName, Size: 80}}
	for i, f := range append(files, got.Manifest.Files...) {
		if f.Size == 0 {
			continue
		}
		path := o.fs.PathJoin(dir, f.Path)
		for _, at := range []int64{0, f.Size / 2, f.Size - 1} {
			flip(t, o.fs, path, at)
			v, err := backup.Verify(o.fs, dir, nil)
			if err != nil || len(v.Damage) != 1 {
				t.Errorf("byte %d of %s: %+v, %v", at, f.Path, v.Damage, err)
			}
			to := fmt.Sprintf("damaged-%d-%d", i, at)
			_, err = backup.Restore(backup.Restoration{FS: o.fs, From: dir, To: to, Now: time.Now, Key: func(string, []byte) (keyring.Key, error) { return got.Key, nil }})
			if penstock.CodeOf(err) != penstock.Corrupt {
				t.Errorf("byte %d of %s: it was restored: %v", at, f.Path, err)
			}
			flip(t, o.fs, path, at)
		}
	}
	checkWhole(t, o, folder, got)
}

// TestBackupToADiskThatFails fails every writing operation of the disk of the backup,
// one after the other: once, as a disk does that is full for a moment, and for good,
// as for a process that is killed, which cleans nothing up. No backup is there then, or
// a whole one, and the next attempt makes one.
func TestBackupToADiskThatFails(t *testing.T) {
	o := openOriginal(t)
	defer o.close()
	for seq := uint64(1); seq <= 30; seq++ {
		o.admit("pump-1", seq)
	}
	ways := []struct{ again, forGood bool }{{forGood: true}, {again: true}}
	if os.Getenv("PENSTOCK_TORTURE") != "" {
		ways = append(ways, struct{ again, forGood bool }{}, struct{ again, forGood bool }{true, true})
	}
	for _, way := range ways {
		for nth := int32(0); ; nth++ {
			if o.failAt(nth, way.again, way.forGood) {
				break
			}
		}
	}
}

// failAt fails an operation of a backup, and tells whether there was none.
func (o *original) failAt(nth int32, again, forGood bool) (over bool) {
	target := vfs.NewMem()
	folder := backup.OpenFolder(target, "backups")
	if again {
		if _, err := o.backup(folder); err != nil {
			o.t.Fatal(err)
		}
	}
	var count atomic.Int32
	failing := errorfs.Wrap(target, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		if n := count.Add(1) - 1; n == nth || forGood && n > nth {
			return syscall.ENOSPC
		}
		return nil
	}))
	_, err := o.backup(backup.OpenFolder(failing, "backups"))
	names, lerr := folder.List()
	if lerr != nil {
		o.t.Fatal(lerr)
	}
	for _, name := range names {
		if v, err := backup.Verify(target, folder.Path(name), nil); err != nil || len(v.Damage) > 0 {
			o.t.Fatalf("operation %d: %+v, %v", nth, v, err)
		}
	}
	if _, err := o.backup(folder); err != nil {
		o.t.Fatalf("after operation %d: %v", nth, err)
	}
	if err != nil && penstock.CodeOf(err) != penstock.Full {
		o.t.Errorf("operation %d: %v, which is no full disk", nth, err)
	}
	return count.Load() <= nth
}
