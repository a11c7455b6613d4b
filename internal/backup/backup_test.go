package backup_test

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/backup"
)

// archive returns a tar archive of the files, names and contents in turn.
func archive(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Size: int64(len(files[i+1])), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestNamesStayBelow(t *testing.T) {
	for _, name := range []string{"../x", "/etc/passwd", "spool/../../x", "spool", "kek", "other/x", "spool//x", `spool\x`} {
		_, err := backup.ReceiveArchive(vfs.NewMem(), "x.tar", bytes.NewReader(archive(t, name, "y")), nil)
		if err == nil || name != "kek" && penstock.CodeOf(err) != penstock.Corrupt {
			t.Errorf("%q was taken: %v", name, err)
		}
	}
	_, err := backup.ReceiveArchive(vfs.NewMem(), "x.tar", bytes.NewReader(archive(t, "spool/1", "y", "error", "no disk")), nil)
	if err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("the gateway's reason is lost: %v", err)
	}
	_, err = backup.ReceiveArchive(vfs.NewMem(), "x.tar", bytes.NewReader(archive(t, "spool/1", "y")), nil)
	if penstock.CodeOf(err) != penstock.Unavailable {
		t.Errorf("a stream without a manifest: %v", err)
	}
}

// FuzzReceive gives a command whatever a gateway could send. Nothing but a whole backup
// gets a name.
func FuzzReceive(f *testing.F) {
	f.Add(archive(f, "spool/1", "y", backup.ManifestName, `{"format":1,"files":[]}`))
	f.Add(archive(f, "spool/1", "y", backup.ManifestName, `{"format":1,"files":[{"path":"spool/1","size":1,"sha256":"a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa"}]}`))
	f.Add(archive(f, "kek", "penstock-kek-1 00", "error", "x"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		fs := vfs.NewMem()
		folder := backup.OpenFolder(fs, "backups")
		_, err := folder.Receive(bytes.NewReader(stream), backup.Base{}, nil)
		names, lerr := folder.List()
		if lerr != nil {
			t.Fatal(lerr)
		}
		if (err == nil) != (len(names) == 1) {
			t.Fatalf("%v: %v", names, err)
		}
		for _, name := range names {
			if v, err := backup.Verify(fs, folder.Path(name), nil); err != nil || len(v.Damage) > 0 {
				t.Fatalf("%+v, %v", v, err)
			}
		}
	})
}
