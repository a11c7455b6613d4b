package segment

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
)

func testCipher(t testing.TB) *Cipher {
	t.Helper()
	k, err := keyring.Open(vfs.NewMem(), "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewStream(k)
	if err != nil {
		t.Fatal(err)
	}
	return NewCipher(s, []byte("header"))
}

// TestFramesComeBack: what is encoded is found again, whatever it is and
// whatever lies between.
func TestFramesComeBack(t *testing.T) {
	c := testCipher(t)
	rapid.Check(t, func(t *rapid.T) {
		var file []byte
		var want []Frame
		var before []byte
		h := Head{Segment: 7, First: 1}
		for range rapid.IntRange(1, 6).Draw(t, "frames") {
			entries := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Entry {
				return Entry{Data: rapid.SliceOfN(rapid.Byte(), 0, 700).Draw(t, "data"), Digest: rapid.SliceOfN(rapid.Byte(), 0, 255).Draw(t, "digest")}
			}), 1, 4).Draw(t, "entries")
			h = Head{Type: Batch, Count: uint32(len(entries)), Number: h.Number + 1, First: h.End(), Acked: h.Number, Time: 5, Segment: 7}
			at := len(file)
			file = c.AppendBatch(file, h, before, entries)
			if len(file)%Sector != 0 {
				t.Fatalf("a frame ends at byte %d", len(file))
			}
			want = append(want, Frame{Head: h, Offset: int64(at), Payload: Payload{Entries: entries}})
			before = EncodeDigests(h.First, entries)
			if rapid.Bool().Draw(t, "rot behind it") {
				file = append(file, bytes.Repeat([]byte(frameMagic), Sector/len(frameMagic))...)
			}
		}
		sc := &Scanner{file: bytes.NewReader(file), cipher: c, number: 7}
		for i, w := range want {
			f, err := sc.Next(int64(len(file)))
			if err != nil {
				t.Fatal(err)
			}
			w.Length = f.Length
			if f.Head != w.Head || f.Offset != w.Offset || len(f.Entries) != len(w.Entries) {
				t.Fatalf("frame %d is %+v, want %+v", i, f.Head, w.Head)
			}
			for j, e := range f.Entries {
				if !bytes.Equal(e.Data, w.Entries[j].Data) || !bytes.Equal(e.Digest, w.Entries[j].Digest) {
					t.Fatalf("entry %d of frame %d changed", j, i)
				}
			}
			if i > 0 && (f.Digests.End() != f.First || len(f.Digests.Each) != len(want[i-1].Entries)) {
				t.Fatalf("frame %d carries the digests of %d entries", i, len(f.Digests.Each))
			}
		}
		if f, err := sc.Next(int64(len(file))); err == nil {
			t.Fatalf("a frame too many: %+v", f.Head)
		}
	})
}

// TestFramesBelongToTheirSegment: a frame of another segment, or moved within
// its own behind a later one, is none.
func TestFramesBelongToTheirSegment(t *testing.T) {
	c, other := testCipher(t), testCipher(t)
	one := c.AppendBatch(nil, Head{Type: Batch, Count: 1, Number: 1, First: 1, Segment: 7}, nil, []Entry{{Data: []byte("a")}})
	two := c.AppendBatch(nil, Head{Type: Batch, Count: 1, Number: 2, First: 2, Segment: 7}, nil, []Entry{{Data: []byte("b")}})
	foreign := other.AppendBatch(nil, Head{Type: Batch, Count: 1, Number: 3, First: 3, Segment: 7}, nil, []Entry{{Data: []byte("c")}})
	file := bytes.Join([][]byte{two, one, foreign}, nil)
	sc := &Scanner{file: bytes.NewReader(file), cipher: c, number: 7}
	f, err := sc.Next(int64(len(file)))
	if err != nil || f.Number != 2 {
		t.Fatalf("frame %d, %v", f.Number, err)
	}
	if f, err := sc.Next(int64(len(file))); err == nil {
		t.Fatalf("frame %d at byte %d was taken", f.Number, f.Offset)
	}
}

// TestHeaderVector fixes the bytes of a header.
func TestHeaderVector(t *testing.T) {
	h := Header{Node: [16]byte{1}, Number: 2, First: 3, Previous: 1, Created: 5, Stream: [keyring.HeaderSize]byte{1}}
	b := h.Encode()
	want := append([]byte("PNSTKSEG\x01\x00\x00\x00\x00\x00\x00\x00\x01"), make([]byte, 15)...)
	want = append(want, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 1)
	if !bytes.Equal(b[:len(want)], want) || len(b) != HeaderSize {
		t.Fatalf("header %x", b[:len(want)])
	}
	got, err := DecodeHeader(b)
	if err != nil || got != h {
		t.Fatalf("%+v, %v", got, err)
	}
}

// TestJudge: what counts at the end of a log, by what its frames say.
func TestJudge(t *testing.T) {
	batch := func(number, acked uint64, first penstock.Position) Frame {
		return Frame{Head: Head{Type: Batch, Number: number, Acked: acked, First: first, Count: 1}, Payload: Payload{Entries: make([]Entry, 1)}}
	}
	control := func(typ Type, number, acked uint64, first penstock.Position) Frame {
		return Frame{Head: Head{Type: typ, Number: number, Acked: acked, First: first}}
	}
	for _, tc := range []struct {
		name          string
		frames        []Frame
		next, durable penstock.Position
		tail          int
		sealed        bool
	}{
		{"nothing", nil, 10, 10, 0, false},
		{"only an opening", []Frame{control(Opening, 1, 0, 10)}, 10, 10, 0, false},
		{"a group not known as synced", []Frame{control(Opening, 1, 0, 10), batch(2, 1, 10), batch(3, 1, 11)}, 12, 10, 2, false},
		{"its first frame torn", []Frame{control(Opening, 1, 0, 10), batch(3, 1, 11)}, 10, 10, 0, false},
		{"its last frame torn", []Frame{control(Opening, 1, 0, 10), batch(2, 1, 10), batch(4, 1, 12)}, 11, 10, 1, false},
		{"marked", []Frame{control(Opening, 1, 0, 10), batch(2, 1, 10), control(Mark, 3, 2, 11)}, 11, 11, 0, false},
		{"sealed", []Frame{control(Opening, 1, 0, 10), batch(2, 1, 10), control(Seal, 3, 2, 11)}, 11, 11, 0, true},
		{"rot in the middle", []Frame{control(Opening, 1, 0, 10), batch(2, 1, 10), batch(4, 3, 12)}, 13, 12, 1, false},
		{"rot in the last acknowledged", []Frame{control(Opening, 1, 0, 10), batch(2, 1, 10), control(Mark, 4, 3, 12)}, 12, 12, 0, false},
		{"rot in the opening", []Frame{batch(2, 1, 10), batch(3, 2, 11)}, 12, 11, 1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var acked uint64
			for i, f := range tc.frames {
				acked = max(acked, f.Acked)
				trim(tc.frames[:i+1], acked)
			}
			e := judge(10, tc.frames, acked)
			if e.Next != tc.next || e.Durable != tc.durable || len(e.Tail) != tc.tail || e.Sealed != tc.sealed {
				t.Fatalf("next %d, durable %d, tail %d, sealed %v", e.Next, e.Durable, len(e.Tail), e.Sealed)
			}
		})
	}
}

// FuzzDecodeHeader: a header that decodes encodes to the same bytes.
func FuzzDecodeHeader(f *testing.F) {
	whole := Header{Node: [16]byte{1}, Number: 2, First: 3}.Encode()
	f.Add(whole)
	f.Add(whole[:100])
	f.Add([]byte(headerMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := DecodeHeader(b); err == nil && !bytes.Equal(h.Encode(), b[:HeaderSize]) {
			t.Fatalf("%+v decoded from other bytes", h)
		}
	})
}

// FuzzDecodeHead: the same for the head of a frame, whose checksum is mended so
// that the fuzzer gets behind it.
func FuzzDecodeHead(f *testing.F) {
	b := make([]byte, FrameHeaderSize)
	Head{Type: Batch, Length: 40, Count: 2, Number: 3, First: 4, Acked: 2, Segment: 7}.put(b)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < FrameHeaderSize {
			_, ok := decodeHead(b, 7)
			if ok {
				t.Fatal("a short head decoded")
			}
			return
		}
		b = bytes.Clone(b[:FrameHeaderSize])
		sum := checksum(b[:60])
		copy(b[60:], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
		if h, ok := decodeHead(b, 7); ok {
			again := make([]byte, FrameHeaderSize)
			h.put(again)
			if g, ok := decodeHead(again, 7); !ok || g != h {
				t.Fatalf("%+v became %+v", h, g)
			}
		}
	})
}

// FuzzDecodePayload: any payload is refused or is within its bounds, and never
// takes memory beyond a small multiple of its length.
func FuzzDecodePayload(f *testing.F) {
	entries := []Entry{{Data: []byte("data"), Digest: []byte("d")}, {}}
	body := appendBytes(nil, EncodeDigests(1, entries))
	for _, e := range entries {
		body = appendBytes(appendBytes(body, e.Data), e.Digest)
	}
	f.Add(uint8(Batch), uint32(2), uint64(3), body)
	f.Add(uint8(Opening), uint32(0), uint64(3), appendOrigin(appendBytes(nil, nil), Origin{Why: Full}))
	f.Add(uint8(Batch), uint32(1<<31), uint64(3), []byte{0, 0xff})
	f.Fuzz(func(t *testing.T, typ uint8, count uint32, first uint64, b []byte) {
		h := Head{Type: Type(typ), Count: count, First: penstock.Position(first)}
		p, ok := decodePayload(h, b)
		if cap(p.Entries) > len(b)+1 || cap(p.Digests.Each) > len(b)+1 {
			t.Fatalf("%d entries and %d digests reserved for %d bytes", cap(p.Entries), cap(p.Digests.Each), len(b))
		}
		if !ok {
			return
		}
		if h.Type == Batch && len(p.Entries) != int(count) {
			t.Fatalf("%d entries, the head says %d", len(p.Entries), count)
		}
		if again, ok := decodePayload(h, bytes.Clone(b)); !ok || !reflect.DeepEqual(again, p) {
			t.Fatal("decoding twice gives different things")
		}
	})
}

// FuzzScanner: whatever stands in a file, scanning ends and only whole frames
// come out.
func FuzzScanner(f *testing.F) {
	c := testCipher(f)
	whole := c.AppendBatch(nil, Head{Type: Batch, Count: 1, Number: 1, First: 1, Segment: 7}, nil, []Entry{{Data: []byte("a")}})
	f.Add(whole)
	f.Add(append(make([]byte, Sector), whole...))
	f.Fuzz(func(t *testing.T, b []byte) {
		sc := &Scanner{file: bytes.NewReader(b), cipher: c, number: 7}
		for range len(b)/Sector + 1 {
			fr, err := sc.Next(int64(len(b)))
			if err != nil {
				return
			}
			if fr.Count != 1 || string(fr.Entries[0].Data) != "a" {
				t.Fatalf("frame %+v was never written", fr.Head)
			}
		}
		t.Fatal("more frames than sectors")
	})
}
