package store_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/store"
)

func TestFailedWriteIsFinal(t *testing.T) {
	if os.Getenv(deathEnv) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFailedWriteIsFinal$", "-test.v")
		cmd.Env = append(os.Environ(), deathEnv+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	for name, cause := range map[string]error{"no space": syscall.ENOSPC, "bad disk": syscall.EIO} {
		t.Run(name, func(t *testing.T) { dies(t, ".log", cause, put) })
	}
	t.Run("manifest", func(t *testing.T) { dies(t, "MANIFEST", syscall.EIO, fill) })
	t.Run("table", func(t *testing.T) { dies(t, ".sst", syscall.ENOSPC, fill) })
}

func put(s *store.Store) error { return s.Table("t").Put([]byte("k"), []byte("v")) }

// fill writes until memory must be flushed.
func fill(s *store.Store) error {
	for range 400 {
		b := s.NewBatch()
		b.Set([]byte{store.FirstFree}, make([]byte, 1<<20))
		if err := s.Commit(b); err != nil {
			return err
		}
	}
	return nil
}

// dies breaks the disk for some files and expects every call to fail at once.
func dies(t *testing.T, files string, cause error, write func(*store.Store) error) {
	fs, broken := failing(files, cause)
	s := openStore(t, fs)
	if err := put(s); err != nil {
		t.Fatal(err)
	}
	cursor, err := s.NewCursor()
	if err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	within(t, "the failing write", func() {
		if err := write(s); penstock.CodeOf(err) != penstock.Unavailable {
			t.Errorf("the failing write: %v", err)
		}
	})
	broken.Store(false) // the disk is well again: nothing may come of it
	if s.Dead() == nil {
		t.Error("not dead")
	}
	within(t, "a call to a dead store", func() {
		calls := []struct {
			name string
			call func() error
		}{
			{"put", func() error { return put(s) }},
			{"get", func() error { _, _, err := s.Get([]byte("x")); return err }},
			{"scan", func() error { return s.Table("t").Scan(func(_, _ []byte) error { return nil }) }},
			{"page", func() error { _, err := cursor.Page(nil, nil, nil); return err }},
			{"cursor", cursor.Close},
			{"size", func() error { _, err := s.Size(); return err }},
			{"close", s.Close},
		}
		for _, c := range calls {
			if err := c.call(); penstock.CodeOf(err) != penstock.Unavailable {
				t.Errorf("%s of a dead store: %v", c.name, err)
			}
		}
	})
}
