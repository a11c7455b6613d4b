package cobs_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/cobs"
	"pgregory.net/rapid"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectors(t *testing.T) {
	data, err := os.ReadFile("../testdata/vectors/cobs.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Blocks []struct{ Name, Block, Line, Error string }
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors.Blocks {
		block, line := unhex(t, v.Block), unhex(t, v.Line)
		l := cobs.NewLine(1000)
		l.Feed(line)
		got, ok, err := l.Next()
		if !ok || string(link.FaultOf(err)) != v.Error {
			t.Errorf("%s: ok %v, error %v", v.Name, ok, err)
		}
		if v.Error != "" {
			if !bytes.Equal(got, line[:len(line)-1]) {
				t.Errorf("%s: the evidence is %x, not what stood on the line", v.Name, got)
			}
			continue
		}
		if !bytes.Equal(got, block) {
			t.Errorf("%s: decoded %x, want %x", v.Name, got, block)
		}
		if got := cobs.Append(nil, block); !bytes.Equal(got, line) {
			t.Errorf("%s: encoded %x, want %x", v.Name, got, line)
		}
	}
}

// TestEveryBlockComesThrough sends blocks in pieces of any size, with empty blocks
// between.
func TestEveryBlockComesThrough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blocks := rapid.SliceOfN(rapid.OneOf(
			rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 255}), 1, 20),
			rapid.Map(rapid.IntRange(250, 600), func(n int) []byte { return bytes.Repeat([]byte{7}, n) }),
		), 0, 10).Draw(t, "blocks")
		var stream []byte
		for _, b := range blocks {
			stream = append(cobs.Append(stream, b), make([]byte, rapid.IntRange(0, 2).Draw(t, "empty"))...)
		}
		l := cobs.NewLine(600)
		var got [][]byte
		for len(stream) > 0 {
			n := rapid.IntRange(1, len(stream)).Draw(t, "piece")
			l.Feed(stream[:n])
			stream = stream[n:]
			for {
				b, ok, err := l.Next()
				if !ok {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, bytes.Clone(b))
			}
		}
		if len(got) != len(blocks) {
			t.Fatalf("%d blocks came of %d", len(got), len(blocks))
		}
		for i := range got {
			if !bytes.Equal(got[i], blocks[i]) {
				t.Fatalf("block %d came as %x, not as %x", i, got[i], blocks[i])
			}
		}
	})
}

// TestDamageCostsTwoFramesAtMost damages one byte of a row of frames, everywhere.
func TestDamageCostsTwoFramesAtMost(t *testing.T) {
	const frames = 5
	var stream []byte
	for i := range uint64(frames) {
		stream = cobs.Append(stream, (&link.Over{Waiting: 1000 * i}).Append(nil, link.Header{Address: uint16(i)}))
	}
	for at := range stream {
		for v := range 256 {
			damaged := bytes.Clone(stream)
			if damaged[at] = byte(v); damaged[at] == stream[at] {
				continue
			}
			good := 0
			l := cobs.NewLine(link.FrameOverhead + 16)
			l.Feed(damaged)
			for {
				b, ok, err := l.Next()
				if !ok {
					break
				}
				if err != nil {
					continue
				}
				if f, err := link.WholeFrame(b, 16); err == nil {
					good++
					if want := (&link.Over{Waiting: 1000 * uint64(f.Address)}).Append(nil, link.Header{Address: f.Address}); !bytes.Equal(b, want) {
						t.Fatalf("with byte %d as 0x%02x: a damaged frame passed: %x", at, v, b)
					}
				}
			}
			if good < frames-2 {
				t.Fatalf("with byte %d as 0x%02x: %d of %d frames came", at, v, good, frames)
			}
		}
	}
}

func TestLongNoiseIsDroppedAndBounded(t *testing.T) {
	l := cobs.NewLine(100)
	for range 1000 {
		l.Feed(bytes.Repeat([]byte{0x55}, 1000))
		if _, ok, _ := l.Next(); ok {
			t.Fatal("noise is a block")
		}
	}
	l.Feed(append([]byte{0}, cobs.Append(nil, []byte{1, 2, 3})...))
	raw, ok, err := l.Next()
	if !ok || link.FaultOf(err) != link.FaultLength || len(raw) > 102 || len(raw) == 0 {
		t.Errorf("the noise: ok %v, %d bytes, error %v", ok, len(raw), err)
	}
	if b, ok, err := l.Next(); !ok || err != nil || !bytes.Equal(b, []byte{1, 2, 3}) {
		t.Errorf("after the noise: %x, ok %v, error %v", b, ok, err)
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte{3, 0x11, 0x22, 2, 0x33, 0}, 2)
	f.Add([]byte{0, 0, 255, 1, 0, 5, 1, 2, 3, 0}, 1)
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		whole, parts := cobs.NewLine(300), cobs.NewLine(300)
		whole.Feed(stream)
		var want [][]byte
		for {
			b, ok, err := whole.Next()
			if !ok {
				break
			}
			if len(b) > 303 {
				t.Fatalf("a block of %d bytes", len(b))
			}
			if err == nil {
				if again := cobs.Append(nil, b); len(again) > len(b)+len(b)/254+2 {
					t.Fatalf("%d bytes need %d on the line", len(b), len(again))
				}
			}
			want = append(want, bytes.Clone(b))
		}
		for len(stream) > 0 {
			n := min(max(piece, 1), len(stream))
			parts.Feed(stream[:n])
			stream = stream[n:]
			for {
				b, ok, _ := parts.Next()
				if !ok {
					break
				}
				if len(want) == 0 || !bytes.Equal(b, want[0]) {
					t.Fatalf("in pieces a block came as %x", b)
				}
				want = want[1:]
			}
		}
		if len(want) > 0 {
			t.Fatalf("in pieces %d blocks are missing", len(want))
		}
	})
}
