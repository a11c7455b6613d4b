package framing_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/penstock/penstock/internal/checksum"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/framing"
)

// TestNoisyLine sends frames over a line with bit errors of 10⁻⁴, and with frames
// that are cut, merged and mixed with noise. No frame that was damaged may be
// taken for a good one, and every frame that came whole must be found. With
// PENSTOCK_TORTURE there are a million.
func TestNoisyLine(t *testing.T) {
	frames := uint64(5_000)
	if os.Getenv("PENSTOCK_TORTURE") != "" {
		frames = 1_000_000
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 7))
	crc, _ := checksum.Find("crc-32")
	f := newFramer(t, framing.Config{
		Start: "\x68", Length: &framing.Length{At: 1, Adds: 6}, Checksum: &framing.Checksum{Name: "crc-32"}, Max: 300,
	})
	next, missing, found := uint64(0), map[uint64]bool{}, 0
	take := func(frame framing.Frame) {
		if frame.Event != evidence.Received {
			return
		}
		n := binary.LittleEndian.Uint64(frame.Body[2:])
		if !missing[n] || !bytes.Equal(frame.Body, content(n)) {
			t.Fatalf("seed %d: % x was taken for a frame", seed, frame.Body)
		}
		delete(missing, n)
		found++
	}
	for ; next < frames; next++ {
		b := content(next)
		b = crc.Append(b, b, checksum.LowFirst)
		whole := spoil(random, b)
		if whole {
			missing[next] = true
		} else if random.IntN(4) == 0 {
			from := random.IntN(len(b))
			b = append(b[:from], b[from+random.IntN(len(b)-from):]...)
		}
		if random.IntN(20) == 0 {
			f.Feed(randomBytes(random, 1+random.IntN(30)), take)
		}
		f.Feed(b, take)
	}
	f.Feed(make([]byte, 300), take)
	f.Idle(take)
	if len(missing) > 0 || found == 0 {
		t.Fatalf("seed %d: %d of %d frames that came whole were not found", seed, len(missing), found+len(missing))
	}
	t.Logf("%d of %d frames came whole, and all of them were found", found, frames)
}

// content returns what stands in the nth frame.
func content(n uint64) []byte {
	b := append([]byte{0x68, 0}, binary.LittleEndian.AppendUint64(nil, n)...)
	b = append(b, bytes.Repeat([]byte{0x68, byte(n), byte(n >> 3)}, int(n%40))...)
	b[1] = byte(len(b) - 2)
	return b
}

// spoil turns bits with a chance of 10⁻⁴ each, and a tenth of the frames into
// worse; it tells whether the frame stayed whole.
func spoil(random *rand.Rand, b []byte) (whole bool) {
	whole = true
	rate := 10_000
	if random.IntN(10) == 0 {
		rate = 100
	}
	for i := range 8 * len(b) {
		if random.IntN(rate) == 0 {
			b[i/8] ^= 1 << (i % 8)
			whole = false
		}
	}
	return whole
}

func randomBytes(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

func BenchmarkFeed(b *testing.B) {
	crc, _ := checksum.Find("crc-16/modbus")
	body := append([]byte{0x68, 200}, bytes.Repeat([]byte("x"), 200)...)
	frame := crc.Append(bytes.Clone(body), body, checksum.LowFirst)
	f := newFramer(b, framing.Config{Start: "\x68", Length: &framing.Length{At: 1, Adds: 4}, Checksum: &framing.Checksum{Name: "crc-16/modbus"}})
	b.SetBytes(int64(len(frame)))
	n := 0
	for b.Loop() {
		f.Feed(frame, func(framing.Frame) { n++ })
	}
	if n != b.N {
		b.Fatal(n, b.N)
	}
}

// What costs most: a start at every byte, and a checksum that never holds.
func BenchmarkNoise(b *testing.B) {
	f := newFramer(b, framing.Config{Length: &framing.Length{At: 0, Size: 2}, Checksum: &framing.Checksum{Name: "crc-16/modbus"}})
	noise := bytes.Repeat([]byte{3, 0xFF}, 2048)
	b.SetBytes(int64(len(noise)))
	for b.Loop() {
		f.Feed(noise, func(framing.Frame) {})
	}
}
