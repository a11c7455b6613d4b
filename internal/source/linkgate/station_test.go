package linkgate_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/cobs"
	"github.com/penstock/penstock/link/seal"
	"github.com/penstock/penstock/link/session"
)

// station is a controller on a line: the sender of the protocol, its reports, and
// what became of them.
type station struct {
	*session.Sender
	address uint16
	reports map[uint64]*penstock.Report
	settled map[uint64]bool
	broken  int              // frames from the gateway that made no sense
	seal    *seal.Controller // nil in the clear
	results chan result
}

// result is what the gateway said of a report.
type result struct {
	seq uint64
	err error
}

func newStation(name string, address uint16, newest, committed uint64) *station {
	return newSealedStation(name, address, [2]uint64{newest, committed}, nil)
}

func newSealedStation(name string, address uint16, marks [2]uint64, by *seal.Controller) *station {
	around := 0
	if by != nil {
		around = seal.Overhead
	}
	return &station{
		seal: by,
		Sender: session.NewSender(session.SenderConfig{
			Seal:    around,
			Address: address, Controller: name, Epoch: 1, Largest: 4 << 10, Polled: address != 0, Rand: rand.New(rand.NewPCG(1, uint64(address))).Uint64,
		}, marks[0], marks[1]),
		address: address, reports: map[uint64]*penstock.Report{}, settled: map[uint64]bool{}, results: make(chan result, 64),
	}
}

func (s *station) load(seq uint64, hollow bool) []byte {
	r := *s.reports[seq]
	if hollow {
		r.Samples = nil
	}
	return link.AppendReport(nil, &r)
}

// hear takes a frame that came over the line.
func (s *station) hear(now time.Time, f link.Frame) {
	if f.Address != s.address {
		return
	}
	e, err := s.Receive(now, f)
	if err != nil {
		s.broken++
		return
	}
	var a link.Ack
	switch {
	case e.Refusal != nil && e.Refusal.Session && e.Refusal.Reason != "hello":
		s.tell(0, sourcetest.ErrLater)
	case e.Refusal != nil && !e.Refusal.Session && e.Refusal.Verdict == link.Later:
		s.tell(e.Refusal.Seq, sourcetest.ErrLater)
	case e.Refusal != nil && !e.Refusal.Session:
		s.tell(e.Refusal.Seq, sourcetest.ErrRefused)
	case f.Kind == link.KindAck && a.Decode(f.Payload) == nil:
		for seq := uint64(1); seq <= a.Base(); seq++ {
			s.tell(seq, nil)
		}
		for _, r := range a.Ranges[:a.Count] {
			for seq := r.First; seq <= r.Last; seq++ {
				s.tell(seq, nil)
			}
		}
	}
}

func (s *station) tell(seq uint64, err error) {
	if err == nil && s.settled[seq] {
		return
	}
	s.settled[seq] = s.settled[seq] || err == nil
	select {
	case s.results <- result{seq, err}:
	default: // nobody asks for them
	}
}

// bus is the controllers' side of a line: what comes is heard by all of them, and
// what they say goes back.
type bus struct {
	end    io.ReadWriter
	now    func() time.Time
	blocks *cobs.Line

	mu       sync.Mutex // guards the stations
	stations []*station
	damaged  int
	asked    map[uint16]time.Time // when an address had its last turn
	longest  time.Duration        // between two turns of one address
	overhear func(block []byte)   // of what the gateway says; nil for nobody
}

// watch has the bus note how long its stations wait for their turns.
func (b *bus) watch() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = map[uint16]time.Time{}
}

func (b *bus) note(s *station, f link.Frame) {
	if b.asked == nil || f.Kind != link.KindTurn || f.Address != s.address {
		return
	}
	if last, ok := b.asked[s.address]; ok && s.Waiting() > 0 {
		b.longest = max(b.longest, b.now().Sub(last))
	}
	b.asked[s.address] = b.now()
}

func newBus(end io.ReadWriter) *bus {
	return &bus{end: end, now: time.Now, blocks: cobs.NewLine(link.FrameOverhead + 4<<10)}
}

// run carries the stations until the line closes.
func (b *bus) run() {
	buf := make([]byte, 4<<10)
	for {
		n, err := b.end.Read(buf)
		if err != nil {
			return
		}
		if b.take(buf[:n]) != nil {
			return
		}
	}
}

func (b *bus) take(in []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blocks.Feed(in)
	for {
		block, ok, err := b.blocks.Next()
		if !ok {
			return nil
		}
		var f link.Frame
		if b.overhear != nil && err == nil {
			b.overhear(block)
		}
		for _, s := range b.stations {
			if err == nil && s.seal != nil && seal.IsSealed(block) {
				frame, wrong := s.seal.Open(nil, block)
				if wrong != nil {
					continue // it is another's
				}
				block = frame
				break
			}
		}
		if err == nil {
			f, err = link.WholeFrame(block, 4<<10)
		}
		if err != nil {
			b.damaged++
			continue
		}
		for _, s := range b.stations {
			b.note(s, f)
			s.hear(b.now(), f)
			if err := b.speak(s); err != nil {
				return err
			}
		}
	}
}

// speak writes what a station has to say. b.mu is held.
func (b *bus) speak(s *station) error {
	frames, _ := s.Output(b.now(), s.load)
	var out []byte
	for len(frames) > 0 {
		size, err := link.FrameSize(frames, link.MaxPayload)
		if err != nil || size == 0 {
			return errors.New("a station makes no frames")
		}
		block := frames[:size]
		if s.seal != nil {
			block = s.seal.Seal(nil, block)
		}
		out = cobs.Append(out, block)
		frames = frames[size:]
	}
	if len(out) == 0 {
		return nil
	}
	_, err := b.end.Write(out)
	return err
}

// join puts a station on the line.
func (b *bus) join(t *testing.T, s *station) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stations = append(b.stations, s)
	s.Connected(b.now())
	if s.address == 0 {
		if err := b.speak(s); err != nil {
			t.Error(err)
		}
	}
}

// leave takes a station off the line.
func (b *bus) leave(s *station) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.stations {
		if b.stations[i] == s {
			b.stations = append(b.stations[:i], b.stations[i+1:]...)
			return
		}
	}
}
