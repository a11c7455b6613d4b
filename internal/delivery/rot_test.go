package delivery_test

import (
	"bytes"
	"io"
	"path"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/testkit"
)

// rot flips a bit in the payload of the n-th frame of the first segment.
func rot(t *testing.T, fs vfs.FS, n int) {
	t.Helper()
	names, err := fs.List("spool")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".seg") {
			continue
		}
		file, err := fs.OpenReadWrite(path.Join("spool", name), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		data, err := io.ReadAll(file)
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for range n {
			next := bytes.Index(data[at+1:], []byte("PFRM"))
			if next < 0 {
				t.Fatalf("%s has less than %d frames", name, n)
			}
			at += 1 + next
		}
		if _, err := file.WriteAt([]byte{data[at+80] ^ 1}, int64(at+80)); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("there is no segment")
}

func TestRotInWhatTheRecordHasIsNoLoss(t *testing.T) {
	n := newNode(t)
	n.open()
	n.send(6)
	n.committed()
	n.stop()
	rot(t, n.fs, 4) // the opening is a frame, too; the intake has no snapshot, and must be told all
	n.open()
	n.send(1)
	n.committed()
	if named, _ := n.intake.Totals(); named.Stored != 7 || named.Damaged != 0 || !named.Balanced() {
		t.Errorf("the books are %+v", named)
	}
	if stored := len(n.record.Stored()); stored != 7 {
		t.Errorf("the record has %d samples", stored)
	}
}

func TestRotIsCountedAtASinkThatLacksIt(t *testing.T) {
	n, d := newNode(t), sinktest.NewDestination()
	n.open(to("broker", d))
	n.send(1)
	arrived(t, d, 1, 1)
	if err := n.set.Pause("broker"); err != nil {
		t.Fatal(err)
	}
	n.send(5)
	n.committed()
	n.stop()
	rot(t, n.fs, 4)
	n.open(to("broker", d))
	if err := n.set.Resume("broker"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return n.status("broker").Backlog.Reports == 0 }, "the sink catches up")
	if got, s := len(d.Received()), n.status("broker"); got != 5 || s.Books.Dropped != 1 {
		t.Errorf("%d reports arrived, and the books are %+v", got, s.Books)
	}
}
