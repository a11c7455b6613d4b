package outbox_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/client/internal/outbox"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// newerHeader is the header of a segment of version 2.
var newerHeader = func() string {
	b := append([]byte("PSOX"), 2, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, 1)
	b = binary.LittleEndian.AppendUint64(b, 1)
	return string(binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))))
}()

// FuzzOpen opens a directory whose only segment is the input: it must never
// panic, and what it offers must be reports.
func FuzzOpen(f *testing.F) {
	files := outbox.Directory(f.TempDir())
	b := open(f, options(files, &epochs{}))
	for v := range 3 {
		put(f, b, v, 20)
	}
	if err := b.Close(); err != nil {
		f.Fatal(err)
	}
	seed, err := files.Open("0000000000000001.box", false)
	if err != nil {
		f.Fatal(err)
	}
	var whole bytes.Buffer
	if _, err := whole.ReadFrom(readerOf(seed)); err != nil {
		f.Fatal(err)
	}
	seed.Close()
	f.Add(whole.Bytes())
	f.Add(whole.Bytes()[:50])
	f.Add([]byte(newerHeader))
	f.Fuzz(func(t *testing.T, data []byte) {
		files := outbox.Directory(t.TempDir())
		segment, err := files.Open("0000000000000001.box", true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := segment.Write(data); err != nil {
			t.Fatal(err)
		}
		segment.Close()
		b, err := outbox.Open(options(files, &epochs{}))
		if err != nil {
			if c := penstock.CodeOf(err); c != penstock.Unsupported && c != penstock.Corrupt {
				t.Fatal(err)
			}
			return
		}
		defer b.Close()
		epoch, first, next, _ := b.Bounds()
		for seq := first; seq < min(next, first+100); seq++ {
			if _, ok := b.Read(epoch, seq, nil); !ok {
				t.Fatalf("report %d within the bounds is not there", seq)
			}
		}
	})
}

func readerOf(f outbox.File) *io.SectionReader { return io.NewSectionReader(f, 0, 1<<30) }
