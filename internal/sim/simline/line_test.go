package simline_test

import (
	"io"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/internal/sim/simline"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/cobs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gateway is the other end of a line.
type gateway struct {
	t      *testing.T
	device *os.File
	blocks *cobs.Line
	bad    int
}

// turn gives an address its turn, and returns what came until it was over.
func (g *gateway) turn(address uint16) (frames []link.Frame) {
	g.t.Helper()
	turn := link.Turn{Budget: 4096}
	if _, err := g.device.Write(cobs.Append(nil, turn.Append(nil, link.Header{Address: address}))); err != nil {
		g.t.Fatal(err)
	}
	buf := make([]byte, 4<<10)
	if err := g.device.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		g.t.Fatal(err)
	}
	for {
		n, err := g.device.Read(buf)
		if err != nil {
			return frames // nobody answered
		}
		g.blocks.Feed(buf[:n])
		for {
			block, ok, err := g.blocks.Next()
			if !ok {
				break
			}
			f, wrong := link.WholeFrame(block, simline.Largest)
			if err != nil || wrong != nil {
				g.bad++
				continue
			}
			if f.Kind == link.KindOver {
				return frames
			}
			frames = append(frames, f)
		}
	}
}

func TestControllersSpeakInTheirTurns(t *testing.T) {
	var noisy atomic.Bool
	l, err := simline.Open(1, func() float64 {
		if noisy.Load() {
			return 1
		}
		return 0
	})
	if err != nil {
		t.Fatal(err)
	}
	device, err := os.OpenFile(l.Device(), os.O_RDWR|0x100|0x800, 0) // no controlling terminal, no waiting
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, device: device, blocks: cobs.NewLine(link.FrameOverhead + simline.Largest)}
	c, err := l.Dial(7)
	if err != nil {
		t.Fatal(err)
	}
	beat := link.Heartbeat{Newest: 3}
	if err := c.Send(beat.Append(nil, link.Header{Address: 7})); err != nil {
		t.Fatal(err)
	}
	if frames := g.turn(7); len(frames) != 1 || frames[0].Kind != link.KindHeartbeat {
		t.Errorf("%+v", frames)
	}
	if frames := g.turn(7); len(frames) != 0 {
		t.Errorf("said twice: %+v", frames)
	}
	if _, err := device.Write(cobs.Append(nil, (&link.Ack{Epoch: 1, Accepted: 5}).Append(nil, link.Header{Address: 7}))); err != nil {
		t.Fatal(err)
	}
	if f, err := c.Receive(); err != nil || f.Kind != link.KindAck {
		t.Errorf("%+v %v", f, err)
	}
	noisy.Store(true)
	if err := c.Send(beat.Append(nil, link.Header{Address: 7})); err != nil {
		t.Fatal(err)
	}
	if frames := g.turn(7); len(frames) != 0 {
		t.Errorf("noise did not damage %+v", frames)
	}
	device.Close()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Receive(); err != io.EOF {
		t.Error(err)
	}
	if err := c.Send(nil); err != io.ErrClosedPipe {
		t.Error(err)
	}
}
