package cobs_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/cobs"
)

// rough is a line that does to frames what cables and radios do.
type rough struct {
	rng  *rand.Rand
	sent [][]byte // frames as they were
	hurt []bool   // something happened to the frame or before it
	wire []byte   // what is on the line and was not read
}

// bitErrors is how often a bit is flipped.
const bitErrors = 1e-4

// send puts a frame on the line. It may lose its end or its delimiter, get noise
// before it, and each of its bits may flip.
func (r *rough) send(frame []byte) {
	block := cobs.Append(nil, frame)
	hurt := false
	if r.rng.Float64() < 0.02 {
		for range 1 + r.rng.IntN(16) {
			r.wire = append(r.wire, byte(r.rng.Uint32()))
		}
		hurt = true
	}
	if r.rng.Float64() < 0.02 {
		block = block[:r.rng.IntN(len(block))]
		hurt = true
	}
	for bit := range len(block) * 8 {
		if r.rng.Float64() < bitErrors {
			block[bit/8] ^= 1 << (bit % 8)
			hurt = true
		}
	}
	r.wire = append(r.wire, block...)
	r.sent, r.hurt = append(r.sent, frame), append(r.hurt, hurt)
}

// read returns what comes next: parts of frames, or several at once.
func (r *rough) read() []byte {
	n := min(1+r.rng.IntN(400), len(r.wire))
	in := r.wire[:n]
	r.wire = r.wire[n:]
	return in
}

// TestFramesOnARoughLine reads frames from a line that flips one bit in 10,000,
// cuts, and hears noise: none that is damaged is taken, and at the second frame
// after a damage at the latest all is well again. PENSTOCK_TORTURE=1 sends 10⁶.
func TestFramesOnARoughLine(t *testing.T) {
	count := 20_000
	if os.Getenv("PENSTOCK_TORTURE") == "1" {
		count = 1_000_000
	}
	const room = 200
	r := &rough{rng: rand.New(rand.NewPCG(1, 2))}
	line := cobs.NewLine(link.FrameOverhead + room)
	next, taken, refused := 0, 0, 0 // next is the first frame that did not come
	take := func() {
		line.Feed(r.read())
		for {
			block, ok, err := line.Next()
			if !ok {
				return
			}
			if err == nil {
				_, err = link.WholeFrame(block, room)
			}
			if err != nil {
				refused++
				continue
			}
			at := next
			for at < len(r.sent) && !bytes.Equal(r.sent[at], block) {
				at++
			}
			if at == len(r.sent) {
				t.Fatalf("a frame was taken that nobody sent: %x", block)
			}
			for lost := next; lost < at; lost++ {
				if !r.hurt[lost] && (lost == 0 || !r.hurt[lost-1]) {
					t.Fatalf("frame %d was lost, and neither it nor the one before was damaged", lost)
				}
			}
			next = at + 1
			taken++
		}
	}
	for i := range count {
		payload := binary.LittleEndian.AppendUint64(nil, uint64(i))
		for range r.rng.IntN(room - len(payload)) {
			payload = append(payload, byte(r.rng.Uint32()>>r.rng.IntN(32))) // with zeros among them
		}
		r.send(link.AppendFrame(nil, link.Frame{Kind: link.KindData, Address: uint16(i), Payload: payload}))
		for len(r.wire) > 1<<10 {
			take()
		}
		if next > 4096 { // what has come is of no more use
			r.sent, r.hurt, next = r.sent[next-1:], r.hurt[next-1:], 1
		}
	}
	for len(r.wire) > 0 {
		take()
	}
	t.Logf("%d frames sent, %d taken, %d blocks refused", count, taken, refused)
	if taken < count*8/10 || refused == 0 {
		t.Errorf("%d of %d frames were taken, %d blocks refused", taken, count, refused)
	}
}
