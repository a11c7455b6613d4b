// Package simline is a simulated serial line: a pair of pseudo-terminals with a
// gateway at one end and controllers on a bus at the other, which speak in their
// turns, and noise that flips bits in both directions.
package simline

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/client/carrier"
	"github.com/penstock/penstock/internal/serialport"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/cobs"
)

// Line is one line. It is safe for concurrent use.
type Line struct {
	bus    *os.File // the controllers' end
	other  *os.File // keeps the gateway's end open while no gateway has it
	device string
	noise  func() float64 // share of the blocks that are damaged
	work   sync.WaitGroup

	mu     sync.Mutex // guards everything below
	random *rand.Rand
	drops  map[uint16]*drop
}

// Largest is how many bytes a frame on a line has at most.
const Largest = 16 << 10

// Open makes a line. Noise is asked for each block; it must be safe for concurrent
// use.
func Open(seed uint64, noise func() float64) (*Line, error) {
	bus, other, device, err := serialport.OpenPair()
	if err != nil {
		return nil, err
	}
	l := &Line{
		bus: bus, other: other, device: device, noise: noise, random: rand.New(rand.NewPCG(seed, 11)), drops: map[uint16]*drop{},
	}
	l.work.Go(l.listen)
	return l, nil
}

// Device returns the path of the gateway's end.
func (l *Line) Device() string { return l.device }

// Close ends the line.
func (l *Line) Close() error {
	err := errors.Join(l.bus.Close(), l.other.Close())
	l.work.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.drops {
		d.end()
	}
	return err
}

// Dial puts a controller on the line, under its address.
func (l *Line) Dial(address uint16) (carrier.Carrier, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.drops[address]; old != nil {
		old.end()
	}
	d := &drop{line: l, address: address, heard: make(chan link.Frame, 64), over: make(chan struct{})}
	l.drops[address] = d
	return d, nil
}

// listen hears what the gateway says.
func (l *Line) listen() {
	blocks := cobs.NewLine(link.FrameOverhead + Largest)
	buf := make([]byte, 4<<10)
	for {
		n, err := l.bus.Read(buf)
		if err != nil {
			return
		}
		blocks.Feed(buf[:n])
		for {
			block, ok, err := blocks.Next()
			if !ok {
				break
			}
			if err == nil {
				l.hear(block)
			}
		}
	}
}

// hear hands a block to the controller that it is for.
func (l *Line) hear(block []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.disturb(block)
	f, err := link.WholeFrame(block, Largest)
	if err != nil {
		return
	}
	d := l.drops[f.Address]
	if d == nil {
		return
	}
	if f.Kind == link.KindTurn {
		d.speak()
		return
	}
	f.Payload = append([]byte(nil), f.Payload...)
	select {
	case d.heard <- f:
	default: // it does not listen: it will be told again
	}
}

// disturb damages a block now and then.
func (l *Line) disturb(block []byte) []byte {
	if p := l.noise(); p > 0 && l.random.Float64() < p && len(block) > 0 {
		for range 1 + l.random.IntN(3) {
			block[l.random.IntN(len(block))] ^= byte(1 << l.random.IntN(8))
		}
	}
	return block
}

// drop is a controller on the line: a [carrier.Carrier].
type drop struct {
	line    *Line
	address uint16
	heard   chan link.Frame
	over    chan struct{}
	once    sync.Once
	waiting [][]byte // guarded by the line's mu
}

// keptFrames is how many frames wait for a turn at most; older ones are dropped, as
// the sender sends them again.
const keptFrames = 32

// Send implements [carrier.Carrier]: the frames go out with the next turn.
func (d *drop) Send(frames []byte) error {
	select {
	case <-d.over:
		return io.ErrClosedPipe
	default:
	}
	d.line.mu.Lock()
	defer d.line.mu.Unlock()
	for len(frames) > 0 {
		size, err := link.FrameSize(frames, link.MaxPayload)
		if err != nil || size == 0 {
			return penstock.Errorf(penstock.Internal, "the simulated controller makes no frames: %w", err)
		}
		d.waiting = append(d.waiting, append([]byte(nil), frames[:size]...))
		frames = frames[size:]
	}
	if n := len(d.waiting); n > keptFrames {
		d.waiting = d.waiting[n-keptFrames:]
	}
	return nil
}

// speak takes the turn: a few frames, and the word that it is over. The line's mu is
// held.
func (d *drop) speak() {
	const atOnce = 4
	n := min(atOnce, len(d.waiting))
	over := link.Over{Waiting: uint64(len(d.waiting) - n)}
	var out []byte
	for _, frame := range append(d.waiting[:n:n], over.Append(nil, link.Header{Address: d.address})) {
		block := cobs.Append(nil, frame)
		d.line.disturb(block[:len(block)-1]) // and not what ends it
		out = append(out, block...)
	}
	d.waiting = d.waiting[n:]
	if _, err := d.line.bus.Write(out); err != nil {
		d.end()
	}
}

// Receive implements [carrier.Carrier].
func (d *drop) Receive() (link.Frame, error) {
	select {
	case f := <-d.heard:
		return f, nil
	case <-d.over:
		return link.Frame{}, io.EOF
	}
}

// Close implements [carrier.Carrier].
func (d *drop) Close() error {
	d.end()
	return nil
}

func (d *drop) end() { d.once.Do(func() { close(d.over) }) }
