package link

import (
	"io"

	"github.com/penstock/penstock"
)

// A scanner's buffer has firstScan bytes, keepScan when the stream fills that,
// and more only for a frame that is larger. Idle connections are many.
const (
	firstScan = 2 << 10
	keepScan  = 16 << 10
)

// Scanner reads the frames of a stream. It is not safe for concurrent use.
type Scanner struct {
	r          io.Reader
	limit      int // bytes of payload that are taken
	buf        []byte
	start, end int // what of buf was read and not returned
}

// NewScanner returns a scanner for frames of at most limit bytes of payload. It
// holds a small buffer, and a larger one only while a larger frame comes.
func NewScanner(r io.Reader, limit int) *Scanner { return &Scanner{r: r, limit: limit} }

// SetLimit changes the limit for the frames to come: after the welcome more is
// taken than before.
func (s *Scanner) SetLimit(limit int) { s.limit = limit }

// Next reads the next frame. Its payload is good until the next call. At the end
// of the stream the error is [io.EOF], and [io.ErrUnexpectedEOF] inside a frame. A
// frame that is refused is an error with a [Fault]; the stream has to end then.
func (s *Scanner) Next() (Frame, error) {
	for {
		f, size, err := NextFrame(s.buf[s.start:s.end], s.limit)
		if err != nil {
			return Frame{}, err
		}
		if size > 0 {
			s.start += size
			return f, nil
		}
		if err := s.fill(); err != nil {
			return Frame{}, err
		}
	}
}

// Ready tells whether a whole frame, or the error of a broken one, is at hand
// without reading.
func (s *Scanner) Ready() bool {
	b := s.buf[s.start:s.end]
	size, err := FrameSize(b, s.limit)
	return err != nil || size > 0 && size <= len(b)
}

// fill reads more bytes of the frame that begins at start, and makes room for them.
func (s *Scanner) fill() error {
	need, err := FrameSize(s.buf[s.start:s.end], s.limit)
	if err != nil {
		return err
	}
	s.makeRoom(max(need, frameHeader))
	for range 100 { // as many empty reads as bufio takes
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		switch {
		case n > 0:
			return nil
		case err == io.EOF && s.end > s.start:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
	return penstock.Errorf(penstock.Internal, "the stream gives neither bytes nor an error: %w", io.ErrNoProgress)
}

// makeRoom sees to it that need bytes from start have room in the buffer.
func (s *Scanner) makeRoom(need int) {
	size, held := len(s.buf), s.end-s.start
	full := s.end == size
	switch {
	case need > size:
		size = max(need, firstScan)
	case held == 0 && size > keepScan: // a large frame has gone
		size = keepScan
	case full && held < size: // the last read filled the buffer, and brought more than a frame
		size = max(size, keepScan)
	case !full && s.start+need <= size:
		return
	}
	old := s.buf[s.start:s.end]
	if size != len(s.buf) {
		s.buf = make([]byte, size)
	}
	s.start, s.end = 0, copy(s.buf, old)
}
