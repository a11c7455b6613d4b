package snapshot_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/spool/snapshot"
)

func node(t testing.TB) (*vfs.MemFS, *keyring.Keyring) {
	t.Helper()
	fs := vfs.NewMem()
	k, err := keyring.Open(fs, "/keys", nil)
	if err != nil {
		t.Fatal(err)
	}
	return fs, k
}

func TestSnapshotsComeBack(t *testing.T) {
	fs, k := node(t)
	for _, size := range []int{0, 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			want := bytes.Repeat([]byte{7}, size)
			f := snapshot.File{Serial: 4, Through: 9, Path: "/s"}
			n, err := snapshot.Write(fs, k, f, want, time.Unix(5, 0))
			if err != nil {
				t.Fatal(err)
			}
			got, err := snapshot.Read(fs, "/s", 4, k)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			seen, err := snapshot.Look(fs, "/s", 4, k)
			if f.Size = n; err != nil || seen != f {
				t.Fatalf("%+v, %v, want %+v", seen, err, f)
			}
			if _, err := snapshot.Read(fs, "/s", 5, k); penstock.CodeOf(err) != penstock.Corrupt {
				t.Fatalf("read under another serial: %v", err)
			}
		})
	}
}

// FuzzRead: a snapshot that can be read is the one that was written.
func FuzzRead(f *testing.F) {
	fs, k := node(f)
	if _, err := snapshot.Write(fs, k, snapshot.File{Serial: 1, Through: 9, Path: "/s"}, []byte("state"), time.Unix(5, 0)); err != nil {
		f.Fatal(err)
	}
	file, err := fs.Open("/s")
	if err != nil {
		f.Fatal(err)
	}
	whole, err := io.ReadAll(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:520])
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := fs.Create("/f", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(bytes.Clone(b)); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		if data, err := snapshot.Read(fs, "/f", 1, k); err == nil && (string(data) != "state" || !bytes.HasPrefix(b, whole)) {
			t.Fatalf("read %q, which nobody wrote", data)
		}
	})
}
