package carrier

import (
	"io"
	"sync"

	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/cobs"
	"github.com/penstock/penstock/link/seal"
)

// largestOnLine is the largest payload that is taken from a line.
const largestOnLine = 64 << 10

// serial is a serial line.
type serial struct {
	line   io.ReadWriteCloser
	blocks *cobs.Line
	buf    []byte // what was read
	frame  []byte // that was opened

	mu   sync.Mutex       // guards everything below
	seal *seal.Controller // nil in the clear
	out  []byte
}

// OpenSerial returns the carrier of a serial line, which is open and has its rate. With
// a key every frame is sealed, and of those in the clear nothing is taken but turns;
// boot is as for [DialUDP]. Without one, nil, what others say on the line is believed.
// It closes the line at the end.
func OpenSerial(line io.ReadWriteCloser, key *Key, boot uint64) (Carrier, error) {
	s := &serial{line: line, blocks: cobs.NewLine(largestOnLine + link.FrameOverhead + seal.Overhead), buf: make([]byte, 4<<10)}
	if key == nil {
		return s, nil
	}
	k, err := seal.NewKey(key.ID, key.Secret)
	if err != nil {
		return nil, err
	}
	s.seal, err = seal.NewController(k, boot)
	return s, err
}

// Send implements [Carrier]: a block for each frame.
func (s *serial) Send(frames []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = s.out[:0]
	for len(frames) > 0 {
		size, err := link.FrameSize(frames, link.MaxPayload)
		if err != nil {
			return err
		}
		block := frames[:size]
		if s.seal != nil {
			block = s.seal.Seal(nil, block)
		}
		s.out = cobs.Append(s.out, block)
		frames = frames[size:]
	}
	_, err := s.line.Write(s.out)
	return err
}

// Receive implements [Carrier]: what is damaged, or is no frame for a controller, is
// dropped.
func (s *serial) Receive() (link.Frame, error) {
	for {
		for {
			block, ok, err := s.blocks.Next()
			if !ok {
				break
			}
			if err != nil {
				continue
			}
			if f, err := s.open(block); err == nil && f.Kind.FromGateway() {
				return f, nil
			}
		}
		n, err := s.line.Read(s.buf)
		if err != nil {
			return link.Frame{}, err
		}
		s.blocks.Feed(s.buf[:n])
	}
}

// open returns the frame in a block.
func (s *serial) open(block []byte) (link.Frame, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seal == nil {
		return link.WholeFrame(block, largestOnLine)
	}
	if !seal.IsSealed(block) {
		f, err := link.WholeFrame(block, largestOnLine)
		if err == nil && f.Kind != link.KindTurn {
			err = link.FaultSeal.Errorf("a %v in the clear on a line that is sealed", f.Kind)
		}
		return f, err
	}
	var err error
	if s.frame, err = s.seal.Open(s.frame[:0], block); err != nil {
		return link.Frame{}, err
	}
	return link.WholeFrame(s.frame, largestOnLine)
}

// Close implements [Carrier].
func (s *serial) Close() error { return s.line.Close() }
