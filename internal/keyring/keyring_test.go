package keyring_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
)

func read(t *testing.T, fs vfs.FS, path string) []byte {
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

func write(t *testing.T, fs vfs.FS, path string, b []byte) {
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

func open(t *testing.T, fs vfs.FS) *keyring.Keyring {
	t.Helper()
	k, err := keyring.OpenApart(fs, "/data/keys", "/etc/keys", nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func wantCode(t *testing.T, err error, code penstock.Code, words ...string) {
	t.Helper()
	if err == nil || penstock.CodeOf(err) != code {
		t.Fatalf("error %v of code %v, want code %v", err, penstock.CodeOf(err), code)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Fatalf("error %q does not say %q", err, w)
		}
	}
}

func roots(t *testing.T) vfs.FS {
	t.Helper()
	fs := vfs.NewMem()
	for _, d := range []string{"/data", "/etc"} {
		if err := fs.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

func TestKeysSurviveReopening(t *testing.T) {
	fs := roots(t)
	k := open(t, fs)
	s, err := k.NewStream("test")
	if err != nil {
		t.Fatal(err)
	}
	sealed := s.Seal(nil, 7, []byte("reading"), []byte("bound"))
	if len(sealed) != len("reading")+s.Overhead() {
		t.Fatalf("sealed to %d bytes", len(sealed))
	}

	again := open(t, fs)
	if again.NodeID() != k.NodeID() || again.NodeID() == [16]byte{} {
		t.Fatalf("node id %x became %x", k.NodeID(), again.NodeID())
	}
	if n := again.Notes(); len(n) != 0 {
		t.Fatalf("notes of a whole keyring: %q", n)
	}
	s2, rest, err := again.OpenStream("test", append(s.Header(), "rest"...))
	if err != nil || string(rest) != "rest" {
		t.Fatalf("rest %q, %v", rest, err)
	}
	plain, err := s2.Open(nil, 7, sealed, []byte("bound"))
	if err != nil || string(plain) != "reading" {
		t.Fatalf("opened %q, %v", plain, err)
	}
	if other, _ := k.NewStream("test"); bytes.Equal(other.Header(), s.Header()) {
		t.Fatal("two streams have one salt, so one key")
	}
}

func TestSealBindsEverything(t *testing.T) {
	k := open(t, roots(t))
	s, err := k.NewStream("test")
	if err != nil {
		t.Fatal(err)
	}
	sealed := s.Seal(nil, 7, []byte("reading"), []byte("bound"))
	tries := map[string]func() error{
		"number": func() error { _, err := s.Open(nil, 8, sealed, []byte("bound")); return err },
		"aad":    func() error { _, err := s.Open(nil, 7, sealed, []byte("found")); return err },
		"short":  func() error { _, err := s.Open(nil, 7, sealed[:8], []byte("bound")); return err },
		"purpose": func() error {
			o, _, err := k.OpenStream("other", s.Header())
			if err != nil {
				return err
			}
			_, err = o.Open(nil, 7, sealed, []byte("bound"))
			return err
		},
	}
	for bit := range len(sealed) * 8 {
		sealed[bit/8] ^= 1 << (bit % 8)
		if _, err := s.Open(nil, 7, sealed, []byte("bound")); err == nil {
			t.Fatalf("bit %d flipped and not seen", bit)
		}
		sealed[bit/8] ^= 1 << (bit % 8)
	}
	for name, try := range tries {
		t.Run(name, func(t *testing.T) { wantCode(t, try(), penstock.Corrupt) })
	}
	t.Run("salt", func(t *testing.T) {
		h := s.Header()
		h[20] ^= 1
		o, _, err := k.OpenStream("test", h)
		if err != nil {
			t.Fatal(err)
		}
		_, err = o.Open(nil, 7, sealed, []byte("bound"))
		wantCode(t, err, penstock.Corrupt)
	})
}

func TestOpenStreamRefuses(t *testing.T) {
	k := open(t, roots(t))
	s, err := k.NewStream("test")
	if err != nil {
		t.Fatal(err)
	}
	newer := s.Header()
	newer[0] = 2
	_, _, err = k.OpenStream("test", newer)
	wantCode(t, err, penstock.Unsupported, "version 2")
	_, _, err = k.OpenStream("test", s.Header()[:10])
	wantCode(t, err, penstock.Corrupt)
	_, _, err = open(t, roots(t)).OpenStream("test", s.Header())
	wantCode(t, err, penstock.NotFound, "not in the keyring")
}

func TestRefusesWithoutTheRightKEK(t *testing.T) {
	other := roots(t)
	open(t, other)
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, fs vfs.FS)
		code  penstock.Code
		word  string
	}{
		"missing": {func(t *testing.T, fs vfs.FS) {
			if err := fs.Remove("/etc/keys/kek"); err != nil {
				t.Fatal(err)
			}
		}, penstock.Unauthenticated, "missing"},
		"wrong": {func(t *testing.T, fs vfs.FS) {
			write(t, fs, "/etc/keys/kek", read(t, other, "/etc/keys/kek"))
		}, penstock.Unauthenticated, "sealed under the key-encryption key"},
		"damaged": {func(t *testing.T, fs vfs.FS) {
			b := read(t, fs, "/etc/keys/kek")
			b[20] ^= 1
			write(t, fs, "/etc/keys/kek", b)
		}, penstock.Corrupt, "damaged"},
		"empty": {func(t *testing.T, fs vfs.FS) { write(t, fs, "/etc/keys/kek", nil) }, penstock.Corrupt, "damaged"},
		"both copies damaged": {func(t *testing.T, fs vfs.FS) {
			write(t, fs, "/data/keys/keyring.a", nil)
			write(t, fs, "/data/keys/keyring.b", []byte("PNSTKRNG?"))
		}, penstock.Corrupt, "nothing was changed"},
		"newer copy": {func(t *testing.T, fs vfs.FS) {
			b := read(t, fs, "/data/keys/keyring.b")
			b[8] = 2
			write(t, fs, "/data/keys/keyring.b", b)
		}, penstock.Unsupported, "version 2"},
	} {
		t.Run(name, func(t *testing.T) {
			fs := roots(t)
			open(t, fs)
			tc.spoil(t, fs)
			before := tree(t, fs, "/data/keys", "/etc/keys")
			_, err := keyring.OpenApart(fs, "/data/keys", "/etc/keys", nil)
			wantCode(t, err, tc.code, tc.word)
			if after := tree(t, fs, "/data/keys", "/etc/keys"); after != before {
				t.Fatalf("a refusal changed the files from\n%s\nto\n%s", before, after)
			}
		})
	}
}

// tree lists the files with their bytes.
func tree(t *testing.T, fs vfs.FS, dirs ...string) string {
	t.Helper()
	var out strings.Builder
	for _, d := range dirs {
		for _, name := range []string{"kek", "keyring.a", "keyring.b", "keyring.a.tmp", "keyring.b.tmp", "keyring.a.damaged-1"} {
			if _, err := fs.Stat(fs.PathJoin(d, name)); !errors.Is(err, iofs.ErrNotExist) {
				out.WriteString(d + "/" + name + " " + hex.EncodeToString(read(t, fs, fs.PathJoin(d, name))) + "\n")
			}
		}
	}
	return out.String()
}

func TestEveryBitOfACopyIsMended(t *testing.T) {
	fs := roots(t)
	node := open(t, fs).NodeID()
	whole := read(t, fs, "/data/keys/keyring.a")
	kept := 0
	for bit := range len(whole) * 8 {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		write(t, fs, "/data/keys/keyring.a", b)
		k, err := keyring.OpenApart(fs, "/data/keys", "/etc/keys", nil)
		if at := bit / 8; at >= 8 && at < 13 { // version and features: a newer format is refused
			wantCode(t, err, penstock.Unsupported)
			continue
		}
		if kept == 100 { // the limit of damaged copies beside the whole one
			wantCode(t, err, penstock.Unavailable, "aside")
			break
		}
		if err != nil {
			t.Fatalf("bit %d: %v", bit, err)
		}
		if k.NodeID() != node || len(k.Notes()) != 1 || !bytes.Equal(read(t, fs, "/data/keys/keyring.a"), whole) {
			t.Fatalf("bit %d: not mended: %q", bit, k.Notes())
		}
		kept++
	}
	if kept != 100 {
		t.Fatalf("%d damaged copies kept, want 100", kept)
	}
}

func TestMissingCopyIsMended(t *testing.T) {
	fs := roots(t)
	open(t, fs)
	whole := read(t, fs, "/data/keys/keyring.b")
	if err := fs.Remove("/data/keys/keyring.b"); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Load(fs, "/data/keys", "/etc/keys"); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Stat("/data/keys/keyring.b"); err == nil {
		t.Fatal("Load wrote")
	}
	open(t, fs)
	if !bytes.Equal(read(t, fs, "/data/keys/keyring.b"), whole) {
		t.Fatal("the missing copy was not written anew")
	}
	_, err := keyring.Load(roots(t), "/data/keys", "/etc/keys")
	wantCode(t, err, penstock.NotFound, "no keyring")
}

// TestFirstStartCrash starts on every state that a power cut during the first
// start can leave: it must begin, and what begins must last.
func TestFirstStartCrash(t *testing.T) {
	for seed := range uint64(300) {
		mem := vfs.NewCrashableMem()
		makeRoot(t, mem)
		rng := rand.New(rand.NewPCG(seed, 1))
		stop := &stopAfter{FS: mem, left: rng.IntN(14)}
		_, err := keyring.Open(stop, "/data", nil)
		crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		k, oerr := keyring.Open(crashed, "/data", nil)
		if oerr != nil {
			t.Fatalf("seed %d: first start ended with %v, the next with %v", seed, err, oerr)
		}
		again, oerr := keyring.Open(crashed.CrashClone(vfs.CrashCloneCfg{}), "/data", nil)
		if oerr != nil || again.NodeID() != k.NodeID() {
			t.Fatalf("seed %d: the keys changed after a crash: %v", seed, oerr)
		}
	}
}

// makeRoot makes /data durable.
func makeRoot(t *testing.T, fs vfs.FS) {
	t.Helper()
	if err := fs.MkdirAll("/data", 0o755); err != nil {
		t.Fatal(err)
	}
	d, err := fs.OpenDir("/")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
}

var errStopped = errors.New("stopped")

// stopAfter fails every call that changes the file system after the first few.
type stopAfter struct {
	vfs.FS
	left int
}

func (s *stopAfter) step() error {
	if s.left == 0 {
		return errStopped
	}
	s.left--
	return nil
}

func (s *stopAfter) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := s.step(); err != nil {
		return nil, err
	}
	return s.FS.Create(name, c)
}

func (s *stopAfter) Rename(a, b string) error {
	if err := s.step(); err != nil {
		return err
	}
	return s.FS.Rename(a, b)
}

func (s *stopAfter) OpenDir(name string) (vfs.File, error) {
	if err := s.step(); err != nil {
		return nil, err
	}
	return s.FS.OpenDir(name)
}

func TestFilesAreSecret(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	if _, err := keyring.Open(vfs.Default, dir, nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"": 0o700, "kek": 0o600, "keyring.a": 0o600, "keyring.b": 0o600} {
		fi, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := fi.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}
