package slowdisk_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock/internal/app/slowdisk"
)

func sync(t *testing.T, fs vfs.FS) {
	t.Helper()
	f, err := fs.Create("x", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.SyncData(); err != nil {
		t.Fatal(err)
	}
}

// The store stands still while the lever is there, and says at the start that there
// is one.
func TestTheLever(t *testing.T) {
	lever := filepath.Join(t.TempDir(), "lever")
	var log bytes.Buffer
	fs := slowdisk.FS(vfs.NewMem(), lever, slog.New(slog.NewTextHandler(&log, nil)))
	if !strings.Contains(log.String(), lever) {
		t.Errorf("the log says %q", &log)
	}
	const slow = 200 * time.Millisecond
	if err := os.WriteFile(lever, []byte(slow.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	sync(t, fs)
	if took := time.Since(begun); took < 2*slow {
		t.Errorf("two syncs took %v", took)
	}
	if err := os.WriteFile(lever, []byte("1h"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(slow, func() { os.Remove(lever) })
	sync(t, fs) // goes on when the lever is gone
}

// Without a lever the store's file system is what it was, whatever the environment
// says.
func TestWithoutALever(t *testing.T) {
	lever := filepath.Join(t.TempDir(), "lever")
	if err := os.WriteFile(lever, []byte("1h"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PENSTOCK_BREAK_STORE", lever)
	disk := vfs.NewMem()
	if fs := slowdisk.FS(disk, "", slog.New(slog.DiscardHandler)); fs != vfs.FS(disk) {
		t.Errorf("it is %T", fs)
	}
}
